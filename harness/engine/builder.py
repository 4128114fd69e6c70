"""Builds the branch after an integration, beside the work (P3). What was built before stays until a build succeeds.

    wanted ──► built ──► done: what it made has taken the place of what was there
                 │
                 ▼
               failed: said, and one item that mends it, unless three in a row did not

Several integrations that wait are one build, of the newest commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Protocol

from harness.engine.followups import reason_of
from harness.engine.mover import IntegratorTools
from harness.engine.plan import BuildOrder, Plan
from harness.model.errors import HarnessError, StoreError
from harness.model.journal import Followup
from harness.model.text import tail
from harness.model.work import WorkState
from harness.ports import RepositoryRef

LOOK_SECONDS = 60.0
BETWEEN_SECONDS = 1.0
"""A bell that rings all the time costs one question a second."""
MOST_MENDING = 3
MOST_BUILDS = 200
MOST_SAID = 4000


@dataclass(frozen=True, slots=True)
class Built:
    """`said` is the end of a failed build's output; `where` its log, or the folder of what was made."""

    ok: bool
    said: str
    where: str


class Builds(Protocol):
    async def build(self, repo: RepositoryRef, commit: str, order: BuildOrder) -> Built:
        """Build a commit in a checkout of its own. Raises HarnessError if nothing can be said of it."""
        ...


@dataclass(slots=True)
class Builder:
    """A component. A build that is cut off is begun again by the next start."""

    tools: IntegratorTools
    builds: Builds
    name: str = "builder"
    _due: dict[tuple[str, str], float] = field(default_factory=dict)

    async def run(self) -> None:
        while True:
            ticket = self.tools.state.bell.ticket()
            await self.tick()
            await self.tools.state.bell.after(ticket, LOOK_SECONDS)
            await self.tools.clock.sleep(BETWEEN_SECONDS)

    async def close(self) -> None:
        """At the end of a course what is wanted is built, unless the loop is told to stop."""
        state = self.tools.state
        work = asyncio.create_task(self.tick())
        try:
            while not work.done() and not state.stopping:
                ring = asyncio.create_task(state.bell.after(state.bell.ticket(), None))
                await asyncio.wait([work, ring], return_when=asyncio.FIRST_COMPLETED)
                ring.cancel()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        if not work.cancelled():
            work.result()

    async def tick(self) -> None:
        """Build what is wanted, a repository after the other. Raises StoreError."""
        groups: dict[tuple[str, str], list[Followup]] = {}
        for step in await self.tools.books(lambda s: s.followups()):
            if step.step == "build":
                groups.setdefault((step.repo, step.branch), []).append(step)
        for branch, group in groups.items():
            if self.tools.state.stopping or self._due.get(branch, 0.0) > self.tools.clock.monotonic():
                continue
            try:
                await self._build(group)
            except StoreError:
                raise
            except (HarnessError, OSError) as exc:
                self._due[branch] = self.tools.clock.monotonic() + LOOK_SECONDS
                await self._written(group, "wanted", reason_of(exc))

    async def _build(self, group: Sequence[Followup]) -> None:
        newest = group[-1]
        plan = await self._plan(newest)
        if plan.after.build is None:
            await self._written(group, "dropped", "config.yaml names no build any more")
            return
        built = await self.builds.build(plan.repo, newest.merged, plan.after.build)
        if len(group) > 1:
            await self._written(group[:-1], "dropped", f"built with {newest.merged[:12]}")
        if built.ok:
            await self._written([newest], "done", built.where)
        else:
            made = await self._mending(newest, built)
            more = f"; {made} is to mend it" if made else f"; not mended by {MOST_MENDING} items, a person is needed"
            await self._written([newest], "failed", f"log {built.where}{more}", made)
        self.tools.state.bell.ring()

    async def _plan(self, step: Followup) -> Plan:
        item = await self.tools.books(lambda s: s.item(step.item))
        assert item is not None  # a row names an item that exists, and items are never deleted
        return replace(self.tools.planner.plan(item), branch=step.branch)

    async def _mending(self, step: Followup, built: Built) -> str | None:
        """The item that mends it, an open one again; None once so many have tried since the last good build."""
        tried: set[str] = set()
        for before in await self.tools.books(lambda s: s.builds(step.repo, MOST_BUILDS)):
            if before.state == "done":
                break
            tried |= {before.made} if before.made else set()
        if (at_it := await self._open(tried)) is not None:
            return at_it
        item, errands = await self.tools.books(lambda s: s.item(step.item)), self.tools.errands
        if item is None or errands is None or len(tried) >= MOST_MENDING:
            return None
        mend = errands.mend(item, step, tail(built.said, MOST_SAID))
        actor, now = self.tools.state.actor, self.tools.clock.now()
        (added,) = await self.tools.books(lambda s: s.add([mend], actor=actor, now=now))
        return added.id if added.applied else None

    async def _open(self, items: AbstractSet[str]) -> str | None:
        """One of them that is still to be worked on."""
        found = await self.tools.books(lambda s: [s.item(name) for name in sorted(items)])
        over = (None, WorkState.DONE, WorkState.CANCELLED)
        return next((item.id for item in found if item is not None and item.state not in over), None)

    async def _written(self, group: Sequence[Followup], state: str, reason: str, made: str | None = None) -> None:
        now, numbers = self.tools.clock.now(), [step.id for step in group]
        await self.tools.books(lambda s: s.follow(numbers, state, reason, now, made))
