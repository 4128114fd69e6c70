"""An API that goes wrong under a running loop: what the CLI gets over costs nothing, the rest is told as its row says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.kit.endings import assert_as_on_the_page
from tests.kit.loop import Turn, Yard, sessions, until, work, yard

pytestmark = [pytest.mark.cli, pytest.mark.process, pytest.mark.slow, pytest.mark.night]

BUSY_SECONDS = 4
SURVIVED: Mapping[str, Mapping[str, Any]] = {
    "cut": {"drop": True},
    "sse": {"sse_error": "overloaded_error"},
    "brief": {"kind": "rate_limited", "headers": {"retry-after": "2"}, "until_seconds": 2},
    "late": {"hang": 2, "times": 1},
    "busy": {"kind": "overloaded", "until_seconds": BUSY_SECONDS},
}
"""Faults of the answer that a session gets over by itself."""
FAILED: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "down": ({"kind": "overloaded"}, "api_down"),
    "mute": ({"hang": "forever"}, "stalled_api"),
    "odd": ({"status": 400, "message": "messages.1: tool_use ids"}, "protocol"),
}
"""Faults of every answer, and the ending they lead to."""
AGENTS = {
    "default": {"type": "claude"},
    "down": {"type": "claude", "retry_wait_seconds": 1},
    "mute": {"type": "claude", "stall_threshold": 3},
    "odd": {"type": "claude"},
}


def spoilt(name: str, fault: Mapping[str, Any]) -> tuple[Turn, ...]:
    first, *rest = work(f"{name}.txt")
    return ({**first, "fault": fault}, *rest)


def ends(place: Yard, item: str) -> int:
    with place.store() as store:
        return sum(attempt.outcome is not None for attempt in store.attempts(item))


def test_what_an_api_does_wrong_is_got_over_or_told_and_costs_no_attempt(tmp_path: Path) -> None:
    scripts = {name: spoilt(name, fault) for name, fault in SURVIVED.items()}
    scripts |= {name: spoilt(name, fault) for name, (fault, _) in FAILED.items()}
    with yard(tmp_path, sessions(**scripts), gate="test -f README.md", harness={"workers": 2}, agents=AGENTS) as place:
        for name in SURVIVED:
            place.add(name, priority="high")
        for name in FAILED:
            place.add(name, priority="low", agent=name)
        place.start()
        until(lambda: all(place.item(name).state == "done" for name in SURVIVED), 60, "the end of what is got over")
        until(lambda: all(ends(place, name) for name in FAILED), 60, "an end of each that fails")
        until(lambda: place.item("odd").state == "parked", 60, "the third end of what is refused for ever")
        for name in SURVIVED:
            found = place.item(name)
            assert (found.outcome, found.attempts, found.deferrals, found.rescues) == ("verified", 0, 0, 0), found
            assert len(place.sessions(name)) == 1
        for name, (_, ending) in FAILED.items():
            assert_as_on_the_page(place.home, name, ending)
            assert place.item(name).attempts == 0
        assert waited_for_the_api(place, "busy")
        assert [row.ending for row in place.sessions("odd")] == ["protocol"] * 3


def waited_for_the_api(place: Yard, item: str) -> bool:
    """Whether a person could see it: the session's state was `waiting_api` for a while."""
    with place.store() as store:
        told = store.journal(item=item, limit=1000)
    return any(entry.kind == "session.updated" and entry.data.get("status") == "waiting_api" for entry in told)
