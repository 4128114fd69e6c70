"""What every store must do about items that wait for others: hold, skip or run on when one of those fails."""

from __future__ import annotations

import pytest

from harness.model.errors import Usage
from harness.model.outcome import Disposition, Failed
from harness.model.work import WorkState
from harness.ports import Settlement
from tests.kit.stores import NOW, RULES, add, done, item, lease

S = WorkState
PARKED = Settlement(Failed("gate_failed"), Disposition(S.PARKED, "spent", counted=True))


def states(store):
    return {each.id: each.state.value for each in store.items(limit=100)}


def test_a_failed_dependency_holds_skips_or_lets_run(store):
    add(store, item("a"), *(item(rule, depends_on=("a",), on_failure=rule) for rule in ("hold", "skip", "run")))
    assert set(states(store).values()) == {"ready", "blocked"}
    store.settle(lease(store), PARKED, NOW)
    assert states(store) == {"a": "parked", "hold": "blocked", "skip": "cancelled", "run": "ready"}
    assert store.item("hold").reason == "waits for a (parked)"
    assert store.item("skip").reason == "skipped: depends on a (parked)"
    assert store.item("run").reason == "goes on without a (parked)"
    assert lease(store).item.id == "run"


def test_taken_up_again_and_done_it_releases_what_was_held(store):
    add(store, item("a"), item("b", depends_on=("a",)))
    store.move("a", S.CANCELLED, "not now", actor="me", now=NOW)
    assert store.item("b").reason == "waits for a (cancelled)"
    store.move("a", S.READY, "now", actor="me", now=NOW)
    assert store.item("b").reason == "waits for a"
    store.settle(lease(store), done(), NOW)
    assert (store.item("b").state, store.item("b").reason) == (S.READY, "")


def test_a_chain_follows_item_by_item_each_by_its_own_rule(store):
    chain = [item(f"n{n}", depends_on=(f"n{n - 1}" if n else "a",), on_failure="skip") for n in range(1500)]
    add(store, item("a"), *chain)
    add(store, item("held", depends_on=("n1499",)), item("runs", depends_on=("n1499",), on_failure="run"))
    store.move("a", S.CANCELLED, "not needed", actor="me", now=NOW)
    assert store.counts()[S.CANCELLED] == 1501
    assert (store.item("held").state, store.item("runs").state) == (S.BLOCKED, S.READY)
    assert store.item("n1499").reason == "skipped: depends on n1498 (cancelled)"


def test_one_failed_is_enough_to_skip_and_with_run_the_others_are_waited_for(store):
    add(store, item("a"), item("b"), item("skip", depends_on=("b", "a"), on_failure="skip"))
    add(store, item("run", depends_on=("b", "a"), on_failure="run"))
    store.move("a", S.PARKED, "later", actor="me", now=NOW)
    assert store.item("skip").state is S.CANCELLED
    assert (store.item("run").state, store.item("run").reason) == (S.BLOCKED, "waits for b")


def test_what_has_failed_already_counts_when_an_item_is_added_and_when_its_rule_changes(store):
    add(store, item("a"))
    store.move("a", S.PARKED, "later", actor="me", now=NOW)
    [skipped] = store.add([item("b", depends_on=("a",), on_failure="skip")], actor="me", now=NOW)
    assert (skipped.applied, skipped.detail) == (True, "cancelled: skipped: depends on a (parked)")
    add(store, item("y", depends_on=("x",), on_failure="skip"), item("x", depends_on=("a",), on_failure="skip"))
    assert (store.item("x").state, store.item("y").state) == (S.CANCELLED, S.CANCELLED)
    add(store, item("c", depends_on=("a",)), item("d", depends_on=("c",), on_failure="skip"))
    assert (store.item("c").state, store.item("d").state) == (S.BLOCKED, S.BLOCKED)
    assert store.update("c", {"on_failure": "skip"}, actor="me", now=NOW).state is S.CANCELLED
    assert store.item("d").state is S.CANCELLED
    add(store, item("e", depends_on=("a",)))
    assert store.update("e", {"on_failure": "run"}, actor="me", now=NOW).state is S.READY
    assert store.lease("x", RULES, NOW).item.id == "e"


def test_a_circle_is_refused_by_name_however_it_is_made(store):
    circle = [item("a", depends_on=("c",)), item("b", depends_on=("a",)), item("c", depends_on=("b",))]
    with pytest.raises(Usage, match="a -> c -> b -> a"):
        store.add(circle, actor="me", now=NOW)
    add(store, item("a"), item("b", depends_on=("a",)), item("c", depends_on=("b",)))
    with pytest.raises(Usage, match="a -> c -> b -> a"):
        store.update("a", {"depends_on": ("c",)}, actor="me", now=NOW)
    assert store.item("a").depends_on == ()
