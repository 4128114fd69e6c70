"""Removes the workspaces that nobody will go on in, beside the work: a start does not wait for it (P17)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.engine.state import LoopState
from harness.model.errors import HarnessError, StoreError
from harness.model.journal import Entry
from harness.model.retention import Retention, why_not_needed
from harness.ports import Books, Clock, Workspaces

INTERVAL_SECONDS = 3600.0


@dataclass(slots=True)
class Housekeeper:
    """A component: at the start and every hour. Content is saved before a folder goes; what cannot be saved stays.

    `keep` is asked anew, so that a reload counts.
    """

    books: Books
    clock: Clock
    state: LoopState
    workspaces: Workspaces
    keep: Callable[[], Retention] = Retention
    name: str = "housekeeper"

    async def run(self) -> None:
        while True:
            await self.tick()
            await self.clock.sleep(INTERVAL_SECONDS)

    async def tick(self) -> None:
        try:
            for path in await self.workspaces.prune(self.is_wanted):
                await self._note("workspace.pruned", path=str(path))
        except HarnessError as exc:
            if isinstance(exc, StoreError):
                raise
            await self._note("workspace.left", reason=exc.message, cause=exc.cause)

    async def is_wanted(self, item: str) -> bool:
        """Whether the item may be worked on again. A lease comes before its workspace is opened, so this is sure."""
        if item in self.state.rooms:
            return True
        found = await self.books(lambda s: s.item(item))
        return not why_not_needed(found, self.clock.now(), self.keep())

    async def _note(self, kind: str, **data: str) -> None:
        entry = Entry(self.clock.now(), kind, self.state.actor, data=data)
        await self.books(lambda s: s.note(entry))
