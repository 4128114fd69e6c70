"""The real guards of one simulated loop, in the places where `harness.app` puts them."""

from __future__ import annotations

from dataclasses import dataclass

from harness.engine.breakers import ApiBreaker, SpawnBreaker
from harness.engine.budget import Purse
from harness.engine.plan import Planner
from harness.engine.pressure import PressureWatch
from harness.engine.seams import Door, Listener, Witness
from harness.engine.state import LoopState
from harness.engine.throttle import Throttle
from harness.ports import Books
from harness.testing.virtual import Process
from harness.testing.world import THRESHOLDS, World


@dataclass(frozen=True, slots=True)
class Guards:
    """Those of `harness.app.guards`, which reads thresholds and budgets from a configuration."""

    throttle: Throttle
    api: ApiBreaker
    spawns: SpawnBreaker
    purse: Purse
    pressure: PressureWatch

    async def remember(self) -> None:
        """The breakers outlive their loop."""
        await self.api.begin()
        await self.spawns.begin()

    @property
    def listeners(self) -> tuple[Listener, ...]:
        return (self.throttle, self.spawns)

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        return (self.api, self.spawns, self.purse)

    def doors(self, workers: int) -> tuple[Door, ...]:
        self.throttle.workers = workers
        return (self.throttle, self.purse)


def make_guards(world: World, books: Books, process: Process, state: LoopState, planner: Planner) -> Guards:
    """Budgets and readings are the world's; the spread of the throttle is drawn from the seed."""
    spread = world.random(f"throttle of {state.owner}")
    return Guards(
        Throttle(books, process, state, spread=spread.random),
        ApiBreaker(books, process, state),
        SpawnBreaker(books, process, state, world.home.interrupt_file),
        Purse(books, process, state, planner, lambda: world.money.budgets),
        PressureWatch(books, process, state, lambda: world.readings, lambda: THRESHOLDS),
    )
