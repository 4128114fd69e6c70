"""Answers 429 in a row: how long a session itself waits, and when that becomes the business of all sessions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus

from harness.model.events import Limited, Retrying
from harness.model.outcome import Backoff

SIT_OUT_SECONDS = 60.0
"""The longest that a session waits out by itself; a longer wait frees its slot and is kept by every worker."""
NAMED_SECONDS = 10.0
"""The same where the API names the end: the CLI asks again in that very second, which is often too early."""
_CLI_BACKOFF = Backoff(0.75, 2, 45, 0.0)
"""More than the CLI's own waits, 0.5 s to 36 s, by attempt (research/agent-sdk 2): a longer one the API has named."""


class Refusals:
    """Told of each retry and of each answer. `retry_wait_seconds` is the operator's own limit, which may be shorter."""

    def __init__(
        self, retry_wait_seconds: float, *, monotonic: Callable[[], float], now: Callable[[], datetime]
    ) -> None:
        self._retry_wait_seconds = retry_wait_seconds
        self._monotonic = monotonic
        self._now = now
        self._since: float | None = None

    def answered(self) -> None:
        """The row is over."""
        self._since = None

    def retrying(self, event: Retrying) -> Limited | None:
        """The limit that is reached once the waits of a row add up to too much; None while they do not."""
        if event.status != HTTPStatus.TOO_MANY_REQUESTS:
            return None
        at = self._monotonic()
        self._since = at if self._since is None else self._since
        wait = timedelta(seconds=event.delay_seconds)
        named = wait > _CLI_BACKOFF.delay(event.attempt, 0.0)
        most = min(NAMED_SECONDS if named else SIT_OUT_SECONDS, self._retry_wait_seconds)
        if at - self._since + event.delay_seconds <= most:
            return None
        return Limited("throttled", "", self._now() + wait if named else None, None)
