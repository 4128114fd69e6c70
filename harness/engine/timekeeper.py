"""Notices that the clock was set or that the machine slept, says so, and keeps our own waits as long as they were.

Durations are judged by monotonic time, which knows neither: no session is ended for hours that the machine slept. What
is stored (`not_before`, `until`) is wall time: forward is harmless, for a wait that ends early is only tried early; a
clock that was set back would make a wait of a minute one of a year. Connections do not survive a sleep: sessions that
waited for the API then end as stalled_api, uncounted, and their conversations go on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.engine.state import LoopState
from harness.model.journal import Entry
from harness.ports import Books, Clock

LOOK_SECONDS = 5.0
NOTICED_SECONDS = 5.0
"""More than a clock that is being adjusted, or a busy machine between two readings, drifts in LOOK_SECONDS."""


@dataclass(slots=True)
class Timekeeper:
    """A component. `slept` tells how many seconds the machine has slept since its boot, as monotonic time does not."""

    books: Books
    clock: Clock
    state: LoopState
    slept: Callable[[], float]
    name: str = "timekeeper"
    _seen: tuple[float, float] | None = None

    async def begin(self) -> None:
        """At a start: the clock may have been set back while no loop ran."""
        self._seen = self._read()
        waits = await self._anew()
        if waits:
            await self._note("the clock was set back while no loop ran", waits)

    async def run(self) -> None:
        while True:
            await self.tick()
            await self.clock.sleep(LOOK_SECONDS)

    async def tick(self) -> None:
        seen = self._read()
        before = self._seen or seen
        ahead, asleep = (now - then for now, then in zip(seen, before, strict=True))
        told = [f"the machine slept for {asleep:.0f} s"] if asleep > NOTICED_SECONDS else []
        if abs(ahead) > NOTICED_SECONDS:
            told.append(f"the clock was set {'forward' if ahead > 0 else 'back'} by {abs(ahead):.0f} s")
        if told:
            await self._note(" and ".join(told), await self._anew())
            self.state.bell.ring()
        self._seen = seen

    def _read(self) -> tuple[float, float]:
        """How far the wall clock is ahead of the time since the boot, and how much of that the machine slept."""
        slept = self.slept()
        return self.clock.now().timestamp() - self.clock.monotonic() - slept, slept

    async def _anew(self) -> int:
        now = self.clock.now()
        return await self.books(lambda s: s.begin_waits_anew(now))

    async def _note(self, reason: str, waits: int) -> None:
        data = {"reason": reason, "waits_begun_anew": waits}
        entry = Entry(self.clock.now(), "clock.jumped", self.state.actor, data=data)
        await self.books(lambda s: s.note(entry))
