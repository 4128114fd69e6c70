"""What recurs, in every store: a slot is had once, and nothing comes between it and its item (Q4)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from harness.model.errors import NotFound, Refused, Usage
from harness.model.schedule import Due, Firing, Rule, source_of
from harness.model.work import WorkItem, WorkState
from tests.kit.stores import NOW, Sqlite, item, later

RULE = Rule("nightly", "0 3 * * * UTC")


def made(name: str = "nightly", slot: str = "a", **fields: object) -> WorkItem:
    return item(f"{name}-{slot}", source=source_of(name), dedupe_key=source_of(name), **fields)


def fire(store, slot: str, *, seconds: float = 0, work: WorkItem | None = None, **more: object) -> Firing | None:
    given = {"seq": 0, "actor": "loop", "now": later(seconds), **more}
    return store.fire("nightly", Due(slot, 2), work, **given)


def test_a_slot_and_its_item_are_written_together(store):
    store.begin_schedule(RULE, NOW)
    found = fire(store, "a", seconds=5, work=made(), seq=7)
    assert found is not None
    assert (found.state, found.item, found.slot, found.missed) == ("added", "nightly-a", "a", 2)
    assert store.item("nightly-a").source == "schedule:nightly"
    standing = store.standings()["nightly"]
    assert (standing.looked_at, standing.seq, standing.fired_at) == (later(5), 7, later(5))


def test_an_item_that_cannot_be_added_leaves_its_slot_for_later(store):
    store.begin_schedule(RULE, NOW)
    with pytest.raises(Usage):
        fire(store, "a", seconds=5, work=made(depends_on=("nobody",)))
    assert store.firings("nightly", 10) == []
    assert store.standings()["nightly"].looked_at == NOW
    assert fire(store, "a", seconds=6, work=made()) is not None


def test_a_slot_is_had_once_for_good(store):
    store.begin_schedule(RULE, NOW)
    assert fire(store, "a", work=made()) is not None
    store.move("nightly-a", WorkState.CANCELLED, "no", actor="test", now=NOW)
    assert fire(store, "a", seconds=9, work=made(slot="again")) is None
    assert store.item("nightly-again") is None
    assert store.standings()["nightly"].looked_at == later(9), "but it was looked at"
    assert store.standings()["nightly"].fired_at == NOW


def test_several_processes_at_one_slot_make_one_item(maker: Sqlite):
    with maker.opened() as first:
        first.begin_schedule(RULE, NOW)

    def race(number: int) -> bool:
        with maker.opened() as store:
            return fire(store, "a", work=made(slot=f"by-{number}")) is not None

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(race, range(8)))
    assert sum(won) == 1
    with maker.opened() as store:
        assert sum(store.counts().values()) == 1


@pytest.mark.parametrize("state", [None, WorkState.PARKED, WorkState.WAITING])
def test_what_is_open_takes_the_next_slot_in(store, state):
    store.begin_schedule(RULE, NOW)
    fire(store, "a", work=made())
    if state is not None:
        store.move("nightly-a", state, "so", actor="test", now=NOW)
    found = fire(store, "b", seconds=1, work=made(slot="b"))
    assert found is not None
    assert (found.state, found.item) == ("folded", "nightly-a")
    assert "nightly-a" in found.reason


def test_the_item_of_an_old_slot_is_not_tried_again_beside_that_of_the_new_one(store):
    store.begin_schedule(RULE, NOW)
    fire(store, "a", work=made())
    store.move("nightly-a", WorkState.CANCELLED, "no", actor="test", now=NOW)
    fire(store, "b", work=made(slot="b"))
    with pytest.raises(Refused, match="nightly-b is open for the same as nightly-a"):
        store.move("nightly-a", WorkState.READY, "again", actor="test", now=NOW)
    store.move("nightly-b", WorkState.CANCELLED, "no", actor="test", now=NOW)
    store.move("nightly-a", WorkState.READY, "again", actor="test", now=NOW)
    assert store.item("nightly-a").state is WorkState.READY


def test_a_person_who_fires_has_not_looked_at_slots(store):
    store.begin_schedule(RULE, NOW)
    assert fire(store, "hand-1", seconds=60, work=made(), seq=None) is not None
    standing = store.standings()["nightly"]
    assert (standing.looked_at, standing.fired_at) == (NOW, later(60))


def test_another_trigger_begins_anew_and_the_same_one_keeps_its_events(store):
    first = store.begin_schedule(RULE, NOW)
    store.add([item("a")], actor="test", now=NOW)
    again = store.begin_schedule(RULE, NOW - timedelta(days=1))
    assert (again.looked_at, again.seq) == (NOW - timedelta(days=1), first.seq)
    other = store.begin_schedule(Rule("nightly", "0 4 * * * UTC"), NOW)
    assert other.seq > first.seq
    store.forget_schedule("nightly", NOW)
    store.forget_schedule("nightly", NOW)
    assert store.standings() == {}


def test_a_clock_set_back_takes_the_last_firing_along(store):
    store.begin_schedule(RULE, NOW)
    fire(store, "a", seconds=3600, work=made())
    assert store.begin_schedule(RULE, NOW).fired_at == NOW


def test_a_command_goes_from_wanted_to_its_end(store):
    store.begin_schedule(RULE, NOW)
    found = fire(store, "a")
    assert found is not None
    assert (found.state, found.ended_at) == ("wanted", None)
    folded = fire(store, "b")
    assert folded is not None
    assert (folded.state, folded.reason) == ("folded", "that of a is not over")
    assert store.begin_command(found.id, NOW)
    store.end_command(found.id, "wanted", "called off", NOW)
    (waiting,) = store.open_commands()
    assert (waiting.state, waiting.tries) == ("wanted", 0)
    assert store.begin_command(found.id, NOW)
    assert store.open_commands()[0].tries == 1
    store.end_command(found.id, "failed", "exit 3", later(1), "/log")
    assert store.open_commands() == []
    assert [(f.reason, f.log, f.ended_at) for f in store.failed_commands()] == [("exit 3", "/log", later(1))]
    assert not store.begin_command(found.id, NOW), "what is over is not begun"
    store.end_command(found.id, "done", "", NOW)
    assert store.failed_commands()[0].state == "failed", "and stays as it is"
    third = fire(store, "c")
    assert third is not None
    store.begin_command(third.id, NOW)
    store.end_command(third.id, "done", "1 s", NOW)
    assert store.failed_commands() == []
    with pytest.raises(NotFound):
        store.end_command(999, "done", "", NOW)


def test_the_journal_tells_all_of_it(store):
    store.begin_schedule(RULE, NOW)
    command = fire(store, "a")
    assert command is not None
    store.begin_command(command.id, NOW)
    store.end_command(command.id, "done", "1 s", NOW)
    fire(store, "b", work=made(slot="b"))
    fire(store, "c", work=made(slot="c"))
    store.forget_schedule("nightly", NOW)
    kinds = [entry.kind for entry in store.journal() if entry.kind.startswith("schedule.")]
    said = ["begun", "fired", "running", "done", "fired", "folded", "over"]
    assert kinds == [f"schedule.{word}" for word in said]
