"""What watches one loop and holds work back, made from its configuration: limits, breakers, budgets, resources."""

from __future__ import annotations

from dataclasses import dataclass

from harness.app.planner import ConfigPlanner
from harness.engine.breakers import ApiBreaker, SpawnBreaker
from harness.engine.budget import Purse
from harness.engine.checkup import CheckupTools
from harness.engine.own_memory import OwnMemory
from harness.engine.pressure import PressureWatch
from harness.engine.seams import Door, Listener, Witness
from harness.engine.state import LoopState
from harness.engine.throttle import Throttle
from harness.model.budget import Budgets
from harness.model.home import Home
from harness.model.pressure import Readings, Thresholds
from harness.model.vitals import Rules
from harness.ports import Books, Clock
from harness.proc import resources
from harness.proc.gauge import SessionGauge


@dataclass(frozen=True, slots=True)
class Guards:
    throttle: Throttle
    api: ApiBreaker
    spawns: SpawnBreaker
    purse: Purse
    pressure: PressureWatch
    own_memory: OwnMemory
    checkups: CheckupTools

    async def begin(self) -> None:
        """What an earlier loop held back is looked at afresh, before the first lease."""
        await self.purse.begin()
        await self.pressure.tick()
        await self.own_memory.begin()

    @property
    def listeners(self) -> tuple[Listener, ...]:
        return (self.throttle, self.spawns)

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        return (self.api, self.spawns, self.purse)

    def doors(self, workers: int) -> tuple[Door, ...]:
        self.throttle.workers = workers
        return (self.throttle, self.purse)


def make_guards(home: Home, books: Books, clock: Clock, state: LoopState, planner: ConfigPlanner) -> Guards:
    # asked each time, so that a reload counts
    def budgets() -> Budgets:
        return planner.loaded.config.budgets.budgets()

    def thresholds() -> Thresholds:
        return planner.loaded.config.pressure.thresholds()

    def rules() -> Rules:
        return planner.loaded.config.watch.rules()

    return Guards(
        Throttle(books, clock, state),
        ApiBreaker(books, clock, state),
        SpawnBreaker(books, clock, state, home.interrupt_file),
        Purse(books, clock, state, planner, budgets),
        PressureWatch(books, clock, state, _readings, thresholds),
        OwnMemory(books, clock, state, resources.own_rss, lambda: rules()["loop_memory"]),
        CheckupTools(lambda brief: SessionGauge(brief.paths.workspace), rules),
    )


def _readings() -> Readings:
    found, (few, most) = resources.memory(), resources.descriptors()
    total, available = (found.total, found.available) if found is not None else (None, None)
    return Readings(total, available, resources.cpu_stalled(), few, most)
