"""What recurs, as an operator sees it and fires it (C22)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.model.home import Home
from harness.model.schedule import Rule
from harness.proc.lock import FileLock
from tests.kit.command import Caller, home_at

CONFIG = """\
agents: {default: {type: scripted}}
isolation: {level: none}
repositories:
  - {name: app, path: app}
schedules:
  weekly: {cron: "0 3 * * mon", timezone: Europe/Berlin, window: 22:00-06:00, item: {title: Look over the week}}
  index: {every_minutes: 240, command: {run: "echo hello; exit ${CODE:-0}"}}
  over: {after: integrated, min_gap_minutes: 60, item: {title: See what came, repo: app}}
"""
NOW = datetime(2026, 3, 27, 12, tzinfo=UTC)  # a Friday; clocks in Berlin change on the 29th


@pytest.fixture
def loop(tmp_path: Path) -> Caller:
    return Caller(home_at(tmp_path / "home", CONFIG), now=NOW)


def rows(loop: Caller) -> dict[str, dict[str, object]]:
    said = loop("schedule", "list", "--json")
    assert said.code == 0, said.err
    assert said.json["schema"] == "loop.schedules/1"
    return {row["name"]: row for row in said.json["rows"]}


def with_line(home: Home, old: str, new: str) -> None:
    text = home.config.read_text()
    assert old in text
    home.config.write_text(text.replace(old, new))


def test_the_list_says_when_each_fires_next_before_any_loop_has_run(loop: Caller) -> None:
    found = rows(loop)
    assert list(found) == ["weekly", "index", "over"]
    assert found["weekly"]["next_at"] == "2026-03-30T01:00:00.000Z"
    assert found["index"]["next_at"] == "2026-03-27T16:00:00.000Z"
    assert found["over"]["next_at"] is None
    assert found["weekly"]["does"] == "adds 'Look over the week'"
    assert {row["state"] for row in found.values()} == {None}
    assert not loop.home.database.exists(), "looking changes nothing"


def test_a_home_without_schedules_says_where_they_are_written(tmp_path: Path) -> None:
    said = Caller(home_at(tmp_path / "home"))("schedule", "list", "--json")
    assert (said.code, said.json["rows"]) == (0, [])


def test_what_is_overdue_fires_as_soon_as_a_loop_runs(loop: Caller) -> None:
    store = loop.store()
    store.begin_schedule(Rule("index", "every 240 min UTC"), NOW - timedelta(days=3))
    store.close()
    assert rows(loop)["index"]["next_at"] == "2026-03-27T12:00:00.000Z"


def test_an_item_is_added_at_once_and_taken_in_while_it_is_open(loop: Caller) -> None:
    added = loop("schedule", "run", "weekly", "--json")
    assert (added.code, added.json["applied"]) == (0, True), added
    (item,) = loop("queue", "show", "--json").json["rows"]
    assert item["id"].startswith("weekly-hand-")
    assert (item["title"], item["kind"], item["lane"]) == ("Look over the week", "maintenance", "default")
    again = loop("schedule", "run", "weekly", "--json")
    assert (again.code, again.json["applied"]) == (1, False)
    assert item["id"] in again.json["detail"]
    assert rows(loop)["weekly"]["state"] == "folded"
    assert rows(loop)["weekly"]["next_at"] == "2026-03-30T01:00:00.000Z", "its slots are as they were"
    assert loop("audit", "verify").code == 0


@pytest.mark.process
def test_a_command_runs_in_the_foreground_and_its_exit_is_told(loop: Caller) -> None:
    done = loop("schedule", "run", "index")
    assert done.code == 0, done
    log = loop.home.command_logs / "schedule-index.log"
    assert str(log) in done.out
    assert log.read_text() == "hello\n"
    assert rows(loop)["index"]["state"] == "done"
    with_line(loop.home, "${CODE:-0}", "3")
    failed = loop("schedule", "run", "index")
    assert (failed.code, "exit 3: hello" in failed.out) == (1, True), failed
    assert rows(loop)["index"]["log"] == str(log)


def test_a_command_that_runs_already_is_not_run_twice(loop: Caller) -> None:
    lock = FileLock(loop.home.owners / "schedule-index.lock")
    assert lock.acquire("pid 4711")
    said = loop("schedule", "run", "index", "--json")
    lock.release()
    assert (said.code, said.error["kind"]) == (75, "busy")
    assert "4711" in said.error["message"]


def test_an_unknown_schedule_is_refused_with_the_known_ones(loop: Caller) -> None:
    said = loop("schedule", "run", "weakly", "--json")
    assert (said.code, said.error["kind"]) == (4, "not_found")
    assert "index, over, weekly" in said.error["message"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"0 3 * * mon"', '"0 25 * * mon"', "schedules.weekly.cron: '0 25 * * mon' is no time of cron: bad hour"),
        ("Europe/Berlin", "Europe/Atlantis", "schedules.weekly.timezone: no time zone is called 'Europe/Atlantis'"),
        ("22:00-06:00", "10pm-6am", "schedules.weekly.window: '10pm-6am' is no window; for example 22:00-06:00"),
        ("22:00-06:00", "22:00-22:00", "is no window"),
        ("every_minutes: 240", "every_minutes: 0", "schedules.index.every_minutes: 0 is not allowed"),
        ("after: integrated", "after: sunset", "schedules.over.after: sunset is not allowed; allowed: integrated or"),
        ("repo: app}", "repo: ap}", "schedules.over.item.repo: 'ap' is no repository; allowed: app"),
        ("after: integrated,", "after: integrated, every_minutes: 5,", "one of cron, every_minutes and after"),
        ("item: {title: Look over the week}", "min_gap_minutes: 1", "either an item or a command"),
        ("title: Look over the week", "titel: Look", "schedules.weekly.item.titel: unknown key; did you mean title?"),
        ("  over:", "  o..r:", "schedules.o..r: 'o..r' cannot begin the ids of items"),
        ("title: See what came", "title: See what came, lane: fast", "schedules.over.item.lane: 'fast' is no lane"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_is_allowed(loop: Caller, old: str, new: str, says: str) -> None:
    with_line(loop.home, old, new)
    said = loop("config", "check")
    assert said.code == 78
    assert says in said.out + said.err
    assert "config.yaml:" in said.out + said.err
    assert loop("schedule", "list").code == 78
