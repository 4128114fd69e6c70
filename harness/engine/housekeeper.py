"""Removes the workspaces that nobody will go on in, beside the work: a start does not wait for it (P17)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.engine.state import LoopState
from harness.model.errors import HarnessError, StoreError
from harness.model.journal import Entry
from harness.model.retention import Retention, refs_are_old, why_not_needed
from harness.model.session import FINAL, SessionRow
from harness.ports import Books, Clock, RepositoryRef, Upkeep, Workspaces

INTERVAL_SECONDS = 3600.0
SESSIONS = "ses_"
"""How the name of a workspace begins that belongs to a session and not to an item."""


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
    upkeep: Upkeep | None = None
    repositories: Callable[[], Sequence[RepositoryRef]] = tuple
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

        if self.upkeep is not None:
            for repo in self.repositories():
                await self._look_after_refs(self.upkeep, repo)

    async def _look_after_refs(self, upkeep: Upkeep, repo: RepositoryRef) -> None:
        try:
            await upkeep.keep_bases(repo)
            if dropped := await upkeep.drop_old_refs(repo, self.is_old):
                await self._note("refs.dropped", repo=repo.name, count=str(len(dropped)), first=dropped[0])
        except HarnessError as exc:
            if isinstance(exc, StoreError):
                raise
            await self._note("refs.left", repo=repo.name, reason=exc.message)

    async def is_old(self, item: str) -> bool:
        """Whether the refs of an item may go. One that is not known here may be another home's."""
        found = await self.books(lambda s: s.item(item))
        return found is not None and refs_are_old(found, self.clock.now(), self.keep())

    async def is_wanted(self, item: str) -> bool:
        """Whether the item may be worked on again. A lease comes before its workspace is opened, so this is sure."""
        if item in self.state.rooms:
            return True
        found, review, owners = await self.books(lambda s: (s.item(item), s.session(item), s.owners()))
        if found is None and item.startswith(SESSIONS) and self._may_be_a_room_of_others(review, owners):
            return True
        return not why_not_needed(found, self.clock.now(), self.keep())

    def _may_be_a_room_of_others(self, review: SessionRow | None, owners: Sequence[str]) -> bool:
        """A worker process reads its reviews in rooms too, and makes them before their session is on record."""
        if review is not None:
            return review.status not in FINAL
        return any(owner != self.state.owner for owner in owners)

    async def _note(self, kind: str, **data: str) -> None:
        entry = Entry(self.clock.now(), kind, self.state.actor, data=data)
        await self.books(lambda s: s.note(entry))
