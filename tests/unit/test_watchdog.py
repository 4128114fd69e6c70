"""H22: a silence is judged by what is open. Time is a number here."""

from dataclasses import replace

import pytest

from harness.engine.watchdog import Watchdog
from harness.model.brief import Limits
from harness.model.events import (
    Alive,
    Compacting,
    Idle,
    Requesting,
    Retrying,
    Started,
    StopReason,
    Streaming,
    ToolEnded,
    ToolStarted,
    TurnEnded,
    Used,
)

LIMITS = Limits(session_timeout_seconds=3600, stall_threshold_seconds=15, start_seconds=60, retry_wait_seconds=900)


def watched(*events, at=1.0, limits=LIMITS):
    dog = Watchdog(limits, started=0.0)
    for event in (Started("uuid", "m"), *events):
        dog.on(event, at)
    return dog


def tool(call="t1", limit=120.0, name="Bash", digest="same"):
    return ToolStarted(call, name, "python3 -m unittest", digest, limit)


def verdict(dog, at):
    found = dog.tick(at)
    return found.reason if found else None


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ((Requesting(),), StopReason.STALLED_API),
        ((Requesting(), Streaming()), StopReason.STALLED_API),
        ((Compacting(),), StopReason.STALLED_API),
        ((), StopReason.STALLED),
        ((tool(), ToolEnded("t1", ok=True, digest="r")), StopReason.STALLED),
    ],
)
def test_silence_is_a_stall_at_the_threshold_and_not_before(events, reason):
    dog = watched(*events)
    assert verdict(dog, 15.9) is None
    assert verdict(dog, 16.0) is reason


def test_a_live_tool_may_be_silent_up_to_its_own_limit():
    dog = watched(tool(limit=120))
    assert verdict(dog, 100.0) is None
    assert verdict(dog, 180.9) is None
    found = dog.tick(181.0)
    assert found.reason is StopReason.STALLED
    assert found.doing == "Bash: python3 -m unittest"


def test_a_second_open_tool_keeps_the_session_alive_when_the_first_ends():
    dog = watched(tool("t1"), tool("t2", limit=600))
    dog.on(ToolEnded("t1", ok=True, digest="r"), 2.0)
    assert verdict(dog, 300.0) is None


def test_a_subagent_is_judged_by_its_silence_and_gets_the_time_of_a_request_more():
    """Its answers are not streamed; what its tools do is heard, and they have limits of their own."""
    agent = tool("a1", limit=float("inf"), name="Agent")
    dog = watched(agent)
    assert verdict(dog, 615.9) is None
    assert verdict(dog, 616.0) is StopReason.STALLED
    dog = watched(agent, tool("t1", limit=900))
    assert verdict(dog, 960.9) is None
    dog.on(ToolEnded("t1", ok=True, digest="r"), 900.0)
    assert verdict(dog, 1514.9) is None
    assert verdict(dog, 1515.0) is StopReason.STALLED


def test_words_beside_an_open_tool_do_not_shorten_its_limit():
    dog = watched(tool(limit=120), Streaming(), Requesting())
    assert verdict(dog, 100.0) is None


def test_a_session_that_never_starts_is_told_apart():
    dog = Watchdog(LIMITS, started=0.0)
    assert verdict(dog, 59.0) is None
    assert verdict(dog, 60.0) is StopReason.STALLED_START


def test_the_wall_clock_goes_before_everything():
    dog = watched(tool(limit=99999), limits=replace(LIMITS, session_timeout_seconds=10))
    assert verdict(dog, 9.9) is None
    assert verdict(dog, 10.0) is StopReason.TIMEOUT


def test_a_retry_after_an_http_answer_is_a_sign_of_life():
    dog = watched(Requesting())
    for n in range(1, 20):
        dog.on(Retrying(529, "overloaded", 30.0, n), n * 30.0)
        assert verdict(dog, n * 30.0 + 29.0) is None
    assert dog.waiting_for_api


def test_retries_after_answers_end_with_the_retry_wait():
    dog = watched(Requesting())
    for n in range(1, 32):
        dog.on(Retrying(529, "overloaded", 30.0, n), n * 30.0)
    assert verdict(dog, 31 * 30.0) is None
    dog.on(Retrying(529, "overloaded", 30.0, 32), 945.0)
    assert verdict(dog, 945.0) is StopReason.STALLED_API


def test_a_retry_after_silence_leaves_the_stall_clock_running():
    dog = watched(Requesting())
    dog.on(Retrying(None, "unknown", 1.0, 1), 13.0)
    dog.on(Requesting(), 14.0)
    assert verdict(dog, 15.9) is None
    assert verdict(dog, 16.0) is StopReason.STALLED_API


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_ends_the_session_at_the_first_retry(status):
    dog = watched(Requesting())
    dog.on(Retrying(status, "authentication_failed", 0.5, 1), 2.0)
    assert verdict(dog, 2.0) is StopReason.AUTH


def test_spinning_is_the_same_call_with_the_same_result_five_times_in_a_row():
    dog = watched()
    for n in range(4):
        dog.on(tool(f"t{n}"), 2.0)
        dog.on(ToolEnded(f"t{n}", ok=False, digest="same"), 2.0)
    assert verdict(dog, 2.0) is None
    dog.on(tool("t9", digest="other"), 2.0)
    dog.on(ToolEnded("t9", ok=True, digest="other"), 2.0)
    for n in range(5):
        dog.on(tool(f"u{n}"), 2.0)
        dog.on(ToolEnded(f"u{n}", ok=False, digest="same"), 2.0)
    assert verdict(dog, 2.0) is StopReason.SPINNING


def test_after_a_result_the_agent_has_half_a_minute_to_become_idle():
    dog = watched(TurnEnded("0.01"))
    assert verdict(dog, 30.9) is None
    assert verdict(dog, 31.0) is StopReason.FINISHED
    dog = watched(TurnEnded("0.01"), Idle())
    assert verdict(dog, 3000.0) is None


def test_any_event_is_a_sign_of_life():
    dog = watched(Requesting())
    dog.on(Alive(), 14.0)
    assert verdict(dog, 28.9) is None


@pytest.mark.parametrize(
    ("most", "used", "reason"),
    [(None, 10**9, None), (1000, 999, None), (1000, 1000, StopReason.BUDGET)],
)
def test_used_up_tokens_end_a_session_also_while_a_tool_runs(most, used, reason):
    dog = watched(tool(), Used(500), Used(used), limits=replace(LIMITS, max_tokens=most))
    assert verdict(dog, 2.0) is reason
    assert dog.doing.startswith("Bash")
