"""A session's log read back as the events that the loop saw, each with its time: to judge the watchdog afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from claude_agent_sdk import ClaudeSDKError
from claude_agent_sdk._internal.message_parser import parse_message

from harness.agents.claude.cli import BASH_DEFAULT_SECONDS, BASH_MAX_SECONDS
from harness.agents.claude.normalise import Normaliser
from harness.model.brief import Limits
from harness.model.events import SessionEvent


def events(frames: Iterable[tuple[float, Mapping[str, Any]]], limits: Limits) -> Iterator[tuple[float, SessionEvent]]:
    """Events of frames that arrived at these seconds, in their order. Ends at a frame that the SDK refuses, as the
    session would.
    """
    now, longest = 0.0, limits.session_timeout_seconds
    bash = (min(BASH_DEFAULT_SECONDS, longest), min(BASH_MAX_SECONDS, longest))
    normaliser = Normaliser(limits, bash, monotonic=lambda: now, now=lambda: datetime.now(UTC))
    for now, frame in frames:
        try:
            message = parse_message(dict(frame))
        except (ClaudeSDKError, TypeError, AttributeError, KeyError):
            return
        if message is not None:
            yield from ((now, event) for event in normaliser.events(message))
