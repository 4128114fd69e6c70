"""Takes what is integrated to the remote (`push: true`). What is integrated here stands, whatever the remote says.

    integrated ──► push ──► pushed
                    │  ▲ its commit, fetched and merged with ours, proved, the branch moved forward
                    ▼  │
                  rejected (somebody was faster; five times, then later)
                  not allowed (`before_push`): what is asked before each push refuses
                  unreachable, refused, conflict, red: said once, tried again ever more slowly

That a push is wanted is written with the intent of the integration, so no crash forgets it. One that had arrived when
we died is found there by the next try, and not made twice.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

from harness.engine.mover import IntegratorTools, Mover, Step
from harness.engine.plan import Plan, PushOrder
from harness.engine.proving import require_green
from harness.model.errors import Conflict, HarnessError, NotFastForward, PushFailed, Refused, StoreError
from harness.model.journal import Integration
from harness.model.outcome import Backoff
from harness.model.work import WorkItem
from harness.ports import Seal

MOST_REJECTIONS = 5
BETWEEN = Backoff(0.2, 2, 5, 0.5)
"""Between two rejections: another loop may push to the same branch, and both must not meet again."""
LATER = Backoff(60, 2, 1800, 0.2)
REFUSAL_HOLDS_SECONDS = 1800.0
"""A refusal may be about the world around the commit (a freeze, a service); that it passed stays true of it."""
Turn = Callable[[str], AbstractAsyncContextManager[object]]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was said before a push of `commit`, and until when that is not asked again; `reason` empty = it may go."""

    commit: str
    asked: str
    reason: str
    until: float


@dataclass(slots=True)
class _Failed:
    count: int = 0
    due: float = 0.0


@dataclass(slots=True)
class Pusher:
    """`turn` is the right to integrate in a repository; `spread` gives random numbers in [0, 1) for back-off."""

    tools: IntegratorTools
    mover: Mover
    turn: Turn
    spread: Callable[[], float] = random.random
    _failed: dict[tuple[str, str], _Failed] = field(default_factory=dict)
    _answers: dict[tuple[str, str], _Answer] = field(default_factory=dict)

    async def tick(self) -> None:
        """Try again what did not arrive, branch by branch, once its time has come."""
        for branch, rows in (await self._unpushed()).items():
            failed = self._failed.get(branch)
            if failed is None or failed.due <= self._now():
                await self._again(rows[-1])

    async def _again(self, row: Integration) -> None:
        item = await self.tools.books(lambda s: s.item(row.item))
        assert item is not None  # a row names an item that exists, and items are never deleted
        try:
            plan = replace(self.tools.planner.plan(item), branch=row.branch)
        except HarnessError as exc:
            await self._not_yet((row.repo, row.branch), [row], exc.message)
            return
        async with self.turn(row.repo):
            await self.publish(plan, item)

    async def publish(self, plan: Plan, item: WorkItem) -> str:
        """Push everything of the plan's branch that waits for it: empty once it is there, else why not.

        The caller holds the repository's turn. `item` is the one in whose name gates run if the remote had more.
        """
        branch = (plan.repo.name, plan.branch)
        rows = (await self._unpushed()).get(branch, [])
        if not rows:
            return ""
        if not plan.push:
            await self._written(rows, "none", "push is off for this repository now")
            return ""
        try:
            remote = await self._arrived(plan, item, rows)
        except HarnessError as exc:
            if isinstance(exc, StoreError):
                raise
            return await self._not_yet(branch, rows, _reason(exc))
        self._failed.pop(branch, None)
        self._answers.pop(branch, None)
        await self._written(rows, "pushed", remote)
        return ""

    async def _unpushed(self) -> dict[tuple[str, str], list[Integration]]:
        """What waits for its remote, oldest first, by repository and branch."""
        found: dict[tuple[str, str], list[Integration]] = {}
        for row in await self.tools.books(lambda s: s.unpushed()):
            found.setdefault((row.repo, row.branch), []).append(row)
        return found

    async def _arrived(self, plan: Plan, item: WorkItem, rows: Sequence[Integration]) -> str:
        """The name of the remote that has it now. Raises PushFailed, Conflict, Refused (red, or by whoever is asked
        first), NotFastForward.
        """
        merger, commit = self.tools.merger, rows[-1].merged or ""
        for number in range(1, MOST_REJECTIONS + 1):
            await self._allowed(plan, commit, rows)
            try:
                return await merger.push(plan.repo, plan.branch, commit)
            except PushFailed as exc:
                if exc.kind != "behind":
                    raise
                await self.mover.note("integration.rejected", item.id, number=number, reason=exc.message)
            theirs = await merger.fetch(plan.repo, plan.branch)
            if theirs is not None and await merger.has(plan.repo, theirs, commit):
                return "its remote, which had it already"
            if theirs is not None:
                commit = await self._joined(plan, item, theirs)
            await self.tools.clock.sleep(BETWEEN.delay(number, self.spread()).total_seconds())
        text = f"rejected {MOST_REJECTIONS} times: {plan.branch} moves faster there than it is proved here"
        raise PushFailed(text, kind="behind", hint="nothing to do: tried again later, the work is safe here")

    async def _allowed(self, plan: Plan, commit: str, rows: Sequence[Integration]) -> None:
        """Raises Refused: what is integrated stands here, and is asked about again."""
        guard = self.tools.push_guard
        if guard is None:
            return
        branch, asked = (plan.repo.name, plan.branch), guard.asks(plan.repo.name)
        known = self._answers.get(branch)
        if known is None or (known.commit, known.asked) != (commit, asked) or self._now() >= known.until:
            items = tuple(dict.fromkeys(row.item for row in rows))
            reason = await guard.refusal(PushOrder(plan.repo, plan.branch, rows[0].base, commit, items))
            until = self._now() + REFUSAL_HOLDS_SECONDS if reason else math.inf
            known = self._answers[branch] = _Answer(commit, asked, reason, until)
        if known.reason:
            raise Refused(known.reason)

    def _now(self) -> float:
        return self.tools.clock.monotonic()

    async def _joined(self, plan: Plan, item: WorkItem, theirs: str) -> str:
        """A proved commit of our branch that has what the remote has; the branch is moved forward to it."""
        merger = self.tools.merger
        tip = await merger.tip(plan.repo, plan.branch)
        if await merger.has(plan.repo, tip, theirs):
            return tip
        try:
            merged = await merger.merge(plan.repo, Seal(tip, "", (), ()), theirs)
        except Conflict as exc:
            hint = f"git -C {plan.repo.path} pull --no-rebase, mend and commit; it is pushed by itself then"
            files = ", ".join(exc.paths) or exc.message
            raise Conflict(f"{plan.branch} here and there both changed {files}", paths=exc.paths, hint=hint) from exc
        await require_green(
            self.tools, plan, item, merged, theirs, step="push",
            red=lambda ending: f"{ending} on {plan.branch} merged with what the remote has ({theirs[:12]})",
        )  # fmt: skip
        row = await self.mover.move(Step(item, item.fence, plan, tip, tip, merged, "sync"))
        if row.state != "applied" and row.paths:
            raise NotFastForward(f"{row.reason}; then it is pushed by itself", paths=row.paths)
        return merged if row.state == "applied" else tip

    async def _not_yet(self, branch: tuple[str, str], rows: Sequence[Integration], reason: str) -> str:
        failed = self._failed.setdefault(branch, _Failed())
        failed.count += 1
        failed.due = self._now() + LATER.delay(failed.count, self.spread()).total_seconds()
        await self._written(rows, "wanted", reason)
        return reason

    async def _written(self, rows: Sequence[Integration], push: str, reason: str) -> None:
        now, numbers = self.tools.clock.now(), [row.id for row in rows]
        await self.tools.books(lambda s: s.publish(numbers, push, reason, now))
        self.tools.state.bell.ring()


def _reason(exc: HarnessError) -> str:
    """What happened and what helps, in a line."""
    return f"{exc.message} ({exc.hint})" if exc.hint else exc.message
