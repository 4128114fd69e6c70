"""Autosaves are found, shown and brought back, and never over anything (P17, O1)."""

import json
import subprocess
from contextlib import closing

import pytest

from harness.model.work import WorkState
from tests.kit.command import Caller, home_at
from tests.kit.stores import NOW

UNFINISHED = [{"write": {"path": "half.txt", "content": "half\n"}}, {"say": "I forgot the rest"}]
FINISHES = [{"run": ["sh", "-c", "cp half.txt state.txt"]}, {"write": {"path": "state.txt", "content": "good\n"}}]


@pytest.fixture
def left(tmp_path):
    """A home whose one item ended with uncommitted work."""
    caller = Caller(home_at(tmp_path / "home"))
    item = {"id": "half", "title": "Half", "script": UNFINISHED}
    assert caller("queue", "add", json.dumps(item)).code == 0
    assert caller.process("run", "--once").returncode == 1
    return caller


def saves(caller):
    return caller("wip", "list", "--json").json["rows"]


def test_an_autosave_is_listed_with_item_time_files_and_size(left):
    (row,) = saves(left)
    session = left("session", "latest", "--jq", ".id").out.strip().strip('"')
    assert (row["id"], row["item"], row["files"], row["bytes"], row["repo"]) == (f"{session}/1", "half", 1, 5, "app")
    assert row["ref"] == f"refs/harness/{session}/wip/1"
    assert left("wip", "list", "--item", "other", "--json").json["rows"] == []


def test_show_has_the_figures_or_the_patch(left):
    assert "half.txt | 1 +" in left("wip", "show", "half").out
    patch = left("wip", "show", saves(left)[0]["id"], "--patch").out
    assert "+half" in patch
    assert left("wip", "show", "nothing", "--json").error["kind"] == "not_found"


def test_restore_makes_a_new_repository_with_the_changes_uncommitted(left):
    folder = left.home.root / "rescued"
    assert left("wip", "restore", "half", "--to", str(folder)).code == 0
    assert (folder / "half.txt").read_text() == "half\n"
    status = subprocess.run(
        ["git", "-C", str(folder), "status", "--porcelain"], capture_output=True, text=True, check=True
    )
    assert status.stdout == "?? half.txt\n"


@pytest.mark.parametrize("place", ["app", "rescued"])
def test_restore_writes_over_nothing(left, place):
    folder = left.home.root / place
    folder.mkdir(exist_ok=True)
    before = sorted(folder.rglob("*"))
    refused = left("wip", "restore", "half", "--to", str(folder), "--json")
    assert (refused.code, refused.error["kind"]) == (1, "refused")
    assert sorted(folder.rglob("*")) == before


def test_restore_says_where_to_if_it_is_not_told(left):
    assert left("wip", "restore", "half").code == 2
    assert left("wip", "restore", "half", "--to", "x", "--workspace").code == 2


def test_the_next_session_of_the_item_begins_on_what_was_restored(left):
    assert left("queue", "remove", "half").code == 0
    told = left("wip", "restore", "half", "--workspace")
    assert "./loop queue retry half" in told.out
    with closing(left.store()) as store:
        item = store.item("half")
        assert item.continuation.wip_ref == saves(left)[0]["ref"]
        store.move("half", WorkState.READY, "again", actor="test", now=NOW)
    assert left.process("run", "--once").returncode == 1
    assert (left.home.worktrees / "half" / "half.txt").read_text() == "half\n"
    workspace = [row["id"] for row in saves(left)]
    assert len(workspace) >= 1
