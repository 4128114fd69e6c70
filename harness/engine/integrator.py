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
from dataclasses import dataclass
from pathlib import Path

from harness.engine.plan import Plan, Planner, Proof, Prover
from harness.engine.shield import to_the_end
from harness.engine.state import LoopState
from harness.model.errors import Conflict, HarnessError, NotFastForward, NotFound, Refused
from harness.model.home import Home
from harness.model.journal import Entry, Integration
from harness.model.outcome import Claimed, Failed, Outcome, Verdict, Verified
from harness.model.work import Continuation, Lease, Phase, WorkItem, WorkState
from harness.ports import Books, Clock, Merger, Seal

MOST_TRIES = 5
HELD_RETRY_SECONDS = 60.0


@dataclass(slots=True)
class IntegratorTools:
    books: Books
    clock: Clock
    state: LoopState
    home: Home
    merger: Merger
    prover: Prover
    planner: Planner


@dataclass(frozen=True, slots=True)
class Applied:
    """Answer to `merge apply`: where the branch is now."""

    item: str
    repo: str
    branch: str
    commit: str


class Integrator:
    """Also a component: tries held integrations again every minute, without a new session."""

    name = "integrator"

    def __init__(self, tools: IntegratorTools) -> None:
        self._tools = tools
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def turn(self, repository: str) -> asyncio.Lock:
        """The right to prove and integrate in a repository; given in the order in which it was asked for."""
        return self._turns[repository]

    async def run(self) -> None:
        while True:
            await self._tools.clock.sleep(HELD_RETRY_SECONDS)
            await self.tick()

    async def tick(self) -> None:
        held = await self._tools.books(lambda s: s.integrations(states=("held",)))
        for item in dict.fromkeys(row.item for row in held):
            try:
                if await self._waits(item):
                    await self.apply(item)
            except (Refused, NotFastForward):
                continue
            except HarnessError as exc:
                await self._note("integration.waits", item, reason=exc.message)

    async def _waits(self, item_id: str) -> bool:
        """Whether held work is still wanted; a row of an item that went on or is finished is closed."""
        item = await self._tools.books(lambda s: s.item(item_id))
        if item is not None and item.state is WorkState.WAITING:
            return True
        await self._release(item_id, f"the item is {item.state}" if item else "the item is gone")
        return False

    async def _release(self, item_id: str, reason: str) -> None:
        for row in await self._tools.books(lambda s: s.integrations(item=item_id, states=("held",))):
            await self._resolve(row, "aborted", reason=reason)

    async def land(self, lease: Lease, plan: Plan, seal: Seal, folder: Path) -> Outcome:
        """Prove and integrate; every expected end is an outcome."""
        async with self._turns[plan.repo.name]:
            if not plan.gates:
                return await self._claimed(lease, plan, seal)
            for _ in range(MOST_TRIES):
                outcome = await self._try(lease, plan, seal, folder)
                if outcome is not None:
                    return outcome
            return Failed("conflict", f"{plan.branch} moved {MOST_TRIES} times while the work was being proved")

    async def resume(self, lease: Lease, plan: Plan, goes_on: Continuation) -> Outcome:
        """Go on from a seal or document that an earlier loop did not get to prove or integrate (architecture 6)."""
        folder = self._tools.home.session(goes_on.session or f"seal-{lease.item.id}")
        if goes_on.seal is None:
            return await self.prove_document(lease, plan, goes_on.base or "", folder / "result.md")
        if (landed := await self._landed(lease, plan, goes_on.seal)) is not None:
            return landed
        seal = Seal(goes_on.seal, goes_on.base or "", (), ())
        return await self.land(lease, plan, seal, folder)

    async def _landed(self, lease: Lease, plan: Plan, seal: str) -> Outcome | None:
        """What the earlier loop had integrated already: cut off before it could say so, or before it could settle."""
        rows = await self._tools.books(lambda s: s.integrations(item=lease.item.id))
        for row in (r for r in rows if r.merged and (r.state == "intended" or (r.state, r.seal) == ("applied", seal))):
            if await self._is_in(plan, row.merged or ""):
                if row.state == "intended":
                    await self._resolve(row, "applied")
                verdicts = await self._earlier_verdicts(lease.item.id)
                return Verified(row.merged, verdicts) if plan.gates else Claimed(row.merged)
            if row.state == "intended":
                await self._resolve(row, "aborted", reason="cut off before the branch moved")
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
        merged = await self._merged(plan, seal, tip)
        if isinstance(merged, Failed):
            return merged
        moved = await self._advance(lease.item, lease.fence, plan, seal, merged, tip)
        return Claimed(merged) if moved.state == "applied" else Failed("conflict", moved.reason)

    async def _try(self, lease: Lease, plan: Plan, seal: Seal, folder: Path) -> Outcome | None:
        """One round; None when the branch moved meanwhile and the proof no longer speaks of it."""
        tip = await self._tools.merger.tip(plan.repo, plan.branch)
        merged = await self._merged(plan, seal, tip)
        if isinstance(merged, Failed):
            return merged
        judgement = await self._tools.prover.prove(Proof(plan, lease.item, merged, tip, folder, seal=seal.commit))
        await self._phase(lease, Phase.INTEGRATING, verdicts=list(judgement.verdicts))
        if judgement.ending is not None:
            return Failed(judgement.ending, judgement.evidence)
        await self._tools.merger.keep(plan.repo, lease.item.id, "verified", merged)
        if plan.integrate == "never":
            return Verified(merged, judgement.verdicts)
        row = await self._advance(lease.item, lease.fence, plan, seal, merged, tip)
        if row.state == "aborted":
            return None
        return Verified(merged, judgement.verdicts, held=_held(row, lease.item.id) if row.state == "held" else "")

    async def _merged(self, plan: Plan, seal: Seal, tip: str) -> str | Failed:
        try:
            return await self._tools.merger.merge(plan.repo, seal, tip)
        except Conflict as exc:
            return Failed("conflict", f"with {plan.branch} at {tip[:12]}: {', '.join(exc.paths) or exc.message}")

    async def _advance(self, item: WorkItem, fence: int, plan: Plan, seal: Seal, merged: str, tip: str) -> Integration:
        """Intent first, then the branch; what became of it is written to the same row, also if we are cancelled."""
        began = self._tools.clock.now()
        wanted = Integration(
            0, item.id, fence, plan.repo.name, plan.branch, tip, seal.commit, "intended", merged, began_at=began
        )
        row = await self._tools.books(lambda s: s.intend(wanted))
        return await to_the_end(self._move(row, plan, merged, tip))

    async def _move(self, row: Integration, plan: Plan, merged: str, tip: str) -> Integration:
        try:
            await self._tools.merger.advance(plan.repo, plan.branch, merged, tip)
        except NotFastForward as exc:
            return await self._resolve(row, "held" if exc.paths else "aborted", reason=exc.message, paths=exc.paths)
        return await self._resolve(row, "applied")

    async def _resolve(self, row: Integration, state: str, **facts: object) -> Integration:
        now = self._tools.clock.now()
        return await self._tools.books(lambda s: s.resolve(row.id, state, now, **facts))

    async def apply(self, item_id: str) -> Applied:
        """`merge apply`: take kept work to the branch, by a person's or the minute's will, without a session.

        Verified work that the branch has outrun is proved again on the merged tree. Raises NotFound if nothing is
        kept, Refused if it is already there or red now, NotFastForward naming the files in the way.
        """
        item = await self._tools.books(lambda s: s.item(item_id))
        if item is None:
            raise NotFound(f"no item {item_id}", hint="./loop queue show --all")
        plan = self._tools.planner.plan(item)
        async with self._turns[plan.repo.name]:
            name, kept = await self._kept(plan, item_id)
            if await self._is_in(plan, kept):
                await self._close(item, f"{name}: already in {plan.branch}", name)
                raise Refused(f"{item_id} is already in {plan.branch} ({kept[:12]})")
            merged, tip = await self._reproved(plan, item, name, kept)
            row = await self._advance(item, item.fence, plan, Seal(kept, "", (), ()), merged, tip)
            if row.state != "applied":
                raise NotFastForward(_held(row, item_id), paths=row.paths, hint=f"./loop merge apply {item_id}")
            await self._close(item, f"{name}: integrated into {plan.branch} at {merged[:12]}", name)
            return Applied(item_id, plan.repo.name, plan.branch, merged)

    async def _kept(self, plan: Plan, item_id: str) -> tuple[str, str]:
        for name in ("verified", "claimed"):
            commit = await self._tools.merger.kept(plan.repo, item_id, name)
            if commit is not None:
                return name, commit
        raise NotFound(f"nothing is kept for {item_id} in {plan.repo.name}", hint=f"./loop why {item_id}")

    async def _reproved(self, plan: Plan, item: WorkItem, name: str, kept: str) -> tuple[str, str]:
        tip = await self._tools.merger.tip(plan.repo, plan.branch)
        try:
            merged = await self._tools.merger.merge(plan.repo, Seal(kept, "", (), ()), tip)
        except Conflict as exc:
            hint = f"./loop queue retry {item.id}"
            raise Refused(f"{item.id} conflicts with {plan.branch}: {', '.join(exc.paths)}", hint=hint) from exc
        if merged != kept and name == "verified" and plan.gates:
            folder = self._tools.home.session(f"apply-{item.id}")
            judgement = await self._tools.prover.prove(Proof(plan, item, merged, tip, folder))
            if judgement.ending is not None:
                raise Refused(f"{item.id} is red on today's {plan.branch}", cause=judgement.evidence[:2000])
        return merged, tip

    async def _close(self, item: WorkItem, reason: str, outcome: str) -> None:
        await self._release(item.id, reason)
        if item.state is not WorkState.WAITING or not await self._settled(item, reason, outcome):
            await self._note("integration.taken", item.id, reason=reason)
        self._tools.state.bell.ring()

    async def _settled(self, item: WorkItem, reason: str, outcome: str) -> bool:
        """False where the minute's try and `merge apply` met, and the other one has settled it."""
        now = self._tools.clock.now()
        try:
            await self._tools.books(lambda s: s.settle_held(item.id, WorkState.DONE, reason, outcome, now))
        except Refused:
            return False
        return True

    async def _is_in(self, plan: Plan, commit: str) -> bool:
        return await self._tools.merger.contains(plan.repo, plan.branch, commit)

    async def _earlier_verdicts(self, item: str) -> tuple[Verdict, ...]:
        attempts = await self._tools.books(lambda s: s.attempts(item))
        kept = next((a.verdicts for a in reversed(attempts) if a.verdicts), ())
        return tuple(Verdict(**v) for v in kept)

    async def _phase(self, lease: Lease, phase: Phase, **facts: object) -> None:
        now = self._tools.clock.now()
        await self._tools.books(lambda s: s.phase(lease, phase, now, **facts))

    async def _note(self, kind: str, item: str, **data: object) -> None:
        entry = Entry(self._tools.clock.now(), kind, self._tools.state.actor, item, None, data)
        await self._tools.books(lambda s: s.note(entry))


def _held(row: Integration, item: str) -> str:
    files = ", ".join(row.paths) or row.reason
    return f"verified, waits for the checkout of {row.branch}: in the way are {files}; then ./loop merge apply {item}"
