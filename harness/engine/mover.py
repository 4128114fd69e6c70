"""Moves target branches: the intent row first, then the branch, then what became of it (contract 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.engine.plan import Errands, Plan, Planner, Prover, PushGuard
from harness.engine.state import LoopState
from harness.model.errors import NotFastForward
from harness.model.home import Home
from harness.model.journal import Entry, Integration
from harness.model.work import WorkItem
from harness.ports import Books, Checkouts, Clock, Merger
from harness.shielded import to_the_end


@dataclass(slots=True)
class IntegratorTools:
    """Without `checkouts` and `errands` what follows an integration stays on record, for a loop that has them."""

    books: Books
    clock: Clock
    state: LoopState
    home: Home
    merger: Merger
    prover: Prover
    planner: Planner
    checkouts: Checkouts | None = None
    errands: Errands | None = None
    push_guard: PushGuard | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The branch of `plan` from `base` to `merged`; `seal` is the work that this brings, for the sake of `item`.

    `kind`: work, sync (what the remote had besides), rollback.
    """

    item: WorkItem
    fence: int
    plan: Plan
    base: str
    seal: str
    merged: str
    kind: str = "work"


@dataclass(frozen=True, slots=True)
class Mover:
    """The one way in which the engine moves a branch. The caller holds the repository's turn."""

    tools: IntegratorTools

    async def move(self, step: Step) -> Integration:
        """The row: applied, held (files in the way; work only) or aborted. Seen through also if we are cancelled."""
        return (await self.move_all([step]))[0]

    async def move_all(self, steps: Sequence[Step]) -> list[Integration]:
        """One move of the branch for several pieces of work: from the `base` that they share to their `merged`."""
        rows = [await self.intend(step) for step in steps]
        return await to_the_end(self._moved(rows, steps[-1]))

    async def intend(self, step: Step) -> Integration:
        """The intent, and whether it is to be pushed (a sync is, with the work that it is for).

        Raises LeaseLost if the item was leased again since.
        """
        wanted = Integration(
            id=0,
            item=step.item.id,
            fence=step.fence,
            repo=step.plan.repo.name,
            branch=step.plan.branch,
            base=step.base,
            seal=step.seal,
            state="intended",
            merged=step.merged,
            began_at=self.tools.clock.now(),
            kind=step.kind,
            push="wanted" if step.plan.push and step.kind != "sync" else "none",
            followed_by=step.plan.after.steps(step.kind, target=step.plan.branch == step.plan.repo.branch),
        )
        return await self.tools.books(lambda s: s.intend(wanted))

    async def _moved(self, rows: Sequence[Integration], step: Step) -> list[Integration]:
        try:
            await self.tools.merger.advance(step.plan.repo, step.plan.branch, step.merged, step.base)
        except NotFastForward as exc:
            state = "held" if exc.paths and step.kind == "work" else "aborted"
            return [await self.resolve(row, state, reason=exc.message, paths=exc.paths) for row in rows]
        return [await self.resolve(row, "applied") for row in rows]

    async def again(self, plan: Plan, row: Integration) -> Integration:
        """Try a held row once more. Nothing is written while the same files are in the way; a death after the branch
        has moved is seen by whoever looks next (`cut_off`).
        """
        return await to_the_end(self._again(plan, row))

    async def _again(self, plan: Plan, row: Integration) -> Integration:
        try:
            await self.tools.merger.advance(plan.repo, plan.branch, row.merged or "", row.base)
        except NotFastForward as exc:
            if (exc.message, tuple(exc.paths)) == (row.reason, row.paths):
                return row
            return await self.resolve(row, "held", reason=exc.message, paths=exc.paths)
        return await self.resolve(row, "applied")

    async def resolve(self, row: Integration, state: str, **facts: object) -> Integration:
        now = self.tools.clock.now()
        return await self.tools.books(lambda s: s.resolve(row.id, state, now, **facts))

    async def note(self, kind: str, item: str, **data: object) -> None:
        """An entry of the journal about an integration."""
        entry = Entry(self.tools.clock.now(), kind, self.tools.state.actor, item, None, data)
        await self.tools.books(lambda s: s.note(entry))
