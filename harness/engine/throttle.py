"""What the API says of the account's limits holds for all workers: one probe after the reset, the rest a little later.

near the limit ──► reserve: only urgent work begins, until the reset
limit reached  ──► probe pause until the reset + 5 s ──► the probe is answered ──► the others, spread over 30 s
                         ▲                                    │ limited again
                         └────────────────────────────────────┘
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from harness.engine.state import LoopState
from harness.model.events import Limited, SessionEvent, Streaming, ToolStarted
from harness.model.journal import Pause
from harness.model.outcome import Disposition, limit_ends, sentence_of
from harness.model.session import SessionRow
from harness.model.work import Lease
from harness.ports import Books, Clock

NEAR = 0.85
SPREAD_SECONDS = 30.0
UNKNOWN_WINDOW = timedelta(minutes=5)


@dataclass(slots=True)
class Throttle:
    """A Listener and a Door (architecture 7). `spread` gives random numbers in [0, 1)."""

    books: Books
    clock: Clock
    state: LoopState
    workers: int = 1
    spread: Callable[[], float] = random.random
    _careful_until: float = 0.0
    _next: float = 0.0
    _reached_kind: str | None = None

    async def heard(self, row: SessionRow, event: SessionEvent) -> None:
        match event:
            case Limited(status="rejected" | "throttled"):
                await self._reached(row, event)
            case Limited():
                await self._told(event)
            case Streaming() | ToolStarted():
                await self._answered()

    def rest(self) -> float:
        at = self.clock.monotonic()
        return max(0.0, self._next - at) if at < self._careful_until else 0.0

    async def admit(self, _lease: Lease) -> Disposition | None:
        if self.clock.monotonic() < self._careful_until:
            self._space()
        return None

    async def _reached(self, row: SessionRow, event: Limited) -> None:
        """At once, not when the session has wound up: no other worker should run into it meanwhile."""
        now = self.clock.now()
        self._reached_kind = event.kind
        ending = "throttled" if event.status == "throttled" else "usage_limit"
        until, reason = limit_ends(event.resets_at, now, 0), f"{sentence_of(ending)} (item {row.item})"
        await self.books(lambda s: s.open_pause("credential", "probe", reason, "ending", now, until=until))
        await self._look()

    async def _told(self, event: Limited) -> None:
        """Said once for each window: while it is open, a higher figure is no news."""
        if event.kind == self._reached_kind:
            await self._answered(at_once=True)
        now, source = self.clock.now(), f"near-limit {event.kind}".strip()
        near = event.status == "allowed_warning" and event.utilization is not None and event.utilization >= NEAR
        known = any(pause.source == source for pause in self.state.pauses)
        if near and not known:
            until = event.resets_at if event.resets_at and event.resets_at > now else now + UNKNOWN_WINDOW
            reason = f"usage limit {event.kind} is near: {event.utilization:.0%} used"
            await self.books(lambda s: s.open_pause("credential", "reserve", reason, source, now, until=until))
            await self._look()
        elif known and event.status == "allowed":
            await self.books(lambda s: s.close_pause("credential", source, "the API allows it again", now))
            await self._look()

    async def _answered(self, *, at_once: bool = False) -> None:
        """The first answer after the time of a pause ends it: of the probe, or of a session that sat the limit out.

        `at_once`: the API itself says that the limit is over.
        """
        now = self.clock.now()
        due = [pause for pause in self.state.pauses if _is_over(pause, None if at_once else now)]
        if not due:
            return
        sources = [pause.source for pause in due]
        await self.books(lambda s: [s.close_pause("credential", p, "the API answers again", now) for p in sources])
        self._reached_kind = None
        if self.workers > 1:
            self._careful_until = self.clock.monotonic() + SPREAD_SECONDS
            self._space()
        await self._look()

    def _space(self) -> None:
        self._next = self.clock.monotonic() + SPREAD_SECONDS / self.workers * (0.5 + self.spread())

    async def _look(self) -> None:
        self.state.pauses = tuple(await self.books(lambda s: s.pauses()))
        self.state.bell.ring()


def _is_over(pause: Pause, now: datetime | None) -> bool:
    if pause.scope != "credential" or pause.kind != "probe":
        return False
    return now is None or (pause.until is not None and pause.until <= now)
