"""Proves sealed work and brings it to the target branch; serial per repository.

    sealed ──► merged onto the tip ──► gates on the merged tree ──► kept as …/verified
                     │ conflict              │ red                        │
                     ▼                       ▼                            ▼ intent row, then advance
                  conflict    gate_failed, or conflict:      applied │ held (files in the way) │ moved: begin again
                               green on the work alone

The intent row is written before the branch moves, so a crash in between is told apart afterwards by asking the branch.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

from harness.engine.applying import Applied, Applier, held
from harness.engine.batches import Batch, Wish, companions
from harness.engine.conflicts import combined
from harness.engine.cut_off import CutOff
from harness.engine.followups import Followups
from harness.engine.mover import IntegratorTools, Mover, Step
from harness.engine.plan import After, Judgement, Plan, Proof, Proven, asked
from harness.engine.pushing import Pusher, Turn
from harness.engine.recalling import recalled
from harness.engine.rollback import Rollback, Undone
from harness.model.errors import HarnessError, NotFastForward, NotFound, Refused
from harness.model.journal import Integration
from harness.model.outcome import Claimed, Failed, Outcome, Verified
from harness.model.verdict import Verdict
from harness.model.work import Continuation, Lease, Phase
from harness.ports import Seal

MOST_TRIES = 5
HELD_RETRY_SECONDS = 60.0
LOOP = "loop"
"""Who takes held work to its branch at the minute's try."""


class Integrator:
    """Also a component: tries held integrations and what is not pushed again, every minute, without a new session."""

    name = "integrator"

    def __init__(self, tools: IntegratorTools, turns: Turn | None = None) -> None:
        """`turns` reach over processes; without them they are those of this object."""
        self._tools = tools
        here: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._turns: Turn = turns or here.__getitem__
        self._waiting: defaultdict[str, list[Wish]] = defaultdict(list)
        self._mover = Mover(tools)
        self._applier = Applier(tools, self._mover)
        self.pusher = Pusher(tools, self._mover, self.turn)
        self._followups = Followups(tools)
        self._cut_off = CutOff(tools, self._mover, self._applier)

    def turn(self, repository: str) -> AbstractAsyncContextManager[object]:
        """The right to prove and integrate in a repository; given in the order in which it was asked for here."""
        return self._turns(repository)

    async def run(self) -> None:
        await self.settle_cut_off()
        await self.pusher.tick()
        await self._followups.tick()
        while True:
            await self._tools.clock.sleep(HELD_RETRY_SECONDS)
            await self.tick()

    async def settle_cut_off(self) -> None:
        """Say of intents without an end what became of their branch."""
        for repository in await self._cut_off.left():
            async with self.turn(repository):
                await self._cut_off.settle(repository)

    async def tick(self) -> None:
        await self.settle_cut_off()
        held_back = await self._tools.books(lambda s: s.integrations(states=("held",)))
        for item in dict.fromkeys(row.item for row in held_back):
            try:
                if await self._applier.waits(item):
                    await self.apply(item)
            except (Refused, NotFastForward):
                continue
            except HarnessError as exc:
                await self._mover.note("integration.waits", item, reason=exc.message)
        await self.pusher.tick()
        await self._followups.tick()

    async def apply(self, item_id: str, *, by: str = LOOP) -> Applied:
        """`merge apply`: take kept work to the branch, by a person's or the minute's will, without a session.

        `by` is who wants it, for the evidence.

        Raises as Applier.apply does; NotFound for an item or a repository nobody knows.
        """
        item = await self._tools.books(lambda s: s.item(item_id))
        if item is None:
            raise NotFound(f"no item {item_id}", hint="./loop queue show --all")
        plan = self._tools.planner.plan(item)
        async with self.turn(plan.repo.name):
            await self._cut_off.settle(plan.repo.name)
            done = await self._applier.apply(plan, item, by)
            unpushed = await self.pusher.publish(plan, item) if plan.push else ""
            return replace(done, unpushed=unpushed, outstanding=await self._follow(plan))

    async def undo(
        self, rows: Sequence[Integration], actor: str, *, dry_run: bool = False, red_already: bool = False
    ) -> Undone:
        """`merge rollback`: take integrated work of one branch back. Raises as Rollback.undo does."""
        item = await self._tools.books(lambda s: s.item(rows[-1].item))
        assert item is not None  # a row names an item that exists, and items are never deleted
        plan = replace(self._tools.planner.plan(item), branch=rows[-1].branch)
        async with self.turn(plan.repo.name):
            rollback = Rollback(self._tools, self._mover)
            done = await rollback.undo(plan, rows, dry_run=dry_run, red_already=red_already)
            if dry_run:
                return done
            for name in done.items:
                facts = {"by": actor, "commit": done.commit, "branch": done.branch}
                await self._mover.note("integration.undone", name, **facts | ({"red": done.red} if done.red else {}))
            self._tools.state.bell.ring()
            unpushed = await self.pusher.publish(plan, item) if plan.push else ""
            return replace(done, unpushed=unpushed, outstanding=await self._follow(plan))

    async def prove(self, lease: Lease, plan: Plan, seal: Seal, folder: Path) -> Proven | Outcome:
        """Prove without integrating: what is red, or in conflict, is an outcome. A proof of this seal that holds is
        taken as it is.
        """
        async with self.turn(plan.repo.name):
            known = await recalled(self._tools, plan, lease.item.id, seal.commit)
            return known or await self._proven(lease, plan, seal, folder)

    async def describe(self, plan: Plan, seal: Seal) -> tuple[str, ...]:
        """One line a commit of sealed work, oldest first."""
        return tuple(await self._tools.merger.describe(plan.repo, seal.base, seal.commit))

    async def keep_proved(self, plan: Plan, item: str, proven: Proven) -> None:
        """Hold what was proved, so that it is there when its review has ended."""
        await self._tools.merger.keep(plan.repo, item, "proved", proven.merged)

    async def shelve(self, plan: Plan, item: str, proven: Proven) -> None:
        """Keep work that a person decides on, where `merge apply` finds it."""
        name = "verified" if proven.judgement.proved else "claimed"
        await self._tools.merger.keep(plan.repo, item, name, proven.merged)

    async def land(self, lease: Lease, plan: Plan, seal: Seal, folder: Path, proven: Proven | None = None) -> Outcome:
        """Prove, integrate and push; every expected end is an outcome. `proven` holds while the branch stays put."""
        wish, waiting = Wish(lease, plan, seal, folder, proven), self._waiting[plan.repo.name]
        waiting.append(wish)
        try:
            async with self.turn(plan.repo.name):
                if wish.outcome is None and len(batch := companions(wish, waiting)) > 1:
                    await Batch(self._tools, self._mover, self._published).integrate(batch)
                if wish.outcome is None:
                    outcome = await self._integrated(lease, plan, seal, folder, proven)
                    wish.outcome = await self._published(lease, plan, outcome)
                return wish.outcome
        finally:
            waiting.remove(wish)

    async def _published(self, lease: Lease, plan: Plan, outcome: Outcome) -> Outcome:
        """One fix, one push, before the next one is integrated (P27); it stands whatever the remote says."""
        if isinstance(outcome, Verified | Claimed):
            if plan.push:
                await self.pusher.publish(plan, lease.item)
            await self._follow(plan)
        return outcome

    async def _follow(self, plan: Plan) -> tuple[str, ...]:
        """What follows integrations of this repository; what of it is outstanding then, a line each."""
        if plan.after == After():
            return ()
        await self._followups.tick(plan.repo.name)
        left = await self._tools.books(lambda s: s.followups())
        return tuple(step.sentence for step in left if step.repo == plan.repo.name)

    async def _integrated(self, lease: Lease, plan: Plan, seal: Seal, folder: Path, proven: Proven | None) -> Outcome:
        if not plan.gates:
            return await self._claimed(lease, plan, seal)
        for _ in range(MOST_TRIES):
            outcome = await self._try(lease, plan, seal, folder, proven)
            if outcome is not None:
                return outcome
        return Failed("conflict", f"{plan.branch} moved {MOST_TRIES} times while the work was being proved")

    async def resume(
        self,
        lease: Lease,
        plan: Plan,
        goes_on: Continuation,
        land: Callable[[Seal, Path], Awaitable[Outcome]] | None = None,
    ) -> Outcome:
        """Go on from a seal or document that an earlier loop did not get to prove or integrate (architecture 6).

        `land` takes a seal that is not on the branch yet to it; None = without a review.
        """
        folder = self._tools.home.session(goes_on.session or f"seal-{lease.item.id}")
        if goes_on.seal is None:
            return await self.prove_document(lease, plan, goes_on.base or "", folder / "result.md")
        if (landed := await self._landed(lease, plan, goes_on.seal)) is not None:
            async with self.turn(plan.repo.name):
                return await self._published(lease, plan, landed)
        seal = Seal(goes_on.seal, goes_on.base or "", (), ())
        return await (land(seal, folder) if land is not None else self.land(lease, plan, seal, folder))

    async def _landed(self, lease: Lease, plan: Plan, seal: str) -> Outcome | None:
        """What the earlier loop had integrated already: cut off before it could say so, or before it could settle."""
        rows = await self._tools.books(lambda s: s.integrations(item=lease.item.id))
        ours = [row for row in rows if row.merged and row.kind == "work"]
        for row in (r for r in ours if r.state == "intended" or (r.state, r.seal) == ("applied", seal)):
            if await self._is_in(plan, row.merged or ""):
                if row.state == "intended":
                    await self._mover.resolve(row, "applied")
                verdicts = await self._earlier_verdicts(lease.item.id)
                return Verified(row.merged, verdicts) if plan.gates else Claimed(row.merged)
            if row.state == "intended":
                await self._mover.resolve(row, "aborted", reason="cut off before the branch moved")
        return None

    async def prove_document(self, lease: Lease, plan: Plan, base: str, document: Path) -> Outcome:
        """R13: a document is judged on the base by the gates that name its kind."""
        await self._phase(lease, Phase.PROVING)
        if not plan.gates:
            return Claimed(None)
        proof = Proof(plan, lease.item, base, base, document.parent, document)
        judgement = await self._tools.prover.prove(proof)
        await self._phase(lease, Phase.PROVING, verdicts=list(judgement.verdicts))
        return Failed(judgement.ending, judgement.evidence) if judgement.ending else Verified(None, judgement.verdicts)

    async def _claimed(self, lease: Lease, plan: Plan, seal: Seal) -> Outcome:
        await self._tools.merger.keep(plan.repo, lease.item.id, "claimed", seal.commit)
        if plan.integrate != "claimed":
            return Claimed(seal.commit)
        tip = await self._tools.merger.tip(plan.repo, plan.branch)
        merged = await combined(self._tools, plan, lease.item.id, seal, tip)
        if not isinstance(merged, str):
            return merged
        moved = await self._mover.move(Step(lease.item, lease.fence, plan, tip, seal.commit, merged))
        return Claimed(merged) if moved.state == "applied" else Failed("conflict", moved.reason)

    async def _proven(self, lease: Lease, plan: Plan, seal: Seal, folder: Path) -> Proven | Outcome:
        """The gates on the work, merged onto the tip; without gates only that it can be merged."""
        tip = await self._tools.merger.tip(plan.repo, plan.branch)
        merged = await combined(self._tools, plan, lease.item.id, seal, tip)
        if not isinstance(merged, str):
            return merged
        proof = Proof(plan, lease.item, merged, tip, folder, seal=seal.commit)
        judgement = await self._tools.prover.prove(proof) if plan.gates else Judgement((), proved=False)
        await self._phase(lease, Phase.INTEGRATING, verdicts=list(judgement.verdicts))
        return Failed(judgement.ending, judgement.evidence) if judgement.ending else Proven(tip, merged, judgement)

    async def _try(self, lease: Lease, plan: Plan, seal: Seal, folder: Path, proven: Proven | None) -> Outcome | None:
        """One round; None when the branch moved meanwhile and the proof no longer speaks of it."""
        tip = await self._tools.merger.tip(plan.repo, plan.branch)
        found = proven if proven is not None and proven.tip == tip else await self._proven(lease, plan, seal, folder)
        if not isinstance(found, Proven):
            return found
        if proven is not None and found is not proven:
            found = replace(found, review=proven.review)
            await self._phase(lease, Phase.INTEGRATING, verdicts=list(found.verdicts))
        tip, merged, judgement = found.tip, found.merged, found.judgement
        if judgement.question is None and not judgement.proved:
            return await self._claimed(lease, plan, seal)
        await self._tools.merger.keep(plan.repo, lease.item.id, "verified", merged)
        if judgement.question is not None:
            return asked(lease.item.id, judgement.question)
        if plan.integrate == "never":
            return Verified(merged, found.verdicts)
        row = await self._mover.move(Step(lease.item, lease.fence, plan, tip, seal.commit, merged))
        if row.state == "aborted":
            return None
        return Verified(merged, found.verdicts, held=held(row, lease.item.id) if row.state == "held" else "")

    async def _is_in(self, plan: Plan, commit: str) -> bool:
        return await self._tools.merger.contains(plan.repo, plan.branch, commit)

    async def _earlier_verdicts(self, item: str) -> tuple[Verdict, ...]:
        attempts = await self._tools.books(lambda s: s.attempts(item))
        kept = next((a.verdicts for a in reversed(attempts) if a.verdicts), ())
        return tuple(Verdict.read(stored) for stored in kept)

    async def _phase(self, lease: Lease, phase: Phase, **facts: object) -> None:
        now = self._tools.clock.now()
        await self._tools.books(lambda s: s.phase(lease, phase, now, **facts))
