"""One signal without content: something may have changed, look at the store again (architecture 4)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from harness.ports import Clock

POLL_SECONDS = 0.1
Mark = tuple[int, int, int]


class Bell:
    """Take a ticket, read the state, then wait for a ring that came after the ticket: no ring is ever missed."""

    def __init__(self) -> None:
        self._rings = 0
        self._waiting: list[asyncio.Future[bool]] = []

    def ring(self) -> None:
        self._rings += 1
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            _tell(each, answer=True)

    def ticket(self) -> int:
        return self._rings

    async def after(self, ticket: int, timeout_seconds: float | None) -> bool:
        """True once a ring came after `ticket`; False when the time is over."""
        if self._rings != ticket:
            return True
        loop = asyncio.get_running_loop()
        rung: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(rung)
        timer = None if timeout_seconds is None else loop.call_later(timeout_seconds, _tell, rung)
        try:
            return await rung
        finally:
            if timer is not None:
                timer.cancel()
            if rung in self._waiting:
                self._waiting.remove(rung)


def _tell(waiting: asyncio.Future[bool], *, answer: bool = False) -> None:
    if not waiting.done():
        waiting.set_result(answer)


class Sentry:
    """Rings when a watched file appears, changes or goes, or one right below a watched folder; the one poller of the
    process (idle CPU near zero).
    """

    name = "sentry"

    def __init__(self, bell: Bell, clock: Clock, paths: Sequence[Path], folders: Sequence[Path] = ()) -> None:
        self._bell = bell
        self._clock = clock
        self._paths = tuple(paths)
        self._folders = tuple(folders)
        self._seen = self._look()

    async def run(self) -> None:
        while True:
            await self._clock.sleep(POLL_SECONDS)
            self.tick()

    def tick(self) -> None:
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            self._bell.ring()

    def _look(self) -> list[Mark | None]:
        below = [mark for folder in self._folders for mark in _marks(folder)]
        return [*map(_mark, self._paths), *below]


def _marks(folder: Path) -> list[Mark | None]:
    try:
        with os.scandir(folder) as found:
            return sorted((_mark(Path(entry.path)) for entry in found), key=str)
    except OSError:
        return []


def _mark(path: Path) -> Mark | None:
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
