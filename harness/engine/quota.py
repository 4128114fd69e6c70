"""Keeps workspaces within their number and size: idle ones are saved and removed, then nothing new begins (O13)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.engine.state import LoopState
from harness.model.errors import HarnessError, StoreError
from harness.model.journal import Entry
from harness.model.retention import Quota, by_dispensability
from harness.model.work import WorkItem
from harness.ports import Books, Clock, Upkeep, Workspaces

LOOK_SECONDS = 30.0
MEASURE_SECONDS = 600.0
SOURCE = "workspaces"


@dataclass(slots=True)
class QuotaWatch:
    """A component. Counting costs a listing; sizes are measured every ten minutes, and only if they are limited.

    `limits` is asked anew so that a reload counts.
    """

    books: Books
    clock: Clock
    state: LoopState
    workspaces: Workspaces
    upkeep: Upkeep
    limits: Callable[[], Quota]
    name: str = "quota"
    _measured_at: float | None = None
    _sizes: Mapping[str, int] = field(default_factory=dict)
    _stuck: set[str] = field(default_factory=set)

    async def run(self) -> None:
        while True:
            await self.tick()
            await self.clock.sleep(LOOK_SECONDS)

    async def tick(self) -> None:
        names, over = await self._look()
        if over:
            await self._make_room(names)
            _, over = await self._look()
        if over or any(pause.source == SOURCE for pause in self.state.pauses):
            await self._hold(over)

    async def _look(self) -> tuple[Sequence[str], str]:
        """The workspaces there are, and what there is too much of."""
        limits, now = self.limits(), self.clock.monotonic()
        names = await self.upkeep.names()
        if limits.max_bytes is not None and (self._measured_at is None or now - self._measured_at >= MEASURE_SECONDS):
            self._measured_at, self._sizes = now, await self.upkeep.sizes()
        return names, limits.exceeded(len(names), sum(self._sizes.get(name, 0) for name in names))

    async def _make_room(self, names: Sequence[str]) -> None:
        """Idle workspaces go, those that are needed least first, until there is room for one more."""
        found = await self.books(lambda s: [s.item(name) for name in names])
        for item in by_dispensability(item for item in found if item is not None and item.id not in self._stuck):
            await self._put_away(item)
            if not (await self._look())[1]:
                return

    async def _put_away(self, item: WorkItem) -> None:
        try:
            if await self.workspaces.put_away(item.id, self._in_use):
                await self._note("workspace.pruned", item.id, reason="over the quota of workspaces")
        except HarnessError as exc:
            if isinstance(exc, StoreError):
                raise
            self._stuck.add(item.id)
            await self._note("workspace.left", item.id, reason=exc.message)

    async def _in_use(self, name: str) -> bool:
        item = await self.books(lambda s: s.item(name))
        return item is not None and not by_dispensability([item])

    async def _hold(self, over: str) -> None:
        held = [p for p in await self.books(lambda s: s.pauses()) if (p.scope, p.source) == ("loop", SOURCE)]
        now = self.clock.now()
        if over and not held:
            reason = f"{SOURCE}: {over}; ./loop worktree list, then ./loop worktree prune ITEM"
            await self.books(lambda s: s.open_pause("loop", "hold", reason, SOURCE, now))
            self.state.bell.ring()
        elif held and not over:
            await self.books(lambda s: s.close_pause("loop", SOURCE, "there is room for workspaces again", now))
            self.state.bell.ring()

    async def _note(self, kind: str, item: str, **data: str) -> None:
        entry = Entry(self.clock.now(), kind, self.state.actor, item, None, data)
        await self.books(lambda s: s.note(entry))
