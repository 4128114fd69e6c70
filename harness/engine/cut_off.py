"""Integrations that were cut off outside of any lease: an order of a person, a push that merged the remote's commits.

Whoever wrote the intent died before it said what became of the branch. The branch tells: what it has is applied, and is
pushed and followed like anything else, unless somebody did it again; what it has not is given up, once its writer
cannot be about to move it. What has a lease, or goes on from its seal, is left to whoever takes it up
(`Integrator.resume`), and hand work to its person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.engine.applying import Applier
from harness.engine.mover import IntegratorTools, Mover
from harness.engine.plan import Plan
from harness.model.errors import HarnessError, StoreError
from harness.model.journal import Integration
from harness.model.work import WorkItem, WorkState

LONGEST_MOVE_SECONDS = 600.0
"""Between an intent and its branch, however large the checkout is."""


@dataclass(frozen=True, slots=True)
class CutOff:
    """What was left behind, by repository."""

    tools: IntegratorTools
    mover: Mover
    applier: Applier

    async def left(self) -> Sequence[str]:
        """The repositories in which an intent has no end, be it that somebody is at it right now."""
        rows = await self._open()
        return sorted({row.repo for row in rows})

    async def settle(self, repo: str) -> None:
        """The caller holds the turn of `repo`: nobody of this process is on the way. Raises StoreError."""
        for row in await self._open():
            if row.repo != repo:
                continue
            try:
                await self._settle(row)
            except StoreError:
                raise
            except HarnessError as exc:
                await self.mover.note("integration.waits", row.item, reason=exc.message)

    async def _open(self) -> Sequence[Integration]:
        """What is held is tried without a new intent, so it may have arrived as well."""
        return await self.tools.books(lambda s: s.integrations(states=("intended", "held")))

    async def _settle(self, row: Integration) -> None:
        item = await self.tools.books(lambda s: s.item(row.item))
        assert item is not None  # a row names an item that exists, and items are never deleted
        if row.kind == "work" and _is_taken_up(row, item):
            return
        plan = replace(self.tools.planner.plan(item), branch=row.branch)
        if await self._was_done_again(row):
            await self.mover.resolve(row, "aborted", reason="cut off, and done again since")
        elif await self.tools.merger.contains(plan.repo, plan.branch, row.merged or ""):
            await self.mover.resolve(row, "applied")
            if row.kind == "work":
                await self._close(plan, item)
        elif row.state == "intended" and self._is_old(row):
            await self.mover.resolve(row, "aborted", reason="cut off before the branch moved")

    async def _was_done_again(self, row: Integration) -> bool:
        """Merging the same makes the same commit, so the branch alone does not tell who brought it there."""
        rows = await self.tools.books(lambda s: s.integrations(item=row.item, states=("applied",)))
        return any(other.id > row.id and other.merged == row.merged for other in rows)

    async def _close(self, plan: Plan, item: WorkItem) -> None:
        if item.state in (WorkState.WAITING, WorkState.DONE):
            await self.applier.arrived(plan, item)

    def _is_old(self, row: Integration) -> bool:
        began = row.began_at
        return began is None or (self.tools.clock.now() - began).total_seconds() > LONGEST_MOVE_SECONDS


def _is_taken_up(row: Integration, item: WorkItem) -> bool:
    if item.state is WorkState.LEASED or row.state == "held":
        return item.state is WorkState.LEASED
    goes_on = item.continuation is not None and item.continuation.mode == "seal"
    return item.by_hand or (goes_on and item.state is not WorkState.DONE)
