"""What follows an integration at once: the review of what it brought, and the pull into long-lived checkouts (P4, P13).

    applied ──► wanted ──► done
                 │  ▲
                 ▼  │ every minute, and with the next integration
                why it is not done yet (uncommitted changes, another branch, diverged, not there)

A step is on record in the transaction that says the branch has moved, so a crash in between only puts it off. Doing it
twice does no harm: an item's id is made of the commit, a checkout that has the commit is left alone. Builds take longer
and have a component of their own (`engine.builder`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.engine.mover import IntegratorTools
from harness.engine.plan import Errands, Plan
from harness.model.errors import HarnessError, StoreError
from harness.model.journal import Followup
from harness.ports import Checkouts

QUICK = ("review", "pull")


@dataclass(frozen=True, slots=True)
class Followups:
    """Whoever can do steps does all that are wanted, its own and those that others left."""

    tools: IntegratorTools

    async def tick(self, repo: str | None = None) -> None:
        """Do what is wanted, of one repository or of all. Raises StoreError; anything else is the step's reason."""
        tools = self.tools
        if tools.checkouts is None or tools.errands is None:
            return
        wanted = await tools.books(lambda s: s.followups())
        groups: dict[tuple[str, ...], list[Followup]] = {}
        for step in wanted:
            if step.step in QUICK and repo in (None, step.repo):
                alone = (str(step.id),) if step.step == "review" else ()
                groups.setdefault((step.step, step.repo, step.branch, step.target, *alone), []).append(step)
        for group in groups.values():
            await self._do(group, tools.checkouts, tools.errands)

    async def _do(self, group: Sequence[Followup], checkouts: Checkouts, errands: Errands) -> None:
        """The newest of steps that are the same but for their commit; it does for all."""
        newest = group[-1]
        try:
            if newest.step == "review":
                await self._review(newest, errands)
            else:
                await self._pull(group, await self._plan(newest), checkouts)
        except StoreError:
            raise
        except (HarnessError, OSError) as exc:
            await self.written(group, "wanted", reason_of(exc))

    async def _plan(self, step: Followup) -> Plan:
        item = await self.tools.books(lambda s: s.item(step.item))
        assert item is not None  # a row names an item that exists, and items are never deleted
        return replace(self.tools.planner.plan(item), branch=step.branch)

    async def _review(self, step: Followup, errands: Errands) -> None:
        item = await self.tools.books(lambda s: s.item(step.item))
        assert item is not None
        review, actor, now = errands.review(item, step), self.tools.state.actor, self.tools.clock.now()
        (added,) = await self.tools.books(lambda s: s.add([review], actor=actor, now=now))
        there = await self.tools.books(lambda s: s.item(review.id))
        await self.written([step], "done", added.detail, made=review.id if there is not None else None)
        self.tools.state.bell.ring()

    async def _pull(self, group: Sequence[Followup], plan: Plan, checkouts: Checkouts) -> None:
        newest, folder = group[-1], Path(group[-1].target)
        if folder not in plan.after.pull:
            await self.written(group, "dropped", "config.yaml does not name it any more")
            return
        before = await checkouts.forward(plan.repo, plan.branch, newest.merged, folder)
        await self.written(group, "done", f"from {before[:12]} to {newest.merged[:12]}" if before else "was there")

    async def written(self, group: Sequence[Followup], state: str, reason: str, made: str | None = None) -> None:
        now, numbers = self.tools.clock.now(), [step.id for step in group]
        await self.tools.books(lambda s: s.follow(numbers, state, reason, now, made))


def reason_of(exc: HarnessError | OSError) -> str:
    """What happened and what helps, in a line."""
    if isinstance(exc, OSError):
        return f"{exc.strerror or exc}: {exc.filename}" if exc.filename else str(exc)
    return f"{exc.message} ({exc.hint})" if exc.hint else exc.message
