"""Secrets go out of the transcripts of finished work: once it is done, nobody goes on in the conversation."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from harness.engine.state import LoopState
from harness.model.errors import DiskFull, HarnessError
from harness.model.journal import Entry
from harness.model.outcome import Claimed, Outcome, Verified
from harness.model.session import SessionRow
from harness.model.work import Lease
from harness.ports import Books, Clock, Transcripts

INTERVAL_SECONDS = 3600.0
PAGE = 50


@dataclass(slots=True)
class Scrubber:
    """A Witness of what was done, and a component for what was left: at the start and every hour.

    The journal says which transcripts are through; what cannot be written is said and tried again, and stays as it is.
    """

    books: Books
    clock: Clock
    state: LoopState
    transcripts: Transcripts
    name: str = "scrubber"

    async def settled(self, lease: Lease, outcome: Outcome, session: SessionRow | None) -> None:  # noqa: ARG002 - the seam's signature
        if isinstance(outcome, Verified | Claimed):
            await self.tick(lease.item.id)

    async def run(self) -> None:
        while True:
            await self.tick()
            await self.clock.sleep(INTERVAL_SECONDS)

    async def tick(self, item: str | None = None) -> None:
        """All transcripts of done work that are not through, or those of one item."""
        after = ""
        while page := await self._page(item, after):
            after = page[-1].id
            for row in page:
                if not await self._scrub(row):
                    return

    async def _page(self, item: str | None, after: str) -> list[SessionRow]:
        return list(await self.books(lambda s: s.unscrubbed(item=item, after=after, limit=PAGE)))

    async def _scrub(self, row: SessionRow) -> bool:
        """Whether it is worth going on with others: on a full disk it is not."""
        try:
            done = await asyncio.to_thread(self.transcripts.scrub, row)
        except HarnessError as exc:
            await self._note(row, "transcript.left", reason=exc.message)
            return not isinstance(exc, DiskFull)
        await self._note(row, "transcript.scrubbed", files=done.files, blots=done.blots)
        return True

    async def _note(self, row: SessionRow, kind: str, **data: object) -> None:
        entry = Entry(self.clock.now(), kind, self.state.actor, row.item, row.id, data)
        await self.books(lambda s: s.note(entry))
