"""What the queue does about an outcome (architecture 6): the table is the specification, row by row."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.outcome import (
    AGENT_BACKOFF,
    API_BACKOFF,
    ENDINGS,
    Asked,
    Cause,
    Claimed,
    Failed,
    Interrupted,
    Resume,
    Scope,
    Verdict,
    Verified,
    dispose,
)
from harness.model.work import TRANSITIONS, Continuation, WorkItem, WorkState

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
ITEM = WorkItem("wrk_1", "a title")
WORK = Continuation("session", "why", "ses_1", "uuid-1", "/ws", "refs/harness/ses_1/wip/1", base="b" * 40)
PASSED = (Verdict("tests", "passed", 1.0),)

AGENT = {
    *("unreported", "no_change", "uncommitted", "gate_failed", "max_turns", "budget", "timeout"),
    *("spinning", "runaway", "refusal", "context_full"),
}
BY_CAUSE = {
    Cause.AGENT: AGENT,
    Cause.LIMIT: {"usage_limit", "throttled"},
    Cause.API: {"api_down", "stalled_api"},
    Cause.AUTH: {"auth", "billing"},
    Cause.CONFIG: {
        "cli_missing",
        "model_unknown",
        "setup",
        "gate_broken",
        "sandbox_missing",
        "template",
        "policy_wall",
    },
    Cause.RESOURCE: {"disk_full", "memory", "base_red"},
    Cause.REVIEW: {"review_findings"},
    Cause.HARNESS: {
        "unreviewed",
        *("crashed", "lost", "agent_init_killed", "conversation_gone", "stalled", "stalled_start", "protocol"),
        *("conflict", "fault"),
    },
    Cause.PERMANENT: {"invalid_item", "repo_missing"},
}


@pytest.mark.parametrize(("cause", "endings"), BY_CAUSE.items())
def test_the_table_has_the_endings_of_the_design(cause, endings):
    assert {name for name, rule in ENDINGS.items() if rule.cause is cause} == endings


@pytest.mark.parametrize("ending", ENDINGS)
def test_only_failures_of_the_agent_are_counted(ending):
    assert dispose(ITEM, Failed(ending), NOW).counted == (ending in AGENT)


@pytest.mark.parametrize("ending", sorted(AGENT - {"context_full"}))
def test_a_counted_failure_waits_longer_each_time_and_parks_at_the_maximum(ending):
    first = dispose(ITEM, Failed(ending), NOW, work=WORK)
    assert first.state is WorkState.DELAYED
    assert timedelta(seconds=48) <= first.not_before - NOW <= timedelta(seconds=72)
    second = dispose(replace(ITEM, attempts=1), Failed(ending), NOW, work=WORK)
    assert timedelta(seconds=192) <= second.not_before - NOW <= timedelta(seconds=288)
    last = dispose(replace(ITEM, attempts=2), Failed(ending), NOW, work=WORK)
    assert last.state is WorkState.PARKED
    assert last.counted


def test_a_full_conversation_is_handed_over_twice_uncounted_then_it_counts():
    for number in (0, 1):
        over = dispose(ITEM, Failed("context_full"), NOW, work=WORK, handovers=number)
        assert (over.state, over.counted, over.rescued, over.deferred) == (WorkState.READY, False, False, False)
        assert over.continuation == replace(WORK, mode="work", claude_session_id=None)
        assert f"hand-over {number + 1} of 2" in over.reason
    third = dispose(ITEM, Failed("context_full"), NOW, work=WORK, handovers=2)
    assert (third.state, third.counted) == (WorkState.DELAYED, True)


def test_findings_of_a_review_go_back_at_once_uncounted_to_the_same_conversation():
    back = dispose(replace(ITEM, attempts=2, rescues=2), Failed("review_findings"), NOW, work=WORK)
    assert (back.state, back.continuation, back.counted, back.rescued) == (WorkState.READY, WORK, False, False)


@pytest.mark.parametrize("ending", [name for name, rule in ENDINGS.items() if rule.resume is not Resume.NO])
def test_a_seal_stays_a_seal_whatever_ends_its_proof(ending):
    seal = replace(WORK, mode="seal", seal="c" * 40)
    assert dispose(ITEM, Failed(ending), NOW, work=seal).continuation == seal


def test_automatic_interrupts_are_due_only_when_the_attempts_are_used_up():
    assert dispose(ITEM, Failed("gate_failed"), NOW).interrupt is None
    spent = replace(ITEM, attempts=2)
    assert dispose(spent, Failed("gate_failed"), NOW).interrupt == "quality_gate_failure"
    assert dispose(spent, Failed("timeout"), NOW).interrupt == "session_timeout"
    assert dispose(spent, Failed("budget"), NOW).interrupt is None


def test_a_limit_pauses_the_credential_until_its_reset_and_resumes_the_same_conversation():
    reset = NOW + timedelta(hours=2)
    known = dispose(ITEM, Failed("usage_limit", wait_until=reset), NOW, work=WORK)
    assert (known.state, known.pause, known.continuation) == (WorkState.READY, Scope.CREDENTIAL, WORK)
    assert known.pause_until == reset + timedelta(seconds=5)
    unknown = [dispose(replace(ITEM, deferrals=n), Failed("throttled"), NOW).pause_until - NOW for n in range(7)]
    assert unknown == [timedelta(seconds=s) for s in (60, 120, 240, 480, 960, 1800, 1800)]


def test_an_api_failure_delays_the_item_and_counts_nothing():
    left = dispose(ITEM, Failed("api_down"), NOW, work=WORK)
    assert (left.state, left.counted, left.deferred, left.continuation) == (WorkState.DELAYED, False, True, WORK)
    assert left.not_before - NOW <= timedelta(seconds=15)


@pytest.mark.parametrize("ending", ["auth", "billing", "cli_missing", "disk_full", "memory"])
def test_what_stops_everybody_pauses_the_loop_and_keeps_the_item_ready(ending):
    left = dispose(ITEM, Failed(ending), NOW)
    assert (left.state, left.pause, left.counted) == (WorkState.READY, Scope.LOOP, False)


@pytest.mark.parametrize("ending", ["model_unknown", "policy_wall"])
def test_a_mistake_of_one_item_waits_for_a_person(ending):
    assert dispose(ITEM, Failed(ending), NOW).state is WorkState.WAITING


def test_a_failure_of_ours_resumes_once_then_begins_afresh_then_parks_uncounted():
    first = dispose(ITEM, Failed("crashed"), NOW, work=WORK)
    assert (first.state, first.rescued, first.continuation.mode) == (WorkState.READY, True, "session")
    second = dispose(replace(ITEM, rescues=1), Failed("crashed"), NOW, work=WORK)
    assert (second.continuation.mode, second.continuation.claude_session_id) == ("work", None)
    third = dispose(replace(ITEM, rescues=2), Failed("crashed"), NOW, work=WORK)
    assert (third.state, third.counted) == (WorkState.PARKED, False)


@pytest.mark.parametrize("ending", ["lost", "agent_init_killed"])
def test_poison_an_item_under_which_a_second_loop_or_agent_init_is_killed_is_parked_whatever_its_counters_say(ending):
    fresh = replace(ITEM, attempts=0, rescues=0, max_attempts=9)
    assert dispose(fresh, Failed(ending), NOW, work=WORK, kills=0).state is WorkState.READY
    parked = dispose(fresh, Failed(ending), NOW, work=WORK, kills=1)
    assert (parked.state, parked.counted, parked.continuation) == (WorkState.PARKED, False, WORK)
    assert "poison" in parked.reason
    assert dispose(fresh, Failed("crashed"), NOW, work=WORK, kills=1).state is WorkState.READY


@pytest.mark.parametrize("rescues", range(5))
def test_a_conversation_that_is_gone_begins_afresh_on_the_kept_work_and_is_no_rescue(rescues):
    left = dispose(replace(ITEM, rescues=rescues), Failed("conversation_gone"), NOW, work=WORK)
    assert (left.state, left.counted, left.rescued) == (WorkState.READY, False, False)
    assert left.continuation == replace(WORK, mode="work", claude_session_id=None)


def test_sealed_work_stays_sealed_however_often_its_loop_dies():
    sealed = replace(WORK, mode="seal", seal="5" * 40)
    assert dispose(replace(ITEM, rescues=1), Failed("lost"), NOW, work=sealed).continuation == sealed


def test_good_ends():
    assert dispose(ITEM, Verified("h", PASSED), NOW).state is WorkState.DONE
    assert dispose(ITEM, Verified("h", PASSED, held="a.py is in the way"), NOW).state is WorkState.WAITING
    assert dispose(ITEM, Claimed("h"), NOW).state is WorkState.DONE
    asked = dispose(ITEM, Asked("which?", ("a", "b")), NOW, work=WORK)
    assert (asked.state, asked.interrupt, asked.continuation) == (WorkState.WAITING, "approval_required", WORK)
    interrupted = dispose(ITEM, Interrupted("pause", "operator"), NOW, work=WORK)
    assert (interrupted.state, interrupted.counted, interrupted.continuation) == (WorkState.READY, False, WORK)


def _outcomes():
    failed = st.builds(Failed, st.sampled_from(sorted(ENDINGS)), st.text(max_size=5))
    others = (Verified("h", PASSED), Verified("h", PASSED, held="x"), Claimed("h"), Interrupted("p", "o"), Asked("q"))
    return failed | st.sampled_from(others)


@given(
    _outcomes(),
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 400),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([None, WORK]),
)
def test_every_outcome_leads_from_leased_to_a_legal_state(outcome, attempts, rescues, deferrals, spread, work):
    item = replace(ITEM, attempts=attempts, rescues=rescues, deferrals=deferrals, state=WorkState.LEASED)
    left = dispose(item, outcome, NOW, spread=spread, work=work)
    assert left.state in TRANSITIONS[WorkState.LEASED]
    assert (left.not_before is not None) == (left.state is WorkState.DELAYED)
    assert (left.pause_until is not None) == (left.pause is not None)
    if isinstance(outcome, Failed) and ENDINGS[outcome.ending].resume is Resume.FRESH and left.continuation:
        assert left.continuation.claude_session_id is None


@given(st.integers(1, 2000), st.floats(0, 1, exclude_max=True))
def test_backoff_never_exceeds_its_cap_and_never_overflows(count, spread):
    for backoff in (AGENT_BACKOFF, API_BACKOFF):
        assert timedelta(0) <= backoff.delay(count, spread) <= timedelta(seconds=backoff.cap_seconds)
