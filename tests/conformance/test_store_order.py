"""What every store must do for operators: their moves, and what holds work back (architecture 5-7)."""

from __future__ import annotations

import pytest

from harness.model.errors import IllegalMove, NotFound, Refused, Usage
from harness.model.outcome import Disposition, Failed, Verified
from harness.model.work import WorkState
from harness.ports import Settlement
from tests.kit.stores import NOW, RULES, add, back, done, failed, item, kinds, later, lease

S = WorkState


# --- operators' moves -------------------------------------------------------------------------------------------------


def test_retry_makes_ready_from_every_state_but_leased_and_never_forgets_attempts(store):
    add(store, item("a", max_attempts=1))
    parked = Settlement(Failed("gate_failed"), Disposition(S.PARKED, "spent", counted=True))
    store.settle(lease(store), parked, NOW)
    again = store.move("a", S.READY, "retry", actor="me", now=NOW)
    assert (again.state, again.attempts, again.max_attempts) == (S.READY, 1, 2)
    for state in (S.READY, S.WAITING, S.PARKED, S.CANCELLED):
        store.move("a", state, "by hand", actor="me", now=NOW)
        assert store.move("a", S.READY, "retry", actor="me", now=NOW).state is S.READY
    store.settle(lease(store), failed(seconds=600), NOW)
    delayed = store.move("a", S.READY, "retry", actor="me", now=NOW)
    assert (delayed.not_before, delayed.attempts, delayed.max_attempts) == (None, 2, 3)
    store.settle(lease(store), done(), NOW)
    assert store.move("a", S.READY, "retry", actor="me", now=NOW).state is S.READY


def test_moves_that_the_table_does_not_have_are_refused(store):
    add(store, item("a"))
    with pytest.raises(IllegalMove, match="a is ready: it cannot become done"):
        store.move("a", S.DONE, "", actor="me", now=NOW)
    with pytest.raises(IllegalMove):
        store.move("a", S.LEASED, "", actor="me", now=NOW)
    with pytest.raises(NotFound, match="no such item: zz"):
        store.move("zz", S.PARKED, "", actor="me", now=NOW)


def test_a_leased_item_is_left_alone(store):
    add(store, item("a"))
    lease(store)
    for change in (
        lambda: store.move("a", S.CANCELLED, "", actor="me", now=NOW),
        lambda: store.update("a", {"title": "x"}, actor="me", now=NOW),
        lambda: store.settle_held("a", S.DONE, "", "verified", NOW),
    ):
        with pytest.raises(Refused, match="being worked on"):
            change()


def test_an_update_changes_rank_and_state_as_it_must(store):
    add(store, item("a"), item("b"))
    moved = store.update("b", {"priority": 0, "title": "B", "extra": {"x": 1}}, actor="me", now=NOW)
    assert (moved.title, moved.priority, moved.rank_at, moved.extra) == ("B", 0, NOW, {"x": 1})
    assert store.update("a", {"not_before": later(9)}, actor="me", now=NOW).state is S.DELAYED
    assert store.update("a", {"not_before": None}, actor="me", now=NOW).state is S.READY
    assert store.update("a", {"depends_on": ("b",)}, actor="me", now=NOW).state is S.BLOCKED
    with pytest.raises(Usage, match="b -> a -> b"):
        store.update("b", {"depends_on": ("a",)}, actor="me", now=NOW)
    assert store.update("a", {"depends_on": ()}, actor="me", now=NOW).state is S.READY
    with pytest.raises(Usage, match="cannot change fence"):
        store.update("a", {"fence": 9}, actor="me", now=NOW)


def test_held_work_ends_without_a_lease(store):
    add(store, item("a"), item("b", depends_on=("a",)))
    held = Settlement(Verified("c", (), held="checkout is dirty"), Disposition(S.WAITING, "checkout is dirty"))
    store.settle(lease(store), held, NOW)
    found = store.settle_held("a", S.DONE, "merged", "verified", NOW)
    assert (found.state, found.outcome) == (S.DONE, "verified")
    assert store.item("b").state is S.READY


# --- pauses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["loop", "credential", "repo:app", "kind:default", "item:a"])
@pytest.mark.parametrize("kind", ["file", "operator", "condition", "probe", "hold"])
def test_nothing_of_a_paused_scope_is_leased(store, scope, kind):
    add(store, item("a"))
    store.open_pause(scope, kind, "why", "test", NOW, until=later(60))
    assert store.lease("a", RULES, NOW) is None
    assert store.close_pause(scope, None, "me", NOW) == 1
    assert lease(store).item.id == "a"


@pytest.mark.parametrize("scope", ["repo:other", "kind:bug", "item:zz"])
def test_a_pause_of_something_else_does_not_matter(store, scope):
    add(store, item("a"))
    store.open_pause(scope, "operator", "why", "test", NOW)
    assert lease(store).item.id == "a"


@pytest.mark.parametrize("scope", ["loop", "credential", "repo:app", "kind:default"])
def test_a_probe_pause_lets_one_lease_pass_after_its_time(store, scope):
    add(store, item("a"), item("b"))
    store.open_pause(scope, "probe", "429", "limits", NOW, until=later(60))
    assert store.next_wake(NOW) == later(60)
    assert store.lease("a", RULES, later(59)) is None
    probe = lease(store, now=later(60))
    assert store.lease("a", RULES, later(61)) is None
    assert scope in [entry.data.get("probes", [None])[0] for entry in store.written()]
    store.settle(probe, back(), later(62))
    assert lease(store, now=later(63)).fence == 2
    store.close_pause(scope, "limits", "engine", later(64))
    assert lease(store, now=later(65)).item.id == "b"


def test_a_probe_of_one_repository_does_not_hold_up_another(store):
    add(store, item("a", repo="app"), item("a2", repo="app"), item("b", repo="other"))
    store.open_pause("repo:app", "probe", "setup", "engine", NOW, until=later(1))
    assert [lease(store, now=later(2)).item.id for _ in range(2)] == ["a", "b"]
    assert store.lease("a", RULES, later(3)) is None


def test_what_ran_before_the_pause_holds_no_probe_up_and_a_failed_probe_is_waited_out(store):
    add(store, item("a"), item("b"), item("c"))
    lease(store)
    store.open_pause("credential", "probe", "429", "limits", NOW, until=later(1))
    probe = lease(store, now=later(2))
    assert probe.item.id == "b"
    assert store.lease("a", RULES, later(3)) is None
    store.open_pause("credential", "probe", "429", "limits", later(4), until=later(9))
    store.settle(probe, back(), later(4))
    assert store.lease("a", RULES, later(8)) is None
    assert lease(store, now=later(9)).item.id == "b"
    assert store.lease("a", RULES, later(10)) is None


def test_a_hold_ends_at_its_time_by_itself_and_is_told(store):
    add(store, item("a"))
    store.open_pause("loop", "hold", "budget", "budget", NOW, until=later(60))
    assert store.next_wake(NOW) == later(60)
    assert store.lease("a", RULES, later(59)) is None
    assert lease(store, now=later(60)).item.id == "a"
    assert store.pauses() == []
    assert kinds(store)[-2:] == ["pause.closed", "item.leased"]


def test_a_reserve_leaves_only_urgent_work_in_until_its_time(store):
    add(store, item("usual"), item("urgent", priority=20))
    store.open_pause("credential", "reserve", "90 % used", "limits", NOW, until=later(60))
    assert lease(store, now=later(1)).item.id == "urgent"
    assert store.lease("a", RULES, later(2)) is None
    assert lease(store, now=later(60)).item.id == "usual"


def test_pauses_are_one_per_scope_and_source(store):
    first = store.open_pause("loop", "file", "lunch", "interrupt-file", NOW)
    again = store.open_pause("loop", "file", "dinner", "interrupt-file", later(1))
    other = store.open_pause("loop", "operator", "mine", "eva", NOW)
    assert (again.id, again.reason, again.began_at) == (first.id, "dinner", NOW)
    assert [pause.id for pause in store.pauses()] == [first.id, other.id]
    assert store.close_pause("loop", "eva", "eva", NOW) == 1
    assert store.close_pause("loop", None, "eva", NOW) == 1
    assert store.close_pause("loop", None, "eva", NOW) == 0
    assert kinds(store) == ["pause.opened", "pause.changed", "pause.opened", "pause.closed", "pause.closed"]
