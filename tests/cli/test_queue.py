"""The queue commands (contract 3, H6, H47)."""

import json

import pytest

from harness.model.outcome import Claimed, Disposition
from harness.model.work import WorkState
from harness.ports import LeaseRules, Settlement
from harness.proc.lock import FileLock
from tests.kit.command import Caller, home_at
from tests.kit.stores import NOW

ITEM = '{"id": "test-001", "type": "test", "title": "Phase 2 validation test", "priority": "high", "rig": "app"}'
PROMISED = {"id", "kind", "title", "state", "reason", "priority", "lane", "repo", "attempts", "fence"}


def _lease(loop):
    store = loop.store()
    store.register("me", pid=1, boot="b", start=1, kind="loop", now=NOW)
    lease = store.lease("me", LeaseRules("loop", {}, "app"), NOW)
    return store, lease


def _finish(loop):
    store, lease = _lease(loop)
    store.settle(lease, Settlement(Claimed("c0ffee"), Disposition(WorkState.DONE, "claimed")), NOW)
    store.close()


def test_an_added_item_is_shown_with_the_promised_keys(loop):
    added = loop("queue", "add", ITEM, "--json")
    assert added.json == {"target": "test-001", "applied": True, "dry_run": False, "detail": "test-001 added: ready"}
    shown = loop("queue", "show", "--json").json
    assert (shown["schema"], shown["truncated"]) == ("loop.queue/1", False)
    (row,) = shown["rows"]
    assert set(row) >= PROMISED
    assert (row["id"], row["kind"], row["repo"], row["priority"]) == ("test-001", "test", "app", "high")
    whole = loop("queue", "show", "test-001", "--json").json
    assert (whole["schema"], whole["item"]["title"]) == ("loop.item/1", "Phase 2 validation test")


def test_flags_argument_stdin_and_file_are_four_ways_to_the_same_item(loop):
    (loop.home.root / "item.json").write_text('{"id": "file", "title": "T"}')
    assert loop("queue", "add", "--id", "flags", "--title", "T", "--kind", "bug-fix", "--label", "x").code == 0
    assert loop("queue", "add", "-", stdin='{"id": "stdin", "title": "T"}').code == 0
    assert loop("queue", "add", "--file", "item.json", "--priority", "15").code == 0
    rows = {row["id"]: row for row in loop("queue", "show", "--json").json["rows"]}
    assert set(rows) == {"flags", "stdin", "file"}
    assert rows["file"]["priority"] == 15
    assert loop("queue", "show", "flags", "--jq", ".item.labels[]").out == "x\n"


def test_an_id_that_exists_is_not_added_and_its_state_is_named(loop):
    loop("queue", "add", ITEM)
    again = loop("queue", "add", ITEM, "--json")
    assert (again.code, again.json["applied"]) == (1, False)
    assert "ready" in again.json["detail"]
    assert "./loop queue retry test-001" in again.json["detail"]
    _finish(loop)
    assert "done" in loop("queue", "add", ITEM, "--json").json["detail"]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ('{"title": "x", "rig": "nope"}', "known: app"),
        ('{"title": "x", "lane": "nope"}', "known: default, tracker"),
        ('{"title": "x", "id": "a/b"}', "not an item id"),
        ('{"title": "x", "priority": "urgent"}', "critical, high, medium, low"),
        ('{"id": "a"}', "needs a title"),
        ('["x"]', "queue import"),
        ("{not json", "not JSON"),
        ('{"title": "x", "depends_on": ["ghost"]}', "does not exist"),
    ],
)
def test_what_cannot_be_worked_on_is_refused_and_the_queue_stays_as_it_is(loop, document, told):
    said = loop("queue", "add", document)
    assert said.code == 2
    assert told in said.err
    assert loop("queue", "show", "--json").json["rows"] == []


def test_nothing_to_add_is_a_mistake(loop):
    assert loop("queue", "add").code == 2


def test_adding_needs_a_configuration(tmp_path):
    home = home_at(tmp_path / "home")
    home.config.unlink()
    said = Caller(home)("queue", "add", ITEM, "--json")
    assert (said.code, said.error["kind"]) == (78, "config")


def test_the_mirror_follows_every_order_when_no_loop_runs(loop):
    loop("queue", "add", ITEM)
    (mirrored,) = json.loads(loop.home.queue_file.read_text())
    assert (mirrored["id"], mirrored["type"], mirrored["rig"]) == ("test-001", "test", "app")
    loop("queue", "remove", "test-001")
    assert json.loads(loop.home.queue_file.read_text()) == []


def test_while_a_loop_runs_the_file_is_left_to_it(loop):
    lock = FileLock(loop.home.lock)
    assert lock.acquire("pid 1")
    loop("queue", "add", ITEM)
    lock.release()
    assert not loop.home.queue_file.exists()
    assert [row["id"] for row in loop("queue", "show", "--json").json["rows"]] == ["test-001"]


def test_a_list_written_over_the_file_is_in_the_queue_when_it_is_shown(loop):
    loop.home.state.mkdir()
    loop.home.queue_file.write_text(f"[{ITEM}]")
    said = loop("queue", "show")
    assert "test-001" in said.out
    assert "1 added (test-001)" in said.err


def test_emptying_the_file_empties_the_queue_and_check_says_how_to_undo_it(loop):
    loop("queue", "add", ITEM)
    loop.home.queue_file.write_text("[]")
    checked = loop("queue", "check", "--json")
    assert checked.code == 0
    assert checked.json["cancelled"] == ["test-001"]
    undo = checked.json["detail"].partition("undo: cp ")[2].split()
    loop.home.queue_file.write_text((loop.home.root / undo[0]).read_text())
    assert loop("queue", "check", "--json").json["added"] == ["test-001"]


def test_a_file_that_does_not_parse_is_left_alone_and_named(loop):
    loop("queue", "add", ITEM)
    loop.home.queue_file.write_text("[{broken")
    checked = loop("queue", "check", "--json")
    assert checked.code == 1
    assert "line 1" in checked.json["problems"][0]
    assert loop.home.queue_file.read_text() == "[{broken"
    shown = loop("queue", "show")
    assert shown.code == 0
    assert "test-001" in shown.out
    assert "line 1" in shown.err


def test_check_names_items_whose_repository_is_gone(loop):
    loop("queue", "add", ITEM)
    config = loop.home.config.read_text()
    loop.home.config.write_text(config.replace("name: app,", "name: other,"))
    checked = loop("queue", "check", "--json")
    assert checked.code == 1
    assert checked.json["problems"] == ["test-001: repository 'app' is not configured (known: other)"]


def test_remove_keeps_the_record_and_retry_brings_it_back(loop):
    loop("queue", "add", ITEM)
    assert (
        loop("queue", "remove", "test").json if False else loop("queue", "remove", "test-0", "--json").json["applied"]
    )
    assert loop("queue", "show", "--json").json["rows"] == []
    assert loop("queue", "show", "--all", "--jq", ".rows[].state").out == "cancelled\n"
    again = loop("queue", "remove", "test-001", "--json")
    assert (again.code, again.json["applied"]) == (0, False)
    assert loop("queue", "retry", "test-001").out == "test-001: cancelled -> ready, attempt 1 of 3\n"


def test_a_leased_item_is_not_moved(loop):
    loop("queue", "add", ITEM)
    _lease(loop)[0].close()
    said = loop("queue", "remove", "test-001", "--json")
    assert (said.code, said.error["kind"]) == (1, "refused")


def test_retry_of_finished_work_gives_it_another_attempt(loop):
    loop("queue", "add", ITEM)
    _finish(loop)
    assert loop("queue", "retry", "test-001", "--json").json["applied"]
    assert loop("queue", "show", "--jq", ".rows[0].state").out == "ready\n"


def test_a_priority_moves_an_item_forward(loop):
    loop("queue", "add", '{"id": "first", "title": "x"}')
    loop("queue", "add", '{"id": "second", "title": "x"}')
    assert loop("queue", "prioritise", "second", "critical").out == "second: priority medium -> critical\n"
    assert loop("queue", "show", "--jq", ".rows[].id").out == "second\nfirst\n"
    assert loop("queue", "prioritise", "second", "0", "--json").json["applied"] is False
    assert loop("queue", "prioritise", "second", "soon").code == 2


def test_an_ambiguous_beginning_names_the_items_it_could_be(loop):
    for name in ("ab-1", "ab-2"):
        loop("queue", "add", f'{{"id": "{name}", "title": "x"}}')
    said = loop("queue", "show", "ab")
    assert said.code == 4
    assert "ab-1, ab-2" in said.err


def test_a_limit_says_that_there_is_more(loop):
    for number in range(3):
        loop("queue", "add", f'{{"id": "i{number}", "title": "x"}}')
    shown = loop("queue", "show", "--limit", "2", "--json").json
    assert (len(shown["rows"]), shown["truncated"]) == (2, True)


def test_what_is_exported_can_be_imported_elsewhere(loop, tmp_path):
    loop("queue", "add", ITEM)
    loop("queue", "add", '{"id": "later", "title": "Later", "depends_on": ["test-001"], "own": {"key": 1}}')
    other = Caller(home_at(tmp_path / "other"))
    for exported in (loop("queue", "export").out, loop("queue", "export", "--json").out):
        assert other("queue", "import", "-", "--dry-run", "--json", stdin=exported).json == {
            "target": "-",
            "applied": False,
            "dry_run": True,
            "detail": "2 would be added, 0 left as they are",
        }
    assert other("queue", "show", "--json").json["rows"] == []
    assert other("queue", "import", "-", stdin=loop("queue", "export").out).code == 0
    (row,) = [row for row in other("queue", "show", "--json").json["rows"] if row["id"] == "later"]
    assert (row["state"], row["reason"]) == ("blocked", "waits for test-001")
    assert other("queue", "show", "later", "--jq", ".item.own.key").out == "1\n"


@pytest.mark.parametrize(
    "text",
    [
        '[{"title": "a"}, {"title": "b"}]',
        '{"items": [{"title": "a"}, {"title": "b"}]}',
        '{"title": "a"}\n{"title": "b"}\n',
    ],
)
def test_import_takes_lists_objects_with_items_and_lines(loop, text):
    assert loop("queue", "import", "-", stdin=text).out == "2 added, 0 left as they are\n"


def test_one_wrong_item_and_nothing_is_imported(loop):
    (loop.home.root / "items.json").write_text(
        '[{"id": "good", "title": "x"}, {"id": "bad", "title": "x", "rig": "no"}]'
    )
    said = loop("queue", "import", "items.json")
    assert said.code == 2
    assert "item 2 (bad)" in said.err
    assert "nothing was imported" in said.err
    assert loop("queue", "show", "--json").json["rows"] == []


def test_known_ids_in_an_import_are_left_as_they_are(loop):
    loop("queue", "add", ITEM)
    said = loop("queue", "import", "-", "--json", stdin=f'[{ITEM}, {{"id": "new", "title": "x"}}]')
    assert (said.code, said.json["applied"]) == (0, True)
    assert "1 added, 1 left as they are" in said.json["detail"]
    assert loop("queue", "import", "-", stdin=f"[{ITEM}]").code == 1
