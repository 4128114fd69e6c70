"""What every store shows, and keeps on record: lists, integrations, the journal (contract 2-3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model.errors import LeaseLost, NotFound, StoreError
from harness.model.journal import Entry, Integration
from harness.model.work import WorkState
from tests.kit.stores import NOW, RULES, WORK, add, back, item, kinds, later, lease

S = WorkState


# --- looking ----------------------------------------------------------------------------------------------------------


def test_items_are_listed_in_the_order_of_the_queue_and_page_by_page(store):
    add(store, item("old"), item("run"), item("low", priority=80), item("mid"), item("res", continuation=WORK))
    add(store, item("blk", depends_on=("low",), priority=60), item("new"))
    store.move("old", S.CANCELLED, "", actor="me", now=later(1))
    store.move("new", S.PARKED, "", actor="me", now=later(2))
    store.update("run", {"priority": 0}, actor="me", now=NOW)
    assert lease(store).item.id == "res"
    store.settle(store.lease("a", RULES, NOW), back(WORK), NOW)
    whole = [found.id for found in store.items()]
    assert whole == ["res", "run", "mid", "blk", "low", "new", "old"]
    paged, last = [], None
    while page := store.items(limit=2, after=last):
        paged += [found.id for found in page]
        last = paged[-1]
    assert paged == whole
    assert [found.id for found in store.items(states=[S.BLOCKED, S.PARKED])] == ["blk", "new"]
    assert store.counts()[S.READY] == 3
    with pytest.raises(NotFound):
        store.items(after="zz")


def test_another_program_sees_every_commit_and_knows_that_there_was_one(maker, store):
    with maker.opened() as other:
        assert not other.changed()
        add(store, item("a"))
        assert other.changed()
        assert not other.changed()
        assert other.item("a").title == "title of a"


def test_a_reader_looks_on_while_others_write_and_changes_nothing(maker, store):
    add(store, item("a"))
    reader = maker.reader()
    add(store, item("b"))
    assert [found.id for found in reader.items()] == ["a", "b"]
    with pytest.raises(StoreError, match="reading only"):
        reader.add([item("c")], actor="me", now=NOW)
    reader.close()


def test_a_reader_of_nothing_creates_nothing(maker, tmp_path):
    with pytest.raises(NotFound, match="nothing has run here yet") as caught:
        maker.reader()
    assert "./loop init" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


# --- integrations, journal, runs --------------------------------------------------------------------------------------


def test_an_integration_is_intended_then_resolved(store):
    add(store, item("a"))
    held = lease(store)
    wish = Integration(0, "a", held.fence, "app", "main", "b0", "s0", "intended", began_at=NOW)
    row = store.intend(wish)
    with pytest.raises(LeaseLost):
        store.intend(replace(wish, fence=held.fence + 1))
    assert (row.id, row.state, row.ended_at) == (1, "intended", None)
    assert store.resolve(row.id, "held", NOW, reason="dirty", paths=("x.py",)).paths == ("x.py",)
    assert [found.id for found in store.integrations(states=["held"])] == [1]
    applied = store.resolve(row.id, "applied", later(1), merged="m0")
    assert (applied.merged, applied.ended_at, applied.reason) == ("m0", later(1), "dirty")
    assert store.integrations(item="zz") == []
    assert kinds(store)[-3:] == ["integration.intended", "integration.held", "integration.applied"]
    with pytest.raises(NotFound):
        store.resolve(99, "applied", NOW)


def test_the_journal_tells_what_happened_in_order(store):
    store.begin_run("r1", pid=7, version="0.1", now=NOW)
    add(store, item("a"), item("b"))
    store.note(Entry(NOW, "loop.idle", "loop", data={"at": NOW, "seconds": 3}))
    store.end_run("r1", reason="stop", iterations=2, now=NOW)
    told = store.journal()
    assert [entry.kind for entry in told] == ["run.begun", "item.added", "item.added", "loop.idle", "run.ended"]
    assert [entry.seq for entry in told] == [1, 2, 3, 4, 5]
    assert [entry.kind for entry in store.journal(item="a")] == ["item.added"]
    assert [entry.seq for entry in store.journal(after=3, limit=1)] == [4]
    assert [entry.seq for entry in store.written()] == [1, 2, 3, 4, 5]
    assert store.written() == []
