"""What watches one loop and holds work back: limits, breakers, budgets, resources; and their places in the loop.

    start ──► begin() ──► what an earlier loop left is settled ──► remember() ──► leases, through doors()
    sessions ──► listeners          settlements ──► witnesses         all the time: components

Who builds it says where the figures come from (`Sources`); everything else about a guard is decided here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.engine.breakers import REMEMBERED, ApiBreaker, SpawnBreaker
from harness.engine.budget import Purse
from harness.engine.own_memory import OwnMemory
from harness.engine.plan import Planner
from harness.engine.pressure import MACHINE, SOURCES, PressureWatch
from harness.engine.seams import Door, Listener, Witness
from harness.engine.state import LoopState
from harness.engine.supervisor import Component
from harness.engine.throttle import Throttle
from harness.model.budget import Budgets
from harness.model.journal import PastEnd
from harness.model.pressure import Readings, Thresholds
from harness.model.vitals import Rule
from harness.ports import Books, Clock


@dataclass(frozen=True, slots=True)
class Sources:
    """What guards ask of their surroundings, anew each time, so that a reload counts.

    `own_bytes`: resident bytes of the loop, None where the system does not tell. `spread`: random numbers in [0, 1).
    """

    budgets: Callable[[], Budgets]
    readings: Callable[[], Readings]
    thresholds: Callable[[], Thresholds]
    own_bytes: Callable[[], int | None]
    own_rule: Callable[[], Rule]
    spread: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class Guards:
    books: Books
    throttle: Throttle
    api: ApiBreaker
    spawns: SpawnBreaker
    purse: Purse
    pressure: PressureWatch
    own_memory: OwnMemory

    async def begin(self) -> None:
        """What an earlier loop held back is looked at afresh, before the first lease."""
        await self.purse.begin()
        await self.pressure.tick()
        await self.own_memory.begin()
        await self.api.begin(await self._ends(self.api.remembers_since()))

    async def remember(self) -> None:
        """Starts that failed in a row, once orphans are settled and it is known whether the interrupt file stands."""
        await self.spawns.begin(await self._ends())

    async def _ends(self, since: datetime | None = None) -> Sequence[PastEnd]:
        return await self.books(lambda s: s.recent_ends(REMEMBERED, since))

    @property
    def listeners(self) -> tuple[Listener, ...]:
        return (self.throttle, self.spawns)

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        return (self.api, self.spawns, self.purse)

    @property
    def components(self) -> tuple[Component, ...]:
        return (self.pressure, self.own_memory)

    def doors(self, workers: int) -> tuple[Door, ...]:
        self.throttle.workers = workers
        return (self.throttle, self.purse)


def make_guards(
    books: Books, clock: Clock, state: LoopState, planner: Planner, interrupt_file: Path, sources: Sources,
    *, beside: bool = False,
) -> Guards:  # fmt: skip
    """`beside`: of a worker process, whose own shortages are no reason to hold the others."""
    return Guards(
        books,
        Throttle(books, clock, state, spread=sources.spread),
        ApiBreaker(books, clock, state),
        SpawnBreaker(books, clock, state, interrupt_file),
        Purse(books, clock, state, planner, sources.budgets),
        PressureWatch(books, clock, state, sources.readings, sources.thresholds, MACHINE if beside else SOURCES),
        OwnMemory(books, clock, state, sources.own_bytes, sources.own_rule, beside),
    )
