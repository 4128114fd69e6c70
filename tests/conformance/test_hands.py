"""Items in the hands of persons, whatever engine the store stands on (O10, R12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.model.errors import NotFound, Refused
from harness.model.journal import Integration
from harness.model.outcome import Asked, Failed, Interrupted, Outcome, Verified, dispose
from harness.model.work import Continuation, Lease, Phase, WorkState
from harness.ports import Settlement
from tests.kit.stores import MAKERS, NOW, RULES, WORK, add, back, done, failed, item, later, lease

S = WorkState


@pytest.fixture(params=sorted(MAKERS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[object]:
    with MAKERS[request.param](tmp_path).opened() as opened:
        yield opened


def take(store, person: str = "alice", name: str = "a"):
    return store.take(name, person, actor=person, now=NOW)


def hand_in(store) -> Lease:
    return store.lease_by_hand("hand-1", "a", "app", NOW)


def settle(store, lease_: Lease, outcome: Outcome):
    disposition = dispose(lease_.item, outcome, NOW, work=lease_.item.continuation)
    return store.settle(lease_, Settlement(outcome, disposition), NOW)


def test_a_taken_item_waits_for_its_person_and_is_not_leased(store):
    add(store, item("a", priority=0))
    taken = take(store)
    assert (taken.state, taken.assigned, taken.by_hand, taken.fence) == (S.WAITING, "alice", True, 0)
    assert taken.reason.startswith("in the hands of alice since 2026-01-")
    assert store.lease("loop", RULES, NOW) is None
    assert [entry.kind for entry in store.written()] == ["item.added", "item.taken"]


def test_taking_it_twice_is_taking_it_once_and_nobody_else_can(store):
    add(store, item("a"))
    first = take(store)
    assert store.take("a", "alice", actor="alice", now=later(3600)) == first
    with pytest.raises(Refused, match="in the hands of alice") as caught:
        take(store, "bob")
    assert caught.value.hint == "./loop queue return a"


@pytest.mark.parametrize("state", [S.DELAYED, S.WAITING, S.PARKED, S.BLOCKED])
def test_whatever_is_not_worked_on_or_finished_can_be_taken(store, state):
    add(store, item("z"), item("a", not_before=later(60) if state is S.DELAYED else None))
    if state is S.BLOCKED:
        store.update("a", {"depends_on": ("z",)}, actor="test", now=NOW)
    elif state is not S.DELAYED:
        store.move("a", state, "x", actor="test", now=NOW)
    assert store.item("a").state is state
    assert take(store).state is S.WAITING


def test_what_is_leased_or_finished_cannot_be_taken(store):
    add(store, item("a"))
    held = lease(store)
    with pytest.raises(Refused, match="being worked on") as caught:
        take(store)
    assert "session stop" in caught.value.hint
    store.settle(held, done(), NOW)
    with pytest.raises(Refused, match="finished: done"):
        take(store)
    with pytest.raises(NotFound):
        take(store, name="ghost")


def test_what_was_left_by_sessions_is_kept_for_the_person(store):
    add(store, item("a"))
    store.settle(lease(store), back(replace(WORK, base="b0", wip_ref="refs/w/1")), NOW)
    hand = take(store).continuation
    assert (hand.session, hand.base, hand.wip_ref) == ("ses_0", "b0", "refs/w/1")


def test_held_work_is_not_integrated_under_the_hands_of_a_person(store):
    add(store, item("a"))
    held = lease(store)
    row = store.intend(Integration(0, "a", 1, "app", "main", "b0", "s1", "intended", merged="m1", began_at=NOW))
    store.resolve(row.id, "held", NOW, reason="in the way")
    store.settle(held, back(), NOW)
    take(store)
    assert [each.state for each in store.integrations(item="a")] == ["aborted"]


def test_given_back_it_is_ready_unassigned_and_goes_on_from_there(store):
    add(store, item("a", max_attempts=1))
    store.settle(lease(store), failed(), NOW)
    store.move("a", S.PARKED, "x", actor="test", now=NOW)
    take(store)
    work = Continuation("work", "given back", wip_ref="refs/w/2", base="b0")
    given = store.give_back("a", work, actor="alice", now=NOW)
    assert (given.state, given.assigned, given.continuation) == (S.READY, None, work)
    assert (given.attempts, given.max_attempts) == (1, 2)
    assert lease(store).item.continuation == work
    with pytest.raises(Refused):
        store.give_back("a", work, actor="alice", now=NOW)


def test_given_back_it_still_waits_for_what_it_depends_on(store):
    add(store, item("z"), item("a", depends_on=("z",)))
    take(store)
    assert store.give_back("a", None, actor="alice", now=NOW).state is S.BLOCKED
    assert take(store).state is S.WAITING


def test_only_what_somebody_has_taken_can_be_handed_in_and_only_once_at_a_time(store):
    add(store, item("a"))
    with pytest.raises(Refused, match="nobody has taken a: it is ready") as caught:
        hand_in(store)
    assert caught.value.hint == "./loop queue take a"
    take(store)
    held = hand_in(store)
    assert (held.fence, held.item.by_hand, held.item.repo) == (1, True, "app")
    with pytest.raises(Refused, match="being worked on"):
        hand_in(store)
    with pytest.raises(Refused):
        take(store)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Failed("gate_failed", "2 tests red"), "gate_failed"),
        (Failed("base_red", "red"), "base_red"),
        (Failed("lost", ""), "lost"),
        (Interrupted("cut off", "operator"), "cut off"),
        (Asked("is this meant?"), "is this meant?"),
    ],
)
def test_what_is_not_good_yet_stays_with_its_person_and_is_not_counted(store, outcome, said):
    add(store, item("a", max_attempts=1))
    before = take(store)
    for fence in (1, 2, 3):
        after = settle(store, hand_in(store), outcome)
        assert (after.state, after.assigned, after.fence) == (S.WAITING, "alice", fence)
        assert (after.attempts, after.rescues, after.deferrals) == (0, 0, 0)
    assert after.reason.startswith(before.reason)
    assert said in after.reason
    assert after.continuation == before.continuation
    assert not any(attempt.counted for attempt in store.attempts("a"))
    assert store.streak(5) == []


def test_what_is_good_is_done_and_says_who_did_it(store):
    add(store, item("a"))
    take(store)
    held = hand_in(store)
    store.phase(held, Phase.PROVING, NOW, seal="s1")
    after = settle(store, held, Verified("m1", ()))
    assert (after.state, after.outcome, after.assigned, after.by_hand) == (S.DONE, "verified", "alice", False)
    assert store.move("a", S.READY, "again", actor="test", now=NOW).state is S.READY


def test_the_branch_may_get_it_by_command_meanwhile(store):
    add(store, item("a"))
    take(store)
    after = store.settle_held("a", S.DONE, "integrated", "verified", NOW)
    assert (after.state, after.by_hand) == (S.DONE, False)


def test_an_operator_cannot_send_an_agent_into_the_folder_of_a_person_but_may_take_the_item_away(store):
    add(store, item("a"))
    take(store)
    with pytest.raises(Refused) as caught:
        store.move("a", S.READY, "retried", actor="bob", now=NOW)
    assert caught.value.hint == "./loop queue return a"
    after = store.move("a", S.PARKED, "parked", actor="bob", now=NOW)
    assert (after.assigned, after.by_hand, after.continuation.mode) == (None, False, "work")
