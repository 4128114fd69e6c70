"""Several pieces of work that wait for one branch: one run of the gates for all, halved until the red one is found.

    t ── a ── b ── c     each merged onto the one before; the gates run on c
                   │ green: a, b, c go to the branch, one after the other, each a merge and a push of its own
                   │ red: the gates run on a or b, until it is known which piece turned it red;
                   ▼ those before it go to the branch, it gets its own proof, those after it wait their turn

Only runs of gates are saved. Gates that look at what a piece changed run for each piece by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.engine.conflicts import combined
from harness.engine.mover import IntegratorTools, Mover, Step
from harness.engine.plan import Judgement, Plan, Proof, Proven
from harness.model.errors import LeaseLost
from harness.model.outcome import Outcome, Verified
from harness.model.work import Lease, Phase
from harness.ports import Seal

Published = Callable[[Lease, Plan, Outcome], Awaitable[Outcome]]


@dataclass(slots=True)
class Wish:
    """Sealed work that waits for the repository's turn; `outcome` is set if it was taken along by one before it.
    `proven` was proved before, to be reviewed: it needs no gates as long as the branch has not moved.
    """

    lease: Lease
    plan: Plan
    seal: Seal
    folder: Path
    proven: Proven | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One piece in the chain: merged onto `base`, and what the gates that compare said of it."""

    wish: Wish
    base: str
    merged: str
    own: Judgement


def companions(first: Wish, waiting: Sequence[Wish]) -> list[Wish]:
    """`first` and those that wait behind it and may be judged with it, in the order of their coming."""
    if not _may(first):
        return [first]
    plan = first.plan
    same = [
        wish
        for wish in waiting
        if wish is not first
        and wish.outcome is None
        and _may(wish)
        and (wish.plan.branch, wish.plan.shared_gates) == (plan.branch, plan.shared_gates)
    ]
    return [first, *same][: min(wish.plan.batch for wish in (first, *same))]


def _may(wish: Wish) -> bool:
    plan = wish.plan
    return wish.proven is None and plan.batch > 1 and plan.integrate == "verified" and bool(plan.shared_gates)


@dataclass(frozen=True, slots=True)
class Batch:
    """The caller holds the repository's turn. `published` pushes what is integrated."""

    tools: IntegratorTools
    mover: Mover
    published: Published

    async def integrate(self, wishes: Sequence[Wish]) -> None:
        """Set the outcome of every piece that is proved and on its branch; the others are left for their own turn."""
        plan = wishes[0].plan
        chain = await self._chain(wishes, await self.tools.merger.tip(plan.repo, plan.branch))
        if len(chain) < 2:
            return
        number, judgement = await self._green(chain)
        names = [link.wish.lease.item.id for link in chain]
        await self.mover.note("integration.batched", names[0], items=names, green=number)
        for link in chain[:number]:
            assert judgement is not None
            if not await self._landed(link, judgement):
                return

    async def _chain(self, wishes: Sequence[Wish], tip: str) -> list[Link]:
        """Each merged onto the one before; what conflicts, or is not green by itself, is left out."""
        chain: list[Link] = []
        for wish in wishes:
            base, item = chain[-1].merged if chain else tip, wish.lease.item
            merged = await combined(self.tools, wish.plan, item.id, wish.seal, base)
            if isinstance(merged, str):
                plan = replace(wish.plan, gates=wish.plan.own_gates)
                proof = Proof(plan, item, merged, base, wish.folder, seal=wish.seal.commit)
                own = await self.tools.prover.prove(proof) if plan.gates else Judgement(())
                if own.ending is None and own.question is None:
                    chain.append(Link(wish, base, merged, own))
        return chain

    async def _green(self, chain: Sequence[Link]) -> tuple[int, Judgement | None]:
        """How many pieces from the first on are green together, and the judgement that says so."""
        green, red, said = 0, len(chain) + 1, None
        number = len(chain)
        while red - green > 1:
            judgement = await self._judged(chain[number - 1])
            if _passed(judgement):
                green, said = number, judgement
            else:
                red = number
            number = (green + red) // 2
        return green, said

    async def _judged(self, link: Link) -> Judgement:
        """The gates that do not compare, on everything up to this piece."""
        wish = link.wish
        plan = replace(wish.plan, gates=wish.plan.shared_gates)
        proof = Proof(plan, wish.lease.item, link.merged, link.base, wish.folder)
        return await self.tools.prover.prove(proof)

    async def _landed(self, link: Link, judgement: Judgement) -> bool:
        """One piece to its branch, with a push of its own; False where it cannot go there now, nor what follows."""
        wish, lease = link.wish, link.wish.lease
        verdicts = (*link.own.verdicts, *judgement.verdicts)
        now = self.tools.clock.now()
        try:
            await self.tools.books(lambda s: s.phase(lease, Phase.INTEGRATING, now, verdicts=list(verdicts)))
            await self.tools.merger.keep(wish.plan.repo, lease.item.id, "verified", link.merged)
            step = Step(lease.item, lease.fence, wish.plan, link.base, wish.seal.commit, link.merged)
            row = await self.mover.move(step)
        except LeaseLost:
            return False
        if row.state == "held":
            await self.mover.resolve(row, "aborted", reason="left to its own turn")
        if row.state != "applied":
            return False
        wish.outcome = await self.published(lease, wish.plan, Verified(link.merged, verdicts))
        return True


def _passed(judgement: Judgement) -> bool:
    return judgement.ending is None and judgement.question is None and judgement.proved
