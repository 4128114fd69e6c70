"""What every store must do with items, leases and settlements, whatever engine it stands on (architecture 5-7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model.errors import LeaseLost, NotFound, Refused, Usage
from harness.model.outcome import Asked, Disposition, Failed, Verdict, Verified
from harness.model.session import SessionStatus
from harness.model.work import Phase, WorkState
from harness.ports import LeaseRules, Settlement
from tests.kit.stores import NOW, RULES, WORK, add, back, done, failed, item, kinds, later, lease, session

S = WorkState


# --- adding -----------------------------------------------------------------------------------------------------------


def test_an_added_item_comes_back_as_it_was(store):
    whole = item(
        "a", kind="bug", description="d\n", repo="app", priority=20, lane="x", max_attempts=5, agent="g", model="m"
    )
    whole = replace(whole, scope=("src/**",), branch="b", resources=("r",), timeout_seconds=1.5, max_cost_usd=2.5)
    whole = replace(whole, labels=("l",), extra={"ticket": {"n": 7}}, source="file", dedupe_key="k", continuation=WORK)
    add(store, whole)
    found = store.item("a")
    assert found == replace(whole, rank_at=later(20 * 3600), created_at=NOW, updated_at=NOW)


def test_an_id_that_exists_is_not_added_and_its_state_is_named(store):
    add(store, item("a"))
    store.settle(lease(store), done(), NOW)
    [answer] = store.add([item("a")], actor="test", now=NOW)
    assert not answer.applied
    assert answer.detail == "id a exists: done; ./loop queue retry a"


def test_a_dedupe_key_is_live_until_its_item_is_done_or_cancelled(store):
    add(store, item("a", dedupe_key="k"))
    [again] = store.add([item("b", dedupe_key="k")], actor="test", now=NOW)
    assert (again.applied, again.detail) == (False, "already in the queue as a (ready), seen 2 times")
    store.move("a", S.PARKED, "known issue", actor="me", now=NOW)
    [parked] = store.add([item("b", dedupe_key="k")], actor="test", now=NOW)
    assert (parked.applied, parked.detail) == (False, "already in the queue as a (parked), seen 3 times")
    store.move("a", S.CANCELLED, "", actor="me", now=NOW)
    add(store, item("b", dedupe_key="k"))


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([item("a", depends_on=("nope",))], "a depends on nope, which does not exist"),
        ([item("a", depends_on=("a",))], "a -> a"),
        (
            [item("a", depends_on=("b",)), item("b", depends_on=("c",)), item("c", depends_on=("a",))],
            "a -> b -> c -> a",
        ),
        ([item("../x")], "not an item id"),
        ([item("a", state=S.LEASED)], "leased"),
    ],
)
def test_items_that_could_never_start_are_refused_all_together(store, items, said):
    with pytest.raises(Usage, match=said):
        store.add([item("good"), *items], actor="test", now=NOW)
    assert store.item("good") is None
    add(store, item("next"))
    assert [entry.item for entry in store.written()] == ["next"]


def test_dependencies_may_come_in_any_order_and_release_one_by_one(store):
    add(store, item("c", depends_on=("a", "b")), item("a"), item("b"))
    assert (store.item("c").state, store.item("c").reason) == (S.BLOCKED, "waits for a, b")
    store.settle(lease(store), done(), NOW)
    assert (store.item("c").state, store.item("c").reason) == (S.BLOCKED, "waits for b")
    store.settle(lease(store), done(), NOW)
    assert (store.item("c").state, store.item("c").depends_on) == (S.READY, ("a", "b"))


def test_a_dependant_of_a_parked_item_stays_and_says_so(store):
    add(store, item("a"), item("b", depends_on=("a",)))
    store.move("a", S.PARKED, "known issue", actor="me", now=NOW)
    assert (store.item("b").state, store.item("b").reason) == (S.BLOCKED, "waits for a (parked)")
    store.move("a", S.READY, "retry", actor="me", now=NOW)
    assert store.item("b").reason == "waits for a"


def test_a_released_item_with_a_time_of_its_own_is_delayed(store):
    add(store, item("a"), item("b", depends_on=("a",), not_before=later(60)))
    store.settle(lease(store), done(), NOW)
    assert store.item("b").state is S.DELAYED
    assert store.next_wake(NOW) == later(60)


# --- lease ------------------------------------------------------------------------------------------------------------


def test_resumed_work_goes_first_then_rank_then_age(store):
    add(store, item("low", priority=80), item("first"), item("second"), item("high", priority=20))
    add(store, item("resumed", priority=80, continuation=WORK))
    assert [lease(store).item.id for _ in range(5)] == ["resumed", "high", "first", "second", "low"]
    assert store.lease("a", RULES, NOW) is None


def test_a_rank_set_by_the_caller_is_kept(store):
    add(store, item("later"), item("sooner", rank_at=later(1)))
    assert lease(store).item.id == "sooner"


def test_a_lease_opens_an_attempt_and_fills_in_the_default_repository_for_itself_only(store):
    add(store, item("a"))
    held = lease(store)
    assert (held.fence, held.owner, held.item.repo, held.item.state) == (1, "a", "app", S.LEASED)
    [attempt] = store.attempts("a")
    assert (attempt.id, attempt.number, attempt.fence, attempt.phase) == (held.attempt_id, 1, 1, "preparing")
    assert store.item("a").repo is None


def test_only_the_newest_lease_may_write(store):
    add(store, item("a"))
    old = lease(store, "a")
    store.settle(old, back(), NOW)
    new = lease(store, "b")
    assert new.fence > old.fence
    for write in (
        lambda: store.settle(old, done(), NOW),
        lambda: store.phase(old, Phase.PROVING, NOW),
        lambda: store.open_session(old, session(old)),
        lambda: store.settle(replace(new, owner="stranger"), done(), NOW),
    ):
        with pytest.raises(LeaseLost, match="leased, lease 2 of b"):
            write()
    store.settle(new, done(), NOW)
    with pytest.raises(LeaseLost, match="done"):
        store.settle(new, done(), NOW)


def test_a_delayed_item_is_leased_when_its_time_has_come(store):
    add(store, item("a", not_before=later(60)))
    assert store.lease("a", RULES, later(59)) is None
    assert store.next_wake(NOW) == later(60)
    assert lease(store, now=later(60)).item.not_before is None
    assert kinds(store) == ["item.added", "item.moved", "item.leased"]


def test_an_item_assigned_to_a_person_is_not_leased(store):
    add(store, item("hers", assigned="eva"), item("ours", assigned="loop"))
    assert lease(store).item.id == "ours"
    assert store.lease("a", RULES, NOW) is None


def test_a_full_lane_is_passed_over(store):
    add(store, *(item(f"s{n}", lane="sweep", priority=0) for n in range(3)), item("d"))
    rules = LeaseRules("loop", {"sweep": 2, "default": None})
    taken = [lease(store, rules=rules) for _ in range(3)]
    assert [held.item.id for held in taken] == ["s0", "s1", "d"]
    assert store.lease("a", rules, NOW) is None
    store.settle(taken[0], done(), NOW)
    assert lease(store, rules=rules).item.id == "s2"


# --- settle -----------------------------------------------------------------------------------------------------------


def test_settle_writes_item_attempt_session_question_and_journal_at_once(store):
    add(store, item("a"), item("b", depends_on=("a",)))
    held = lease(store)
    store.open_session(held, session(held))
    store.written()
    ended = session(held, status=SessionStatus.COMPLETED)
    proof = Verdict("tests", "passed", 2.5)
    whole = Settlement(
        Verified("c0ffee", (proof,)),
        Disposition(S.DONE, "verified: tests"),
        session=ended,
        attempt={"base": "b", "seal": "s", "commits": ("c0ffee",)},
        question=("Which?", ("x", "y")),
    )
    found = store.settle(held, whole, later(5))
    assert (found.state, found.outcome, found.attempts, found.reason) == (S.DONE, "verified", 0, "verified: tests")
    [attempt] = store.attempts("a")
    assert (attempt.phase, attempt.outcome, attempt.ended_at) == ("settled", "verified", later(5))
    assert (attempt.base, attempt.seal, attempt.commits) == ("b", "s", ("c0ffee",))
    assert attempt.verdicts[0]["gate"] == "tests"
    assert store.session("ses_1").status is SessionStatus.COMPLETED
    assert store.item("b").state is S.READY
    assert kinds(store) == ["session.updated", "decision.asked", "item.settled", "item.moved"]


def test_a_rescue_writes_nothing_over_a_session_that_has_gone_on_since_its_evidence_was_read(store):
    add(store, item("a"))
    held = lease(store)
    store.open_session(held, session(held))
    store.update_session(session(held, status=SessionStatus.COMPLETED))
    store.written()
    killed = session(held, status=SessionStatus.KILLED)
    rescue = Settlement(Failed("lost"), Disposition(S.READY, "lost", rescued=True), session=killed)
    with pytest.raises(LeaseLost, match="ses_1 has gone on from running to completed"):
        store.settle(held, replace(rescue, seen=SessionStatus.RUNNING), NOW)
    assert (store.item("a").state, store.session("ses_1").status) == (S.LEASED, SessionStatus.COMPLETED)
    assert store.written() == []
    assert store.settle(held, replace(rescue, seen=SessionStatus.COMPLETED), NOW).rescues == 1


def test_only_endings_of_the_agent_count_and_they_end_the_rows_of_rescues(store):
    add(store, item("a"))
    rescued = Settlement(Failed("lost"), Disposition(S.READY, "lost", rescued=True))
    deferred = Settlement(Failed("usage_limit"), Disposition(S.READY, "limit", deferred=True, counted=True))
    seen = []
    for settlement in (rescued, rescued, deferred, back(WORK), failed()):
        found = store.settle(lease(store), settlement, NOW)
        seen.append((found.attempts, found.rescues, found.deferrals))
    assert seen == [(0, 1, 0), (0, 2, 0), (0, 2, 1), (0, 2, 1), (1, 0, 0)]
    assert [row.number for row in store.attempts("a")] == [1, 1, 1, 1, 1]
    last = store.attempts("a")[-1]
    assert (last.counted, last.cause, last.ending, last.evidence) == (True, "agent", "gate_failed", "2 tests red")
    again = lease(store, now=later(60))
    assert again.item.attempts == 1
    store.settle(again, rescued, NOW)
    finished = store.settle(lease(store), done(), NOW)
    assert (finished.attempts, finished.rescues, finished.deferrals) == (1, 0, 0)


def test_a_continuation_stays_until_the_next_settlement(store):
    add(store, item("a"))
    store.settle(lease(store), back(WORK), NOW)
    again = lease(store)
    assert again.item.continuation == WORK
    assert store.settle(again, done(), NOW).continuation is None


def test_a_settlement_that_fails_leaves_nothing_behind(store):
    add(store, item("a"))
    held = lease(store)
    store.written()
    with pytest.raises(NotFound, match="ses_1"):
        store.settle(held, replace(done(), session=session(held)), NOW)
    assert (store.item("a").state, store.attempts("a")[0].phase) == (S.LEASED, "preparing")
    assert store.written() == []
    store.settle(held, done(), NOW)
    assert kinds(store) == ["item.settled"]
    assert [entry.kind for entry in store.journal()] == ["item.added", "item.leased", "item.settled"]


def test_a_question_makes_the_item_wait_for_a_person(store):
    add(store, item("a"))
    asked = Settlement(
        Asked("Which?", ("x",)), Disposition(S.WAITING, "needs a person: Which?"), question=("Which?", ())
    )
    assert store.settle(lease(store), asked, NOW).state is S.WAITING
    assert store.lease("a", RULES, NOW) is None


# --- owners, sessions, attempts ---------------------------------------------------------------------------------------


def test_orphans_are_the_leases_of_dead_owners_with_their_last_session(store):
    add(store, item("a"), item("b"))
    for owner in ("dead", "alive"):
        store.register(owner, pid=1, boot="boot", start=2, kind="loop", now=NOW)
    held = lease(store, "dead")
    store.open_session(held, session(held, "ses_1"))
    store.open_session(held, session(held, "ses_2"))
    lease(store, "alive")
    [orphan] = store.orphans(["dead"])
    assert (orphan.lease.item.id, orphan.lease.fence, orphan.session.id) == ("a", 1, "ses_2")
    assert orphan.attempt.phase == "preparing"
    with pytest.raises(Refused, match="still holds a"):
        store.forget("dead", NOW)
    store.settle(orphan.lease, back(), NOW)
    store.forget("dead", NOW)
    assert store.owners() == ["alive"]
    assert store.orphans(["dead"]) == []


def test_an_owner_that_never_registered_is_known_by_its_lease(store):
    add(store, item("a"))
    lease(store, "stranger")
    assert store.owners() == ["stranger"]


def test_a_session_tells_of_its_status_and_not_of_its_heartbeats(store):
    add(store, item("a"))
    held = lease(store)
    row = replace(session(held), prompt={"template": "bootstrap"}, metrics={"turns": 3}, pid=7, boot="b", start=9)
    store.open_session(held, row)
    store.written()
    store.update_session(replace(row, heartbeat=later(1)))
    assert kinds(store) == []
    store.update_session(replace(row, status=SessionStatus.RUNNING))
    assert kinds(store) == ["session.updated"]
    assert store.session("ses_1") == replace(row, status=SessionStatus.RUNNING)
    with pytest.raises(Refused, match="exists already"):
        store.open_session(held, row)
    with pytest.raises(NotFound):
        store.update_session(replace(row, id="ses_9"))


def test_a_heartbeat_writes_what_changes_while_a_status_lasts(store):
    add(store, item("a"))
    held = lease(store)
    row = replace(session(held), prompt={"template": "bootstrap"}, metrics={"turns": 3})
    store.open_session(held, row)
    beating = replace(row, pid=8, doing="Bash: make test", heartbeat=later(1), updated_at=later(2))
    store.update_session(beating)
    assert store.session("ses_1") == beating


def test_sessions_are_listed_newest_first_by_item_and_by_life(store):
    add(store, item("a"), item("b"))
    for number, held in enumerate([lease(store), lease(store)]):
        store.open_session(held, session(held, f"ses_{number}"))
    store.update_session(session(store.orphans(["a"])[0].lease, "ses_0", SessionStatus.KILLED))
    assert [row.id for row in store.sessions()] == ["ses_1", "ses_0"]
    assert [row.id for row in store.sessions(live=True)] == ["ses_1"]
    assert [row.id for row in store.sessions(item="a")] == ["ses_0"]
    assert [row.id for row in store.sessions(limit=1)] == ["ses_1"]


def test_a_phase_records_how_far_the_attempt_is(store):
    add(store, item("a"))
    held = lease(store)
    store.phase(held, Phase.RUNNING, NOW, base="b0", workspace="/w")
    store.phase(held, Phase.PROVING, NOW, seal="s0", commits=("c1", "c2"))
    [row] = store.attempts("a")
    assert (row.phase, row.base, row.seal, row.workspace, row.commits) == ("proving", "b0", "s0", "/w", ("c1", "c2"))
    with pytest.raises(Usage, match="no colour"):
        store.phase(held, Phase.PROVING, NOW, colour="red")
    assert kinds(store)[-2:] == ["attempt.phase", "attempt.phase"]
