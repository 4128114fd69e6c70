"""Answers 429: short waits are the session's own, a long one is everybody's, and what the API named is kept (H21, B3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from harness.agents.claude.refusals import SIT_OUT_SECONDS, Refusals
from harness.engine.watchdog import Watchdog
from harness.model.brief import Limits
from harness.model.classify import classify
from harness.model.events import AgentExit, Idle, Limited, Retrying, Started, StopReason, TurnEnded

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
CLI_WAITS = (0.5, 1.1, 2.3, 4.6, 9.2, 19, 34, 36, 35, 35)
"""Seconds the CLI waits by itself between answers without a word on how long (research/agent-sdk 2)."""


@dataclass
class Asking:
    """A session that is refused again and again; time passes as it waits."""

    seconds: float = 0.0
    refusals: Refusals = field(init=False)

    def __post_init__(self) -> None:
        now = lambda: NOW + timedelta(seconds=self.seconds)  # noqa: E731
        self.refusals = Refusals(900, monotonic=lambda: self.seconds, now=now)

    def refused(self, delay: float, attempt: int = 1, status: int = 429) -> Limited | None:
        found = self.refusals.retrying(Retrying(status, "rate_limit", delay, attempt))
        self.seconds += delay
        return found


@pytest.fixture
def asking() -> Asking:
    return Asking()


@pytest.mark.parametrize("seconds", [11, 100, 3600])
def test_a_long_wait_that_the_api_names_is_a_limit_at_once(asking: Asking, seconds: float) -> None:
    assert asking.refused(seconds) == Limited("throttled", "", NOW + timedelta(seconds=seconds), None)


def test_a_short_wait_is_sat_out_but_not_for_ever(asking: Asking) -> None:
    assert [asking.refused(4), asking.refused(4, 2)] == [None, None]
    limit = asking.refused(4, 3)
    assert limit is not None
    assert limit.resets_at == NOW + timedelta(seconds=12)


def test_refused_without_a_word_on_how_long_it_is_a_limit_without_an_end_after_a_minute(asking: Asking) -> None:
    told = [asking.refused(wait, number) for number, wait in enumerate(CLI_WAITS, 1)]
    first = next(index for index, limit in enumerate(told) if limit is not None)
    assert sum(CLI_WAITS[: first + 1]) > SIT_OUT_SECONDS >= sum(CLI_WAITS[:first])
    assert {limit.resets_at for limit in told[first:] if limit is not None} == {None}


def test_an_answer_begins_a_new_row(asking: Asking) -> None:
    asking.refused(9)
    asking.refusals.answered()
    assert asking.refused(9) is None


def test_other_statuses_are_not_the_accounts_limit(asking: Asking) -> None:
    assert asking.refused(600, status=529) is None


def test_the_operators_own_patience_may_be_shorter() -> None:
    hasty = Refusals(1, monotonic=lambda: 0.0, now=lambda: NOW)
    assert hasty.retrying(Retrying(429, "rate_limit", 2.0, 1)) is not None


@pytest.mark.parametrize(("status", "ending"), [("rejected", "usage_limit"), ("throttled", "throttled")])
def test_a_limit_ends_the_session_at_once_and_is_its_ending(status: str, ending: str) -> None:
    limit, dog = Limited(status, "", NOW, None), Watchdog(Limits(), 0.0)
    dog.on(Started("uuid", "m"), 1.0)
    dog.on(limit, 2.0)
    found = dog.tick(2.0)
    assert found is not None
    assert found.reason is StopReason.LIMITED
    aborted = AgentExit(
        subtype="error_during_execution", is_error=True, terminal_reason="aborted_streaming", limit=limit
    )
    assert classify(aborted, stopped=found.reason, settled=False) == ending


def test_a_session_that_has_given_up_by_itself_is_not_stopped() -> None:
    dog = Watchdog(Limits(), 0.0)
    for event in (Started("uuid", "m"), Limited("rejected", "five_hour", NOW, None), TurnEnded(None), Idle()):
        dog.on(event, 1.0)
    assert dog.tick(1.0) is None


@pytest.mark.parametrize("status", ["allowed", "allowed_warning"])
def test_what_is_near_the_limit_goes_on(status: str) -> None:
    dog = Watchdog(Limits(), 0.0)
    dog.on(Started("uuid", "m"), 1.0)
    dog.on(Limited(status, "five_hour", NOW, 0.9), 1.0)
    assert dog.tick(1.0) is None
