"""What people say about order and sameness, and what the commands say about it (O14, R15)."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from harness.app.reload import repository_rules
from harness.config.load import load
from harness.model.work import WorkState
from harness.ports import LeaseRules, RepositoryRules
from harness.proc.lock import FileLock
from tests.kit.command import ENVIRON, SCRIPTED, Caller, home_at
from tests.kit.stores import NOW, done

RULES = LeaseRules("loop", {}, "app")


def add(loop, name, **fields):
    return loop("queue", "add", json.dumps({"id": name, "title": "x", **fields}), "--json").json


def home(tmp_path, **keys):
    words = "".join(f"{name}: {json.dumps(value)}, " for name, value in keys.items())
    return Caller(home_at(tmp_path / "home", SCRIPTED.replace("name: app, ", f"name: app, {words}")))


def leased(loop, rules=RULES):
    with closing(loop.store()) as store:
        store.register("me", pid=1, boot="b", start=1, kind="loop", now=NOW)
        return store.lease("me", rules, NOW)


def why(loop, name):
    with FileLock(loop.home.lock):
        return loop("why", name, "--json").json


# --- dependencies -----------------------------------------------------------------------------------------------------


def test_the_rule_for_a_failed_dependency_is_given_shown_and_followed(loop):
    add(loop, "a")
    said = loop("queue", "add", "--id", "b", "--title", "x", "--depends-on", "a", "--on-failure", "skip", "--json")
    assert said.json["detail"] == "b added: blocked: waits for a"
    add(loop, "c", depends_on=["a"], on_failure="run")
    add(loop, "d", depends_on=["a"])
    assert [row.get("on_failure") for row in json.loads(loop.home.queue_file.read_text())] == [
        None,
        "skip",
        "run",
        None,
    ]
    loop("queue", "park", "a")
    rows = {row["id"]: row["state"] for row in loop("queue", "show", "--all", "--json").json["rows"]}
    assert rows == {"a": "parked", "b": "cancelled", "c": "ready", "d": "blocked"}
    assert why(loop, "b")["because"] == "skipped: depends on a (parked)"
    assert why(loop, "c")["because"] == "goes on without a (parked)"
    assert why(loop, "d")["next"].startswith("never by itself, a will not be done")
    checked = loop("queue", "check", "--json")
    told = ["d waits for a, which is parked: ./loop queue retry a, or on_failure skip or run"]
    assert (checked.code, checked.json["held"]) == (0, told)


def test_a_rule_that_there_is_not_is_refused(loop):
    said = loop("queue", "add", "--title", "x", "--on-failure", "explode", "--json")
    assert (said.code, said.error["message"]) == (2, "on_failure: 'explode' is not allowed")
    assert "hold, skip, run" in said.error["next"]


def test_the_rule_can_be_written_over_the_file_and_a_circle_cannot(loop):
    add(loop, "a")
    add(loop, "b", depends_on=["a"])
    loop("queue", "park", "a")
    rows = json.loads(loop.home.queue_file.read_text())
    loop.home.queue_file.write_text(json.dumps([row | {"on_failure": "run"} for row in rows]))
    assert loop("queue", "show", "b", "--json").json["item"]["state"] == "ready"
    add(loop, "c", depends_on=["b"])
    rows = json.loads(loop.home.queue_file.read_text())
    loop.home.queue_file.write_text(
        json.dumps([row | ({"depends_on": ["c"]} if row["id"] == "b" else {}) for row in rows])
    )
    (problem,) = loop("queue", "check", "--json").json["problems"]
    assert "the items depend on each other: b -> c -> b" in problem


# --- what must not run together ---------------------------------------------------------------------------------------


def test_why_names_who_has_what_an_item_needs(tmp_path):
    loop = home(tmp_path, running=3, resources=["port"])
    add(loop, "a", resources=["db"], scope=["src/**"])
    add(loop, "b", resources=["db"])
    add(loop, "c", scope=["src/x.py"])
    assert leased(loop).item.id == "a"
    assert why(loop, "b")["next"] == "it needs db, which a has now"
    assert why(loop, "c")["next"] == "its scope overlaps that of a, which runs: one after the other"


def test_why_names_a_full_repository_and_what_all_its_items_take(tmp_path):
    loop = home(tmp_path, running=1, resources=["port"])
    rules = LeaseRules("loop", {}, "app", repositories=repository_rules(load(loop.home.root, ENVIRON)))
    add(loop, "a")
    add(loop, "b")
    assert leased(loop, rules).item.id == "a"
    assert leased(loop, rules) is None
    assert why(loop, "b")["next"] == "its repository app is full: a (1 at a time)"


def test_a_configuration_that_asks_for_nothing_costs_a_lease_nothing(tmp_path):
    assert repository_rules(load(home(tmp_path / "1").home.root, ENVIRON)) == {}
    asked = home(tmp_path / "2", running=2, resources=["db"], overlap="allow")
    assert repository_rules(load(asked.home.root, ENVIRON)) == {"app": RepositoryRules(2, ("db",), one_scope=False)}


def test_check_lists_scopes_that_overlap(loop):
    for name, scope in {"a": ["src/**"], "b": ["src/x.py", "docs"], "c": ["docs/a.md"], "d": ["docs/a.md"]}.items():
        add(loop, name, scope=scope)
    said = loop("queue", "check", "--json")
    assert said.code == 0
    assert sorted(said.json["overlaps"]) == [
        "c and d have one scope in app",
        "the scopes of a and b overlap in app",
        "the scopes of b and c overlap in app",
    ]


@pytest.mark.parametrize("way", ["add", "import", "file"])
def test_where_overlaps_are_refused_the_second_is_named_however_it_comes(tmp_path, way):
    loop = home(tmp_path, overlap="refuse")
    add(loop, "a", scope=["src/**"])
    second = {"id": "b", "title": "x", "scope": ["src/x.py"], "repo": "app"}
    told = "its scope src/x.py overlaps src/** of a (ready): overlap is refuse in app"
    if way == "add":
        said = loop("queue", "add", json.dumps(second), "--json")
        assert (said.code, said.json["applied"]) == (1, False)
    elif way == "import":
        (tmp_path / "items.json").write_text(json.dumps([second]))
        said = loop("queue", "import", str(tmp_path / "items.json"), "--json")
    else:
        rows = json.loads(loop.home.queue_file.read_text())
        loop.home.queue_file.write_text(json.dumps([*rows, second]))
        said = loop("queue", "check", "--json")
    assert told in said.out
    assert [row["id"] for row in loop("queue", "show", "--json").json["rows"]] == ["a"]


# --- sameness ---------------------------------------------------------------------------------------------------------


def test_the_same_list_ten_times_is_counted_and_changes_nothing_else(loop, tmp_path):
    crashes = [{"title": f"crash {n}", "dedupe": f"crash-{n}", "priority": "high"} for n in range(3)]
    (tmp_path / "feed.json").write_text(json.dumps(crashes))
    first = loop("queue", "import", str(tmp_path / "feed.json"), "--json").json
    assert first["detail"].splitlines()[0] == "3 added, 0 left as they are"
    before = loop.home.queue_file.read_text()
    for number in range(2, 11):
        said = loop("queue", "import", str(tmp_path / "feed.json"), "--json").json
        head, *each = said["detail"].splitlines()
        assert (head, said["applied"]) == ("0 added, 3 left as they are", False)
        assert all(line.startswith("already in the queue as wrk_") for line in each)
        assert all(line.endswith(f"(ready), seen {number} times") for line in each)
    rows = loop("queue", "show", "--json").json["rows"]
    assert (len(rows), loop.home.queue_file.read_text()) == (3, before)
    shown = loop("queue", "show", rows[0]["id"], "--json").json["item"]
    assert (shown["sightings"], shown["dedupe_key"]) == (10, "crash-0")
    assert shown["last_seen_at"] is not None
    assert why(loop, rows[0]["id"])["sameness"].startswith("found 10 times, the last time at 20")


def test_found_again_by_one_command_names_the_open_item_and_is_no_failure(loop):
    add(loop, "a", dedupe="crash-7")
    said = loop("queue", "add", "--title", "again", "--dedupe", "crash-7", "--json")
    assert (said.code, said.json["applied"], said.json["target"]) == (0, False, "a")


def test_what_comes_back_after_done_says_what_it_comes_back_after(loop):
    add(loop, "a", dedupe="crash-7")
    held = leased(loop)
    with closing(loop.store()) as store:
        assert store.settle(held, done(), NOW).state is WorkState.DONE
    assert add(loop, "b", dedupe="crash-7")["detail"] == "b added: ready, a regression: a was done for the same"
    assert loop("queue", "show", "b", "--json").json["item"]["regression_of"] == "a"
    assert "a regression: a was done for the same" in loop("why", "b").out
