"""What every store must do, whatever engine it stands on (architecture 5-7, contract 2-3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.model.errors import IllegalMove, LeaseLost, NotFound, Refused, StoreError, Usage
from harness.model.journal import Entry, Integration
from harness.model.outcome import Asked, Disposition, Failed, Verdict, Verified
from harness.model.session import SessionStatus
from harness.model.work import Phase, WorkState
from harness.ports import LeaseRules, Settlement
from tests.kit.stores import (
    MAKERS,
    NOW,
    RULES,
    WORK,
    Sqlite,
    add,
    back,
    done,
    failed,
    item,
    later,
    lease,
    session,
)

S = WorkState


@pytest.fixture(params=sorted(MAKERS))
def maker(request: pytest.FixtureRequest, tmp_path: Path) -> Sqlite:
    return MAKERS[request.param](tmp_path)


@pytest.fixture
def store(maker: Sqlite) -> Iterator[object]:
    with maker.opened() as opened:
        yield opened


def kinds(store) -> list[str]:
    return [entry.kind for entry in store.written()]


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
