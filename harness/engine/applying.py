"""Takes kept work to its branch without a session: by a person's `merge apply`, or once the checkout is free again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from harness.engine.bundle import PROVED_AGAIN, TAKEN, Bundles
from harness.engine.mover import IntegratorTools, Mover, Step
from harness.engine.plan import Plan, Proof
from harness.model.errors import Conflict, NotFastForward, NotFound, Refused
from harness.model.journal import Integration
from harness.model.work import WorkItem, WorkState
from harness.ports import Seal


@dataclass(frozen=True, slots=True)
class Applied:
    """Answer to `merge apply`: where the branch is now; `unpushed` says why its remote does not have it yet,
    `outstanding` what of that which follows is not done.
    """

    item: str
    repo: str
    branch: str
    commit: str
    unpushed: str = ""
    outstanding: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Applier:
    """What is kept under `refs/harness/<item>/verified` or `…/claimed`. The caller holds the repository's turn."""

    tools: IntegratorTools
    mover: Mover
    _proved: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By item: the merged commit that was proved last, and the tip below it."""

    async def apply(self, plan: Plan, item: WorkItem, by: str) -> Applied:
        """Verified work that the branch has outrun is proved again on the merged tree. `by` is in the evidence.

        Raises NotFound if nothing is kept, Refused if it is already there or red now, NotFastForward naming the files.
        """
        name, kept = await self._kept(plan, item.id)
        if await self.tools.merger.contains(plan.repo, plan.branch, kept):
            await self._close(item, f"{name}: already in {plan.branch}", name, by if _waits(item) else None)
            raise Refused(f"{item.id} is already in {plan.branch} ({kept[:12]})", hint=f"./loop why {item.id}")
        merged, tip = await self._reproved(plan, item, name, kept)
        row = await self._moved(Step(item, item.fence, plan, tip, kept, merged))
        if row.state != "applied":
            raise NotFastForward(held(row, item.id), paths=row.paths, hint=f"./loop merge apply {item.id}")
        await self._close(item, f"{name}: integrated into {plan.branch} at {merged[:12]}", name, by)
        return Applied(item.id, plan.repo.name, plan.branch, merged)

    async def _moved(self, step: Step) -> Integration:
        """One row waits for a checkout, however often it is tried."""
        name = step.item.id
        rows = await self.tools.books(lambda s: s.integrations(item=name, states=("held",)))
        for row in rows:
            if (row.base, row.merged) == (step.base, step.merged):
                return await self.mover.again(step.plan, row)
        moved = await self.mover.move(step)
        for row in rows:
            await self.mover.resolve(row, "aborted", reason=f"{step.plan.branch} has moved on; tried on what is there")
        return moved

    async def arrived(self, plan: Plan, item: WorkItem) -> None:
        """What is kept is on its branch, by nobody who can still say so."""
        name, _ = await self._kept(plan, item.id)
        await self._close(item, f"{name}: integrated into {plan.branch}", name, None)

    async def waits(self, item_id: str) -> bool:
        """Whether held work is still wanted; a row of an item that went on or is finished is closed."""
        item = await self.tools.books(lambda s: s.item(item_id))
        if item is not None and _waits(item):
            return True
        await self._release(item_id, f"the item is {item.state}" if item else "the item is gone")
        return False

    async def _kept(self, plan: Plan, item_id: str) -> tuple[str, str]:
        for name in ("verified", "claimed"):
            commit = await self.tools.merger.kept(plan.repo, item_id, name)
            if commit is not None:
                return name, commit
        raise NotFound(f"nothing is kept for {item_id} in {plan.repo.name}", hint=f"./loop why {item_id}")

    async def _reproved(self, plan: Plan, item: WorkItem, name: str, kept: str) -> tuple[str, str]:
        tip = await self.tools.merger.tip(plan.repo, plan.branch)
        try:
            merged = await self.tools.merger.merge(plan.repo, Seal(kept, "", (), ()), tip)
        except Conflict as exc:
            hint = f"./loop queue retry {item.id}"
            raise Refused(f"{item.id} conflicts with {plan.branch}: {', '.join(exc.paths)}", hint=hint) from exc
        if merged != kept and name == "verified" and plan.gates and self._proved.get(item.id) != (merged, tip):
            folder = self.tools.home.session(f"apply-{item.id}")
            judgement = await self.tools.prover.prove(Proof(plan, item, merged, tip, folder))
            if judgement.ending is not None:
                raise Refused(f"{item.id} is red on today's {plan.branch}", cause=judgement.evidence[:2000])
            verdicts = [asdict(verdict) for verdict in judgement.verdicts]
            await self.mover.note(PROVED_AGAIN, item.id, commit=merged, base=tip, verdicts=verdicts)
            self._proved[item.id] = (merged, tip)
        return merged, tip

    async def _close(self, item: WorkItem, reason: str, outcome: str, by: str | None) -> None:
        """The item is at its end, and its evidence says where the work is; by nobody: it had been there before."""
        self._proved.pop(item.id, None)
        await self._release(item.id, reason)
        done = await self._settled(item, reason, outcome) if _waits(item) else item.state is WorkState.DONE
        if by is not None:
            await self.mover.note(TAKEN, item.id, reason=reason, by=by)
        if done:
            await Bundles(self.tools.books, self.tools.clock, self.tools.home).write(item.id)
        self.tools.state.bell.ring()

    async def _release(self, item_id: str, reason: str) -> None:
        for row in await self.tools.books(lambda s: s.integrations(item=item_id, states=("held",))):
            await self.mover.resolve(row, "aborted", reason=reason)

    async def _settled(self, item: WorkItem, reason: str, outcome: str) -> bool:
        """False where the minute's try and `merge apply` met, and the other one has settled it."""
        now = self.tools.clock.now()
        try:
            await self.tools.books(lambda s: s.settle_held(item.id, WorkState.DONE, reason, outcome, now))
        except Refused:
            return False
        return True


def _waits(item: WorkItem) -> bool:
    return item.state is WorkState.WAITING


def held(row: Integration, item: str) -> str:
    """Why proved work is not on its branch, and what takes it there."""
    files = ", ".join(row.paths) or row.reason
    return f"verified, waits for the checkout of {row.branch}: in the way are {files}; then ./loop merge apply {item}"
