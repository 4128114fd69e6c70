"""Finds what an earlier loop left behind and brings it to a known state, at start and every minute (P17).

A lease is dead when its owner's lock and its session's lock are both free. Its processes are ended first, its
workspace is saved next, and only then is it settled, by what the traces say (`evidence`): nothing is counted against
the item for the death of a loop.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from harness.engine.evidence import Evidence, EvidenceTools, Words, words
from harness.engine.settler import Settler
from harness.model.errors import DiskFull, HarnessError, LeaseLost, Refused, StoreError
from harness.model.journal import Entry
from harness.model.session import FINAL, SessionRow, SessionStatus
from harness.ports import Orphan

INTERVAL_SECONDS = 60.0
LOOK_SECONDS = 2.0


@dataclass(slots=True)
class Reconciler:
    """Idempotent: every step may be cut off and is simply done again by the next tick."""

    tools: EvidenceTools
    settler: Settler
    name: str = "reconciler"
    _others: tuple[str, ...] = ()

    async def run(self) -> None:
        while True:
            await self._until_due()
            await self.tick()

    async def _until_due(self) -> None:
        """A minute; less if one that lived at the last look has died meanwhile."""
        left = INTERVAL_SECONDS
        while left > 0:
            nap = min(left, LOOK_SECONDS) if self._others else left
            await self.tools.clock.sleep(nap)
            left -= nap
            if any(self.tools.processes.owner_is_dead(owner) for owner in self._others):
                return

    async def tick(self) -> int:
        """Settle every orphan; how many there were. One that cannot be settled is said and holds nobody else up."""
        me, processes = self.tools.state.owner, self.tools.processes
        owners = await self.tools.books(lambda s: s.owners())
        dead = [o for o in owners if o != me and processes.owner_is_dead(o)]
        self._others = tuple(o for o in owners if o != me and o not in dead)
        orphans = await self.tools.books(lambda s: s.orphans(dead)) if dead else ()
        held = {orphan.lease.owner for orphan in orphans if not await self._settled(orphan)}
        for owner in (o for o in dead if o not in held):
            await self._forget(owner)
        return len(orphans)

    async def _forget(self, owner: str) -> None:
        try:
            await self.tools.books(lambda s: s.forget(owner, self.tools.clock.now()))
        except Refused:
            # It was not dead after all and has leased again meanwhile: the next tick finds that lease.
            return

    async def _settled(self, orphan: Orphan) -> bool:
        try:
            await self._settle(orphan)
        except HarnessError as exc:
            if isinstance(exc, StoreError) and not isinstance(exc, DiskFull):
                raise
            await self._note("item.unsettled", orphan, orphan.session, reason=exc.message)
            return False
        return True

    async def _settle(self, orphan: Orphan) -> None:
        session, said = orphan.session, Words()
        if session is not None:
            name = session.id
            said = await self.tools.books(lambda s: words(s, name))
            if session.status not in FINAL:
                ended = await self.tools.processes.end_session(session)
                session = await self._close(session, said, ended)
        reviews = [await self._cut_off(review) for review in orphan.reviews]
        found = await Evidence(self.tools, orphan, session, said).read()
        try:
            seen = orphan.session.status if orphan.session is not None else None
            await self.settler.settle(orphan.lease, found.outcome, session, found.work, reviews, seen)
        except LeaseLost:
            return
        await self._note("item.rescued", orphan, session, phase=orphan.attempt.phase, wip=found.wip)

    async def _cut_off(self, review: SessionRow) -> SessionRow:
        """What a reviewer had not said to its loop is not taken for a verdict: the seal is read anew."""
        return await self._close(review, Words(), await self.tools.processes.end_session(review))

    async def _close(self, session: SessionRow, said: Words, ended: int) -> SessionRow:
        """The final row that its own loop could not write (contract 2: completed = the claim was accepted)."""
        now = self.tools.clock.now()
        ending = None if said.settled else "lost"
        row = replace(
            session,
            status=SessionStatus.COMPLETED if said.done else SessionStatus.KILLED,
            ending=ending,
            ended_by="loop",
            ended_at=now,
            updated_at=now,
            pid=None,
            doing="" if not ended else f"{ended} process(es) ended at the next start",
        )
        facts = {"ending": ending, "ended_by": "loop"}
        return replace(row, metrics=await asyncio.to_thread(self.tools.meter.measure, row, {}, facts))

    async def _note(self, kind: str, orphan: Orphan, session: SessionRow | None, **data: str | None) -> None:
        now, actor = self.tools.clock.now(), self.tools.state.actor
        entry = Entry(now, kind, actor, orphan.lease.item.id, session.id if session else None, dict(data))
        await self.tools.books(lambda s: s.note(entry))
