"""Finds what an earlier loop left behind and brings it to a known state, at start and every minute (P17).

A lease is dead when its owner's lock and its session's lock are both free. Its processes are ended first, its
workspace is saved next, and only then is it settled: nothing is counted against the item.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.engine.plan import Meter, Planner
from harness.engine.settler import Settler
from harness.engine.state import LoopState
from harness.model.errors import HarnessError, LeaseLost
from harness.model.journal import Entry
from harness.model.outcome import Failed, Interrupted, Outcome
from harness.model.session import FINAL, SessionRow, SessionStatus
from harness.model.work import Continuation, Lease, Phase
from harness.ports import Books, Clock, Orphan, Processes, Workspaces

INTERVAL_SECONDS = 60.0


@dataclass(slots=True)
class Reconciler:
    """Idempotent: every step may be cut off and is simply done again by the next tick."""

    books: Books
    clock: Clock
    state: LoopState
    processes: Processes
    workspaces: Workspaces
    planner: Planner
    settler: Settler
    meter: Meter
    name: str = "reconciler"

    async def run(self) -> None:
        while True:
            await self.clock.sleep(INTERVAL_SECONDS)
            await self.tick()

    async def tick(self) -> int:
        """Settle every orphan; how many there were."""
        owners = await self.books(lambda s: s.owners())
        dead = [o for o in owners if o != self.state.owner and self.processes.owner_is_dead(o)]
        orphans = await self.books(lambda s: s.orphans(dead)) if dead else ()
        for orphan in orphans:
            await self._settle(orphan)
        for owner in dead:
            await self._forget(owner)
        return len(orphans)

    async def _forget(self, owner: str) -> None:
        await self.books(lambda s: s.forget(owner, self.clock.now()))

    async def _settle(self, orphan: Orphan) -> None:
        session = orphan.session
        if session is not None and session.status not in FINAL:
            ended = await self.processes.end_session(session)
            session = await self._close(session, ended)
        wip = await self._save(orphan, session)
        outcome, work = _evidence(orphan, session, wip)
        try:
            await self.settler.settle(orphan.lease, outcome, session, work)
        except LeaseLost:
            return
        await self._note("item.rescued", orphan.lease, session, phase=orphan.attempt.phase, wip=wip)

    async def _close(self, session: SessionRow, ended: int) -> SessionRow:
        now = self.clock.now()
        facts = {"ending": "lost", "ended_by": "loop"}
        metrics = self.meter.measure(session, {}, facts)
        return replace(
            session,
            status=SessionStatus.KILLED,
            ending="lost",
            ended_by="loop",
            ended_at=now,
            updated_at=now,
            pid=None,
            doing="" if not ended else f"{ended} process(es) ended at the next start",
            metrics=metrics,
        )

    async def _save(self, orphan: Orphan, session: SessionRow | None) -> str | None:
        """The workspace as a commit under a ref, before anything else touches it; None if there is nothing to save."""
        if session is None or orphan.attempt.base is None:
            return None
        try:
            plan = self.planner.plan(orphan.lease.item)
            workspace = await self.workspaces.reopen(plan.repo, orphan.lease.item.id, orphan.attempt.base)
            saved = await self.workspaces.autosave(workspace, session.id) if workspace else None
        except HarnessError as exc:
            await self._note("session.unsaved", orphan.lease, session, reason=exc.message)
            return None
        return saved.ref if saved else None

    async def _note(self, kind: str, lease: Lease, session: SessionRow | None, **data: str | None) -> None:
        entry = Entry(
            self.clock.now(), kind, self.state.actor, lease.item.id, session.id if session else None, dict(data)
        )
        await self.books(lambda s: s.note(entry))


def _evidence(orphan: Orphan, session: SessionRow | None, wip: str | None) -> tuple[Outcome, Continuation | None]:
    """What the traces say: sealed work is proved next without a session, anything else is resumed."""
    attempt = orphan.attempt
    if attempt.seal is not None and attempt.phase in (Phase.PROVING, Phase.INTEGRATING):
        work = Continuation(
            "seal", "the loop ended while the work was being proved", session.id if session else None,
            seal=attempt.seal, base=attempt.base,
        )  # fmt: skip
        return Interrupted("the loop ended while the work was being proved", "loop"), work
    if session is None:
        return Interrupted("the loop ended before a session began", "loop"), orphan.lease.item.continuation
    work = Continuation(
        "session", "lost", session.id, session.claude_session_id, session.workspace, wip, base=attempt.base
    )
    return Failed("lost", f"the loop ended while session {session.id} ran"), work
