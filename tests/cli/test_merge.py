"""What waits for its branch is shown, given up, or taken back; nothing is ever half done (O3, O7)."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.kit.command import Caller, home_at
from tests.kit.loop import git
from tests.kit.remote import remote_of

pytestmark = pytest.mark.process

CONFIG = """\
harness: {iteration_delay: 0, interrupt_check_interval: 1, stop_timeout: 5}
agents: {default: {type: scripted}}
repositories:
  - {name: app, path: app, gates: [{name: tests, run: "test ! -f red"}]}
"""


def script(name: str, content: str) -> list[dict[str, Any]]:
    return [
        {"write": {"path": name, "content": content}},
        {"commit": f"Write {name}"},
        {"complete": "done"},
    ]


@pytest.fixture
def loop(tmp_path: Path) -> Caller:
    return Caller(home_at(tmp_path / "home", CONFIG))


def add(loop: Caller, name: str, steps: list[dict[str, Any]], **more: Any) -> None:
    said = loop("queue", "add", json.dumps({"id": name, "title": name, "script": steps, **more}))
    assert said.code == 0, said.err


def run(loop: Caller) -> subprocess.CompletedProcess[str]:
    return loop.process("run", "--drain")


def done(loop: Caller, **files: str) -> None:
    """An item a file, integrated."""
    for name, content in files.items():
        add(loop, name, script(f"{name}.txt", content))
    ended = run(loop)
    assert ended.returncode == 0, ended.stderr


def app(loop: Caller) -> Path:
    return loop.home.root / "app"


def rows(loop: Caller, what: str) -> list[dict[str, Any]]:
    found = loop("merge", "status", "--json").json["rows"]
    return [row for row in found if row["what"] == what]


def test_an_item_is_taken_back_and_what_came_later_stays(loop: Caller) -> None:
    done(loop, one="1\n", two="2\n")
    before = git(app(loop), "rev-parse", "main")
    said = loop("merge", "rollback", "one")
    assert said.code == 0, said.err
    assert not (app(loop) / "one.txt").exists()
    assert (app(loop) / "two.txt").read_text() == "2\n"
    assert git(app(loop), "merge-base", before, "main") == before, "forward only"
    assert "Harness-Reverts:" in git(app(loop), "log", "-1", "--format=%B", "main")
    assert git(app(loop), "status", "--porcelain") == ""
    assert "taken back" in loop("why", "one").out
    assert "integration.undone" in {e["kind"] for e in loop("why", "one", "--json").json["entries"]}
    again = loop("merge", "rollback", "one", "--json")
    assert (again.code, again.error["kind"]) == (1, "refused")


def test_a_dry_run_says_it_and_moves_nothing(loop: Caller) -> None:
    done(loop, one="1\n")
    before = git(app(loop), "rev-parse", "main")
    said = loop("merge", "rollback", "one", "--dry-run", "--json").json
    assert (said["applied"], said["dry_run"], "one" in said["detail"]) == (False, True, True)
    assert git(app(loop), "rev-parse", "main") == before
    with closing(loop.store()) as store:
        assert [row.kind for row in store.integrations()] == ["work"]


def test_all_of_a_run_is_taken_back_newest_first_with_one_commit_an_item(loop: Caller) -> None:
    done(loop, first="1\n")
    kept = git(app(loop), "rev-parse", "main:first.txt")
    add(loop, "one", script("same.txt", "1\n"))
    add(loop, "two", script("same.txt", "2\n"), depends_on=["one"])
    assert run(loop).returncode == 0
    before = git(app(loop), "rev-parse", "main")
    said = loop("merge", "rollback", "--run", "latest")
    assert said.code == 0, said.err
    assert not (app(loop) / "same.txt").exists()
    assert git(app(loop), "rev-parse", "main:first.txt") == kept
    subjects = git(app(loop), "log", "--reverse", "--format=%s", f"{before}..main").splitlines()
    assert [subject.split(":")[0] for subject in subjects] == ["Revert two", "Revert one"]


def test_later_work_on_the_same_lines_is_in_the_way_and_nothing_is_half_done(loop: Caller) -> None:
    done(loop, one="1\n")
    add(loop, "two", script("one.txt", "2\n"))
    assert run(loop).returncode == 0
    before = git(app(loop), "rev-parse", "main")
    said = loop("merge", "rollback", "one", "--json")
    assert (said.code, said.error["kind"]) == (1, "conflict")
    assert "one.txt" in said.error["message"]
    assert "Write one.txt" in said.error["cause"]
    assert git(app(loop), "rev-parse", "main") == before


def test_a_result_that_is_red_is_not_taken(loop: Caller) -> None:
    config = CONFIG.replace("test ! -f red", "test ! -f two.txt || test -f one.txt")
    loop.home.config.write_text(config)
    done(loop, one="1\n", two="2\n")
    before = git(app(loop), "rev-parse", "main")
    said = loop("merge", "rollback", "one", "--json")
    assert (said.code, said.error["kind"]) == (1, "refused")
    assert "would be red" in said.error["message"]
    assert git(app(loop), "rev-parse", "main") == before


def test_files_of_a_person_in_the_way_are_named_and_stay(loop: Caller) -> None:
    done(loop, one="1\n")
    (app(loop) / "one.txt").write_text("a person's\n")
    said = loop("merge", "rollback", "one", "--json")
    assert (said.code, said.error["kind"]) == (1, "not_fast_forward")
    assert (app(loop) / "one.txt").read_text() == "a person's\n"
    assert loop("merge", "rollback", "one", "--run", "x").code == 2


def test_what_was_taken_back_is_pushed_too(loop: Caller) -> None:
    loop.home.config.write_text(CONFIG.replace("path: app,", "path: app, push: true,"))
    there = remote_of(app(loop))
    done(loop, one="1\n")
    assert loop("merge", "rollback", "one").code == 0
    assert there.main == git(app(loop), "rev-parse", "main")
    assert len(there.taken) == 2


def test_a_waiting_integration_is_shown_and_given_up_with_its_work_kept(loop: Caller) -> None:
    (app(loop) / "one.txt").write_text("a person's\n")
    add(loop, "one", script("one.txt", "1\n"))
    run(loop)
    (held,) = rows(loop, "held")
    assert (held["item"], held["files"]) == ("one", "one.txt")
    assert "merge abort one" in held["next"]
    assert loop("merge", "abort", "one").code == 0
    assert rows(loop, "held") == []
    (kept,) = rows(loop, "kept")
    assert kept["next"] == "./loop merge apply one"
    with closing(loop.store()) as store:
        assert store.item("one").state == "cancelled"
    assert git(app(loop), "show", "refs/harness/one/verified:one.txt") == "1"
    assert loop("merge", "abort", "one", "--json").error["kind"] == "refused"
    (app(loop) / "one.txt").unlink()
    assert loop("merge", "apply", "one").code == 0, "giving up is not for ever"


def test_work_that_would_conflict_is_foreseen_with_the_branch_and_among_itself(loop: Caller) -> None:
    loop.home.config.write_text(CONFIG.replace("path: app,", "path: app, integrate: never,"))
    done(loop, one="1\n")
    add(loop, "two", script("one.txt", "2\n"))
    assert run(loop).returncode == 0
    (clash,) = rows(loop, "conflict")
    assert {clash["item"], *clash["detail"].split()} >= {"one", "two"}
    assert clash["files"] == "one.txt"
    (app(loop) / "one.txt").write_text("theirs\n")
    git(app(loop), "add", "-A")
    git(app(loop), "commit", "-qm", "theirs")
    assert len(rows(loop, "conflict")) == 3


def test_nothing_waits_before_anything_has_run(loop: Caller) -> None:
    assert loop("merge", "status", "--json").json["rows"] == []


def test_a_branch_that_is_red_already_lets_work_be_taken_back_only_where_that_is_said(loop: Caller) -> None:
    done(loop, one="1\n", two="2\n")
    (app(loop) / "red").write_text("of a person\n")
    git(app(loop), "add", "-A")
    git(app(loop), "commit", "-qm", "red")
    before = git(app(loop), "rev-parse", "main")
    said = loop("merge", "rollback", "one", "--json")
    assert (said.code, said.error["kind"]) == (1, "refused")
    assert "--red-already" in said.error["message"]
    assert git(app(loop), "rev-parse", "main") == before
    taken = loop("merge", "rollback", "one", "--red-already")
    assert (taken.code, "is red still" in taken.out) == (0, True), taken.err
    assert not (app(loop) / "one.txt").exists()
    assert (app(loop) / "two.txt").exists()


@pytest.mark.parametrize("kind", ["default", "bug-fix"])
def test_a_gate_that_the_rollback_turns_red_is_refused_whatever_is_said(loop: Caller, kind: str) -> None:
    loop.home.config.write_text(CONFIG.replace("test ! -f red", "test ! -f two.txt || test -f one.txt"))
    for name in ("one", "two"):
        add(loop, name, script(f"{name}.txt", "x\n"), kind=kind)
    assert run(loop).returncode == 0
    before = git(app(loop), "rev-parse", "main")
    said = loop("merge", "rollback", "one", "--red-already", "--json")
    assert (said.code, "would be red" in said.error["message"]) == (1, True)
    assert git(app(loop), "rev-parse", "main") == before
