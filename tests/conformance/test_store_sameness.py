"""What every store must do about items that are the same: counted while one is open, a regression after it was done."""

from __future__ import annotations

import pytest

from harness.model.errors import Refused
from harness.model.work import WorkState
from harness.store.audit import audit
from tests.kit.stores import NOW, RULES, add, done, item, kinds, later, lease

S = WorkState


def found(store, name, now=NOW, **fields):
    [answer] = store.add([item(name, dedupe_key="crash-7", source="feed", **fields)], actor="feed", now=now)
    return answer


@pytest.mark.parametrize("state", [S.READY, S.WAITING, S.PARKED])
def test_the_same_again_is_a_sighting_and_nothing_else_changes(store, state):
    found(store, "a", description="first")
    if state is not S.READY:
        store.move("a", state, "by hand", actor="me", now=NOW)
    before, _ = store.item("a"), kinds(store)
    for number in range(9):
        answer = found(store, f"again-{number}", later(number), description="another text")
        assert (answer.id, answer.applied) == ("a", False)
        assert answer.detail == f"already in the queue as a ({state}), seen {number + 2} times"
    after = store.item("a")
    assert (after.sightings, after.last_seen_at) == (10, later(8))
    assert (after.state, after.description, after.rank_at, after.updated_at) == (
        state, "first", before.rank_at, before.updated_at,
    )  # fmt: skip
    assert kinds(store) == []
    assert len(store.items(limit=9)) == 1


def test_a_leased_one_is_sighted_too_and_its_lease_stays(store):
    found(store, "a")
    held = lease(store)
    assert not found(store, "b").applied
    assert store.settle(held, done(), NOW).state is S.DONE


def test_the_more_urgent_priority_of_the_two_wins(store, tmp_path):
    found(store, "a", priority=50)
    add(store, item("other", priority=30))
    found(store, "b", priority=80)
    assert store.item("a").priority == 50
    kinds(store)
    found(store, "b", priority=20)
    assert (store.item("a").priority, kinds(store)) == (20, ["item.updated"])
    assert lease(store).item.id == "a"
    assert audit(store.path).violations == ()


def test_after_done_it_comes_back_as_a_regression_of_the_newest_that_was_done(store):
    found(store, "a")
    store.settle(lease(store), done(), later(1))
    back = found(store, "b", later(2))
    assert (back.applied, back.detail) == (True, "ready, a regression: a was done for the same")
    assert store.item("b").regression_of == "a"
    assert not found(store, "c", later(3)).applied
    store.settle(lease(store, now=later(4)), done(), later(5))
    found(store, "c", later(6))
    assert store.item("c").regression_of == "b"


def test_after_cancelled_it_is_new(store):
    found(store, "a")
    store.move("a", S.CANCELLED, "no", actor="me", now=NOW)
    assert found(store, "b").applied
    assert store.item("b").regression_of is None


def test_what_recurs_by_its_own_source_is_no_regression(store):
    for name in ("a", "b"):
        add(store, item(name, source="schedule:nightly", dedupe_key="schedule:nightly"))
        store.settle(lease(store), done(), NOW)
    assert store.item("b").regression_of is None


def test_a_known_id_stays_a_known_id(store):
    found(store, "a")
    assert found(store, "a").detail == "already in the queue as a (ready), seen 2 times"
    store.settle(lease(store), done(), NOW)
    assert found(store, "a").detail == "id a exists: done; ./loop queue retry a"
    add(store, item("plain"))
    [answer] = store.add([item("plain")], actor="me", now=NOW)
    assert (answer.id, answer.applied, store.item("plain").sightings) == ("plain", False, 1)


def test_a_key_that_is_taken_cannot_be_given_by_a_change(store):
    found(store, "a")
    add(store, item("b"))
    with pytest.raises(Refused, match="a is open for the same as b"):
        store.update("b", {"dedupe_key": "crash-7"}, actor="me", now=NOW)
    assert store.update("b", {"dedupe_key": "crash-8"}, actor="me", now=NOW).dedupe_key == "crash-8"
    assert store.lease("x", RULES, NOW) is not None
