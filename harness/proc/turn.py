"""Turns over tasks and processes: one at a time, nobody is overtaken for long, and waiting blocks nobody else.

    tasks of this process ──► one of them ──► next (file) ──► now (file) ──► works

Whoever has `next` is the one that gets `now`; it holds `next` only as long as it waits. So a process with many tasks
that want a turn cannot hand it from one to the other past a process that waits: they meet at `next`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.proc.lock import FileLock, holder

FIRST_NAP_SECONDS = 0.002
LONGEST_NAP_SECONDS = 0.05
SAID_AFTER_SECONDS = 60.0


@dataclass(slots=True)
class Turn:
    """The turn of which `path` is the lock file. `said` hears once a wait who has had it for a minute."""

    path: Path
    said: Callable[[str], None]
    _here: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        """Hold the turn for the block, however long it takes to get it. Raises DiskFull or HarnessError."""
        following = FileLock(self.path.with_suffix(".next"))
        now = FileLock(self.path)
        async with self._here:
            try:
                await self._take(following)
                await self._take(now)
                following.release()
                yield
            finally:
                now.release()
                following.release()

    async def _take(self, lock: FileLock) -> None:
        nap, waited = FIRST_NAP_SECONDS, 0.0
        while not lock.acquire(f"pid {os.getpid()}", patience_seconds=0):
            await asyncio.sleep(nap)
            if waited < SAID_AFTER_SECONDS <= waited + nap:
                self.said(holder(self.path) or "another process")
            waited += nap
            nap = min(2 * nap, LONGEST_NAP_SECONDS)
