"""Backups by the clock, beside the work: made while the loop runs and something has changed (H25)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.engine.state import LoopState
from harness.model.errors import HarnessError
from harness.model.journal import Entry
from harness.ports import Books, Clock

LOOK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Made:
    """A new backup, and the ids of old ones that went."""

    id: str
    bytes: int
    dropped: Sequence[str] = ()


class BackupMaker(Protocol):
    """Blocking; called in a thread of its own, for a copy takes as long as the disk does."""

    def make(self) -> Made | None:
        """None if none is due, or nothing has changed since the last. Raises HarnessError."""
        ...

    def call_off(self) -> None:
        """The one that is being made is not wanted any more."""
        ...


@dataclass(slots=True)
class Backups:
    """A component. A backup that cannot be made is said once as long as it is the same, and tried again."""

    books: Books
    clock: Clock
    state: LoopState
    maker: BackupMaker
    name: str = "backups"
    _said: str = ""

    async def run(self) -> None:
        while True:
            await self.tick()
            await self.clock.sleep(LOOK_SECONDS)

    async def tick(self) -> None:
        try:
            made = await asyncio.to_thread(self.maker.make)
        except asyncio.CancelledError:
            self.maker.call_off()
            raise
        except HarnessError as exc:
            if exc.message != self._said:
                self._said = exc.message
                await self._note("backup.failed", reason=exc.message, cause=exc.cause, mend=exc.hint)
            return
        self._said = ""
        if made is not None:
            await self._note("backup.made", backup=made.id, bytes=made.bytes)
            if made.dropped:
                await self._note("backup.dropped", count=len(made.dropped), first=made.dropped[0])

    async def _note(self, kind: str, **data: object) -> None:
        entry = Entry(self.clock.now(), kind, self.state.actor, data=data)
        await self.books(lambda s: s.note(entry))
