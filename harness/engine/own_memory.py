"""Watches the memory of the loop's own process: says when it is too much, and ends the loop in order if so configured.

Ending means: nothing new begins, what runs is finished and settled, then the loop stops. Whoever started it starts it
again; everything it needs is in the store. A worker process beside others ends by itself and holds nobody else up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from harness.engine.state import LoopState
from harness.model.journal import Entry
from harness.model.vitals import Level, Rule, Sign, Trace
from harness.model.work import WorkState
from harness.ports import Books, Clock

LOOK_SECONDS = 10.0
SOURCE = "loop-memory"
MIB = 1 << 20
EVENTS: Mapping[Level, str] = MappingProxyType(
    {Level.CALM: "loop.relieved", Level.WARNING: "loop.strained", Level.CRITICAL: "loop.alert"}
)


@dataclass(slots=True)
class OwnMemory:
    """A component. `read` gives resident bytes, None where the system does not tell; `beside` others, it is of a worker
    process, whose memory is no reason for a pause of all.
    """

    books: Books
    clock: Clock
    state: LoopState
    read: Callable[[], int | None]
    rule: Callable[[], Rule]
    beside: bool = False
    name: str = "own memory"
    _trace: Trace = field(default_factory=lambda: Trace("loop_memory"))
    _held: float = 0.0
    _at: float | None = None
    _ending: str | None = None

    async def run(self) -> None:
        while True:
            await self.tick()
            await self.clock.sleep(LOOK_SECONDS)

    async def begin(self) -> None:
        """A pause that a loop before this one left says nothing of this process."""
        if not self.beside:
            await self._close("a new process")

    async def tick(self) -> None:
        found, at = self.read(), self.clock.monotonic()
        if found is None:
            return
        self._held += 0.0 if self._at is None else found / MIB * (at - self._at)
        self._at = at
        sign = self._trace.add(at, self._held, self.rule())
        if sign is not None:
            await self._tell(sign)
        if self._ending is not None:
            await self._end_when_idle(self._ending)

    async def _tell(self, sign: Sign) -> None:
        entry = Entry(self.clock.now(), EVENTS[sign.level], self.state.actor, data={"reason": sign.reason})
        await self.books(lambda s: s.note(entry))
        if sign.acts and self.beside:
            self.state.leave(sign.reason)
        elif sign.acts:
            self._ending = sign.reason
            reason, now = f"{sign.reason}; the loop ends when what runs is finished", self.clock.now()
            await self.books(lambda s: s.open_pause("loop", "hold", reason, SOURCE, now))
            self.state.bell.ring()
        elif sign.level is Level.CALM and self._ending is not None:
            self._ending = None
            await self._close(sign.reason)

    async def _end_when_idle(self, reason: str) -> None:
        counts = await self.books(lambda s: s.counts())
        if not counts.get(WorkState.LEASED):
            await self._close("the loop ends")
            self.state.stop(reason)

    async def _close(self, why: str) -> None:
        now = self.clock.now()
        if await self.books(lambda s: s.close_pause("loop", SOURCE, why, now)):
            self.state.bell.ring()
