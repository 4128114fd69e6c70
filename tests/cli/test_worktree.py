"""Workspaces are listed, mended and removed by command, saved first; what is being worked on is left alone (O1, P17)."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.model.home import Home
from harness.model.work import WorkState
from harness.proc.lock import FileLock
from tests.kit.command import Caller, home_at
from tests.kit.loop import git

UNFINISHED = [{"write": {"path": "half.txt", "content": "half\n"}}, {"say": "I forgot the rest"}]
NOW = datetime.now(UTC)

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose one item, `half`, ended with uncommitted work."""
    caller = Caller(home_at(tmp_path_factory.mktemp("begun") / "home"))
    item = {"id": "half", "title": "Half", "script": UNFINISHED, "max_attempts": 1}
    assert caller("queue", "add", json.dumps(item)).code == 0
    assert caller.process("run", "--once").returncode == 1
    return caller.home.root


@pytest.fixture
def left(begun: Path, tmp_path: Path) -> Caller:
    """A copy of it for each test; where its files name the first one, they name the copy."""
    home = tmp_path / "home"
    shutil.copytree(begun, home, symlinks=True)
    for pattern in ("worktrees/.meta/*.json", "worktrees/*/.git/objects/info/alternates"):
        for place in (home / "state").glob(pattern):
            place.write_text(place.read_text().replace(str(begun), str(home)))
    return Caller(Home(home))


def folder(left: Caller) -> Path:
    return left.home.worktrees / "half"


def saved(left: Caller, name: str = "half.txt") -> str:
    return git(left.home.root / "app", "show", f"refs/harness/half/wip/1:{name}")


def test_a_workspace_is_listed_with_its_item_and_what_is_wrong(left: Caller) -> None:
    listed = left("worktree", "list", "--json")
    (row,) = listed.json["rows"]
    assert (listed.code, row["item"], row["state"], row["repo"], row["problem"]) == (0, "half", "parked", "app", "")
    assert row["saved_ref"].startswith("refs/harness/ses_")
    shutil.rmtree(folder(left) / ".git")
    listed = left("worktree", "list")
    assert listed.code == 1
    assert ".git is missing" in listed.out
    assert "./loop worktree repair half" in listed.out


def test_repair_saves_and_mends_and_a_dry_run_does_neither(left: Caller) -> None:
    (folder(left) / "half.txt").write_text("more\n")
    shutil.rmtree(folder(left) / ".git")
    would = left("worktree", "repair", "--dry-run", "--json").json
    assert (would["applied"], would["dry_run"]) == (False, True)
    assert not (folder(left) / ".git").exists()
    done = left("worktree", "repair", "--json")
    assert (done.code, done.json["applied"]) == (0, True)
    assert saved(left) == "more"
    assert left("worktree", "list").code == 0
    assert "every workspace is whole" in left("worktree", "repair").out
    assert left("worktree", "repair", "nothing", "--json").error["kind"] == "not_found"


def test_what_cannot_be_mended_is_said_and_exits_1(left: Caller) -> None:
    (left.home.worktrees / "stranger").mkdir()
    said = left("worktree", "repair")
    assert said.code == 1
    assert "no workspace of ours" in said.out
    assert "move it away" in said.out


def test_prune_removes_what_nobody_needs_and_saves_it_first(left: Caller) -> None:
    assert "nothing to remove" in left("worktree", "prune").out
    (folder(left) / "half.txt").write_text("more\n")
    assert left("queue", "remove", "half").code == 0
    would = left("worktree", "prune", "--dry-run")
    assert "its item is cancelled" in would.out
    assert folder(left).is_dir()
    done = left("worktree", "prune", "--json")
    assert (done.code, done.json["applied"]) == (0, True)
    assert not folder(left).exists()
    assert saved(left) == "more"
    assert left("worktree", "list", "--json").json["rows"] == []


def test_a_parked_item_keeps_its_workspace_for_the_days_of_the_configuration(left: Caller) -> None:
    left.now = NOW + timedelta(days=13)
    assert "nothing to remove" in left("worktree", "prune").out
    left.now = NOW + timedelta(days=15)
    assert "parked for 14 days" in left("worktree", "prune").out
    assert saved(left) == "half"


def test_a_workspace_that_is_named_goes_whatever_its_item_is(left: Caller) -> None:
    assert left("worktree", "prune", "half").code == 0
    assert not folder(left).exists()
    assert saved(left) == "half"


def test_what_a_session_or_a_person_works_in_is_left_alone(left: Caller) -> None:
    with closing(left.store()) as store:
        store.move("half", WorkState.READY, "again", actor="test", now=NOW)
        item = store.take("half", "eva", actor="eva", now=NOW)
        assert item.by_hand
    refused = left("worktree", "prune", "half", "--json")
    assert (refused.code, refused.error["kind"]) == (1, "refused")
    (folder(left) / ".git/index.lock").write_text("")
    assert "eva has it" in left("worktree", "repair").out
    assert (folder(left) / ".git/index.lock").exists()


def test_folders_of_a_running_loop_that_are_no_items_stay(left: Caller) -> None:
    (left.home.worktrees / "room").mkdir()
    lock = FileLock(left.home.lock)
    assert lock.acquire("test")
    try:
        assert "nothing to remove" in left("worktree", "prune").out
    finally:
        lock.release()
    said = left("worktree", "prune")
    assert said.code == 1
    assert "no workspace of ours" in said.out
