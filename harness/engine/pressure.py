"""Nothing new begins while the machine is short of memory, processor or descriptors; what runs goes on (issue 3.8).

Each shortage is a hold with its reason, opened at its threshold and closed only well clear of it: a machine at the
border would else begin and hold in turns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.engine.state import LoopState
from harness.model.pressure import Readings, Thresholds, shortages
from harness.ports import Books, Clock, Store

LOOK_SECONDS = 5.0
MACHINE = ("memory", "load")
SOURCES = (*MACHINE, "descriptors")
"""Descriptors are those of one process; the others are of the machine, and whoever looks sees the same."""


@dataclass(slots=True)
class PressureWatch:
    """A component. `read` measures, `thresholds` are asked anew so that a reload counts; it opens and closes holds
    for `sources` alone.

    At ease, it does not ask the store: a hold that somebody else opens is seen in the switches that all share.
    """

    books: Books
    clock: Clock
    state: LoopState
    read: Callable[[], Readings]
    thresholds: Callable[[], Thresholds]
    sources: Sequence[str] = SOURCES
    name: str = "pressure"
    _at_ease: bool = False

    async def run(self) -> None:
        while True:
            await self.tick()
            await self.clock.sleep(LOOK_SECONDS)

    async def tick(self) -> None:
        readings, thresholds, now = self.read(), self.thresholds(), self.clock.now()
        short = self._ours(shortages(readings, thresholds))
        if self._at_ease and not short and not any(p.source in self.sources for p in self.state.pauses):
            return
        not_clear = shortages(readings, thresholds.clear)
        held = {p.source for p in await self.books(lambda s: s.pauses()) if p.scope == "loop" and p.kind == "hold"}
        begins = {source: why for source, why in short.items() if source not in held}
        ends = [source for source in self.sources if source in held and source not in not_clear]
        if begins or ends:
            await self.books(lambda s: _write(s, begins, ends, now))
            self.state.bell.ring()
        self._at_ease = not short and held.isdisjoint(self.sources)

    def _ours(self, short: Mapping[str, str]) -> Mapping[str, str]:
        return {source: why for source, why in short.items() if source in self.sources}


def _write(store: Store, begins: Mapping[str, str], ends: Sequence[str], now: datetime) -> None:
    for source, why in begins.items():
        store.open_pause("loop", "hold", f"{source}: {why}", source, now)
    for source in ends:
        store.close_pause("loop", source, "the machine has room again", now)
