"""The end of an attempt: disposition, one fenced transaction, then files and the automatic interrupts it calls for."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from harness.engine.interrupts import Interrupts
from harness.engine.seams import Witness
from harness.engine.state import LoopState
from harness.model.decision import NO_DEADLINE, Deadline
from harness.model.errors import DiskFull, HarnessError
from harness.model.journal import AttemptRow, Entry
from harness.model.outcome import (
    KILLS,
    Asked,
    Claimed,
    Disposition,
    Failed,
    Outcome,
    Scope,
    Verified,
    dispose,
    outcome_word,
)
from harness.model.session import SessionRow, SessionStatus
from harness.model.work import Continuation, Lease, WorkItem
from harness.ports import Books, Clock, Records, Settlement, Store

FULL_SECONDS = 5.0


@dataclass(slots=True)
class Settler:
    """Settles outcomes. `spread` gives random numbers in [0, 1) for back-off, `deadline` says until when a question
    waits.
    """

    books: Books
    clock: Clock
    state: LoopState
    records: Records
    interrupts: Interrupts
    spread: Callable[[], float] = random.random
    witnesses: Sequence[Witness] = ()
    deadline: Callable[[WorkItem, Sequence[str], datetime], Deadline] = lambda _item, _options, _now: NO_DEADLINE

    async def settle(
        self,
        lease: Lease,
        outcome: Outcome,
        session: SessionRow | None,
        work: Continuation | None,
        reviews: Sequence[SessionRow] = (),
        seen: SessionStatus | None = None,
    ) -> Disposition:
        """`session` did the work, `reviews` read it; `work` is where the item goes on if it has to; `seen` as in
        Settlement. Raises LeaseLost.
        """
        now = self.clock.now()
        history = await self._history(lease, outcome)
        kills = sum(attempt.ending in KILLS for attempt in history)
        handovers = sum(attempt.ending == "context_full" and not attempt.counted for attempt in history)
        disposition = dispose(
            lease.item, outcome, now, spread=self.spread(), work=work, kills=kills, handovers=handovers
        )
        row = _ended(session, outcome) if session else None
        read = tuple(_ended(each, outcome) for each in reviews)
        question = (outcome.question, outcome.options) if isinstance(outcome, Asked) else None
        deadline = self.deadline(lease.item, question[1], now) if question else NO_DEADLINE
        settlement = Settlement(
            outcome, disposition, session=row, question=question, deadline=deadline, reviews=read, seen=seen
        )
        await self._written(lease, settlement)
        self.state.outcomes[outcome_word(outcome)] += 1
        good = isinstance(outcome, Verified | Claimed)
        (self.state.unproved.discard if good else self.state.unproved.add)(lease.item.id)
        for each in (*([row] if row is not None else []), *read):
            await self._tell(each)
        await self._pause(lease, outcome, disposition)
        for witness in self.witnesses:
            await witness.settled(lease, outcome, row)
        await self.interrupts.after(lease.item, outcome, disposition)
        self.state.bell.ring()
        return disposition

    async def _tell(self, row: SessionRow) -> None:
        """The session's files. It is settled: what cannot be written now is said, and costs a copy, never the loop."""
        try:
            self.records.metrics(row.id, row.metrics)
            self.records.state(row)
        except HarnessError as exc:
            data = {"reason": exc.message}
            entry = Entry(self.clock.now(), "session.unwritten", self.state.actor, row.item, row.id, data)
            await self.books(lambda s: s.note(entry))

    async def _history(self, lease: Lease, outcome: Outcome) -> Sequence[AttemptRow]:
        """Earlier attempts, where it matters what they ended in; rows and no counter, so nothing resets it."""
        if not isinstance(outcome, Failed) or outcome.ending not in KILLS | {"context_full"}:
            return ()
        history = await self.books(lambda s: s.attempts(lease.item.id))
        return [attempt for attempt in history if attempt.fence != lease.fence]

    async def _written(self, lease: Lease, settlement: Settlement) -> None:
        """The one transaction; a full disk is waited out, for what an agent did must not be forgotten."""
        while True:
            try:
                await self.books(lambda s: s.settle(lease, settlement, self.clock.now()))
            except DiskFull:
                if self.state.stopping:
                    raise
                await self.clock.sleep(FULL_SECONDS)
            else:
                return

    async def _pause(self, lease: Lease, outcome: Outcome, disposition: Disposition) -> None:
        """A failure that is not the item's stops what shares its cause; a probe that went well ends such a pause."""
        item, now = lease.item, self.clock.now()
        if item.by_hand:
            return  # no session ran: nothing is known of what sessions need
        if isinstance(outcome, Verified | Claimed | Asked):
            await self.books(lambda s: _reopen(s, lease, now))
            return
        if not isinstance(outcome, Failed) or disposition.pause is None:
            return
        scope = {
            Scope.LOOP: "loop",
            Scope.CREDENTIAL: "credential",
            Scope.REPO: f"repo:{item.repo}",
            Scope.KIND: f"kind:{item.kind}",
            Scope.ITEM: f"item:{item.id}",
        }[disposition.pause]
        until = disposition.pause_until
        reason = f"{disposition.reason} (item {item.id})"
        await self.books(lambda s: s.open_pause(scope, "probe", reason, "ending", now, until=until))


def _reopen(store: Store, lease: Lease, now: datetime) -> None:
    """End the pauses that this lease was a probe of. One that ran before proves nothing of a limit that came since."""
    scopes = ("loop", "credential", f"repo:{lease.item.repo}", f"kind:{lease.item.kind}")
    for pause in store.pauses():
        probed = pause.until is None or pause.until <= lease.leased_at
        if pause.scope in scopes and pause.source == "ending" and probed:
            store.close_pause(pause.scope, pause.source, "a session went well", now)


def _ended(session: SessionRow, outcome: Outcome) -> SessionRow:
    return replace(session, outcome=outcome_word(outcome), metrics=_closed(session, outcome))


def _closed(session: SessionRow, outcome: Outcome) -> dict[str, Any]:
    """`metrics.json` as it stands once the attempt is settled: outcome, gates and commits are known now."""
    metrics = dict(session.metrics)
    metrics["outcome"] = outcome_word(outcome)
    if isinstance(outcome, Verified):
        metrics["gates"] = [
            {
                "name": v.gate,
                "verdict": v.verdict,
                "seconds": round(v.seconds, 3),
                "log": v.log,
                "flaky": v.flaky,
                "proves": v.proves,
            }
            for v in outcome.verdicts
        ]
    if isinstance(outcome, Verified | Claimed) and outcome.head:
        metrics["commits"] = [outcome.head]
    return metrics
