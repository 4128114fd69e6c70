"""Small components about the surroundings of the loop: the queue file, the disk, the sign that the loop is alive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from harness.engine.state import LoopState
from harness.ports import Books, Clock, Store

MIRROR_SECONDS = 1.0
BEHIND_SECONDS = 10.0
DISK_SECONDS = 5.0
PULSE_SECONDS = 10.0
LEAST_FREE_BYTES = 50 * 1024 * 1024


class Mirror(Protocol):
    """`state/queue.json`: inbox and projection (contract 2). Called on the store thread."""

    def absorb(self, store: Store) -> None: ...
    def export(self, store: Store) -> None: ...
    def close(self, store: Store) -> None:
        """The last export of a loop: nobody comes after it to make good what a limit of frequency held back."""
        ...


@dataclass(slots=True)
class Intake:
    """Takes in what people wrote over the queue file, then mirrors the queue, at most once a second."""

    books: Books
    clock: Clock
    state: LoopState
    mirror: Mirror
    name: str = "intake"

    async def begin(self) -> None:
        """At a start: an edit may say what is leased first. To write ten thousand rows can wait for that lease."""
        await self.books(self.mirror.absorb)

    async def run(self) -> None:
        await self.clock.sleep(MIRROR_SECONDS)
        while True:
            ticket = self.state.bell.ticket()
            await self.tick()
            await self.clock.sleep(MIRROR_SECONDS)
            await self.state.bell.after(ticket, BEHIND_SECONDS)

    async def tick(self) -> None:
        await self.books(self.mirror.absorb)
        await self.books(self.mirror.export)

    async def close(self) -> None:
        await self.books(self.mirror.absorb)
        await self.books(self.mirror.close)


@dataclass(slots=True)
class DiskWatch:
    """Pauses the loop while the volume of state/ is nearly full; healthy again at twice the limit (architecture 7)."""

    books: Books
    clock: Clock
    state: LoopState
    disk: Callable[[], tuple[int, int]]
    name: str = "disk"

    async def run(self) -> None:
        while True:
            await self.tick()
            await self.clock.sleep(DISK_SECONDS)

    async def tick(self) -> None:
        total, free = self.disk()
        least = max(LEAST_FREE_BYTES, total // 100)
        paused = any(p.source == "disk" for p in self.state.pauses)
        now = self.clock.now()
        if free < least and not paused:
            reason = f"disk_full: {free >> 20} MiB free on the volume of state/, {least >> 20} MiB needed"
            await self.books(lambda s: s.open_pause("loop", "condition", reason, "disk", now))
            self.state.bell.ring()
        elif free >= 2 * least and paused:
            await self._over(f"{free >> 20} MiB free again")
            self.state.bell.ring()

    async def _over(self, why: str) -> None:
        """End our own pause, and those of sessions that met the full disk: their time to try again came early."""
        now = self.clock.now()
        for pause in self.state.pauses:
            if pause.scope == "loop" and pause.reason.startswith("disk_full"):
                await _close(self.books, pause.source, why, now)


async def _close(books: Books, source: str, why: str, now: datetime) -> None:
    await books(lambda s: s.close_pause("loop", source, why, now))


@dataclass(slots=True)
class Pulse:
    """Regular small duties: the sign that the loop lives (contract 2: at most 30 s old), the end of zombies (H14)."""

    clock: Clock
    duties: Sequence[Callable[[], object]]
    name: str = "pulse"

    async def run(self) -> None:
        while True:
            for duty in self.duties:
                duty()
            await self.clock.sleep(PULSE_SECONDS)
