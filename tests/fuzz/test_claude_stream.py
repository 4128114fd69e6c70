"""Whatever the CLI says: our translation never raises, and what it gives can be watched, stored and shown."""

from __future__ import annotations

import json
import math
from dataclasses import astuple
from typing import Any

import pytest
from claude_agent_sdk import ClaudeSDKError, Message
from claude_agent_sdk._internal.message_parser import parse_message
from hypothesis import example, given
from hypothesis import strategies as st

from harness.agents.claude.normalise import SUBAGENT_TOOLS, Normaliser
from harness.engine.watchdog import Watchdog
from harness.model.brief import Limits
from harness.model.classify import classify
from harness.model.events import SessionEvent, ToolStarted
from tests.fuzz.grammar import frames
from tests.fuzz.profile import tries
from tests.kit.stores import NOW

pytestmark = pytest.mark.slow


def understood(frame: dict[str, Any]) -> Message | None:
    """What the SDK makes of a frame as it came over the pipe; None if it refuses it (then the session is over)."""
    try:
        return parse_message(json.loads(json.dumps(frame)))
    except (ClaudeSDKError, TypeError, AttributeError, KeyError):
        return None


def proper(value: Any) -> None:
    """Fit for a database, a file and a comparison."""
    if isinstance(value, str):
        value.encode()
    if isinstance(value, float):
        assert math.isfinite(value)


def watched(stream: list[dict[str, Any]]) -> list[SessionEvent]:
    """The events of a stream, each also through the watchdog; a frame a second."""
    time = [0.0]
    normaliser = Normaliser(Limits(), (600, 3600), monotonic=lambda: time[0], now=lambda: NOW)
    dog, seen = Watchdog(Limits(), started=0.0), []
    for frame in stream:
        time[0] += 1.0
        message = understood(frame)
        for event in normaliser.events(message) if message is not None else ():
            dog.on(event, time[0])
            dog.tick(time[0])
            proper(dog.doing)
            seen.append(event)
    for value in astuple(normaliser.facts):
        proper(value)
    classify(normaliser.facts, stopped=None, settled=False)
    return seen


@tries(150)
@given(stream=st.lists(frames(), max_size=8))
def test_any_stream_becomes_proper_events(stream: list[dict[str, Any]]) -> None:
    for event in watched(stream):
        if not isinstance(event, ToolStarted):
            for value in astuple(event):
                proper(value)
            continue
        proper(event.summary)
        proper(event.name)
        assert 0 <= event.limit_seconds <= (math.inf if event.name in SUBAGENT_TOOLS else 3600)


@tries(100)
@given(frame=frames(most=3))
@example(frame={"type": "system", "subtype": "api_retry", "attempt": "nine", "retry_delay_ms": 10**400})
@example(
    frame={
        "type": "result",
        "subtype": "success",
        "is_error": 0,
        "duration_ms": 0,
        "duration_api_ms": 0,
        "num_turns": 0,
        "session_id": "s",
        "total_cost_usd": 1e300,
    }
)
def test_a_message_of_another_shape_is_a_sign_of_life(frame: dict[str, Any]) -> None:
    message = understood(frame)
    delta = isinstance(frame.get("type"), str) and frame["type"] == "stream_event"
    if message is not None and not delta and _holds_something(frame):
        assert watched([frame])


def _holds_something(frame: dict[str, Any]) -> bool:
    """A message without a block has nothing to tell."""
    message = frame.get("message")
    return not isinstance(message, dict) or bool(message.get("content")) or frame.get("type") == "user"


@pytest.mark.parametrize("timeout", [-5, 0, float("nan"), float("inf"), 10**400, "600", None, [1], True])
def test_a_time_limit_that_is_none_leaves_the_default(timeout: object) -> None:
    block = {"type": "tool_use", "id": "c", "name": "Bash", "input": {"command": "make", "timeout": timeout}}
    (event,) = watched([{"type": "assistant", "message": {"model": "m", "content": [block]}}])
    assert isinstance(event, ToolStarted)
    assert event.limit_seconds == 600
