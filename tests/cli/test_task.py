"""`./loop task …`: the queue as tasks, on the command line (R4)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from harness.ports import LeaseRules
from tests.kit.command import SCRIPTED, Caller, home_at


@pytest.fixture
def loop(tmp_path):
    made = Caller(home_at(tmp_path / "home"))
    assert made("queue", "add", '{"id": "one", "title": "First", "type": "docs"}').code == 0
    return made


def test_the_files_exist_once_somebody_asks_for_them(loop):
    assert not loop.home.pages.exists()
    assert loop("task", "list").code == 0
    assert not loop.home.pages.exists()
    said = loop("task", "sync", "--json")
    assert (said.code, said.json["schema"], said.json["problems"]) == (0, "loop.task-sync/1", [])
    assert sorted(path.name for path in loop.home.pages.iterdir()) == ["active.md", "backlog.md", "completed.md"]
    assert loop("queue", "add", '{"id": "two", "title": "Second"}').code == 0
    assert "### [two] Second" in (loop.home.pages / "backlog.md").read_text()


def test_configured_they_exist_from_the_first_order_on_and_switched_off_never(tmp_path):
    on = Caller(home_at(tmp_path / "on", SCRIPTED + "tasks: {enabled: true}\n"))
    assert on("queue", "add", '{"id": "one", "title": "First"}').code == 0
    assert "### [one] First" in (on.home.pages / "backlog.md").read_text()
    off = Caller(home_at(tmp_path / "off", SCRIPTED + "tasks: {enabled: false}\n"))
    assert off("task", "sync").code == 1
    assert not off.home.pages.exists()


def test_tasks_are_listed_by_page_and_shown_in_the_documented_shape(loop):
    loop("queue", "add", '{"id": "two", "title": "Second"}')
    loop("task", "complete", "one", "by", "hand")
    rows = loop("task", "list", "--all", "--json").json["rows"]
    assert [(row["id"], row["page"]) for row in rows] == [("two", "backlog"), ("one", "completed")]
    shown = loop("task", "show", "one", "--json").json
    assert shown["block"].startswith("### [one] First\n- **type**: docs\n")
    assert shown["item"]["reason"] == "completed by operator: by hand"


def test_a_task_is_completed_once_and_only_if_nobody_else_has_it(loop):
    loop("queue", "add", '{"id": "two", "title": "Second"}')
    assert loop("task", "complete", "one").code == 0
    assert loop("task", "complete", "one").code == 1
    store = loop.store()
    held = store.lease("a", LeaseRules("a", {}), datetime.now(UTC))
    store.close()
    assert held.item.id == "two"
    assert "being worked on" in loop("task", "complete", "two", "--json").error["message"]
    assert loop("task", "complete", "nobody").code == 4
    assert loop("task", "show", "nobody").code == 4


def test_a_page_that_cannot_be_taken_is_exit_1_with_its_place(loop):
    loop("task", "sync")
    backlog = loop.home.pages / "backlog.md"
    backlog.write_text(backlog.read_text() + "### [task-NNN] New\n- **repo**: nowhere\n")
    said = loop("task", "sync")
    assert said.code == 1
    assert "backlog.md, line 8: repo: no repository is called 'nowhere'" in said.out
    assert loop("queue", "show").code == 0
