"""What holds work back in one loop, made from its configuration: limits, breakers, budgets."""

from __future__ import annotations

from dataclasses import dataclass

from harness.app.planner import ConfigPlanner
from harness.engine.breakers import ApiBreaker, SpawnBreaker
from harness.engine.budget import Purse
from harness.engine.seams import Door, Listener, Witness
from harness.engine.state import LoopState
from harness.engine.throttle import Throttle
from harness.model.budget import Budgets
from harness.model.home import Home
from harness.ports import Books, Clock


@dataclass(frozen=True, slots=True)
class Guards:
    throttle: Throttle
    api: ApiBreaker
    spawns: SpawnBreaker
    purse: Purse

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
    def budgets() -> Budgets:
        """As a reload left them."""
        return planner.loaded.config.budgets.budgets()

    return Guards(
        Throttle(books, clock, state),
        ApiBreaker(books, clock, state),
        SpawnBreaker(books, clock, state, home.interrupt_file),
        Purse(books, clock, state, planner, budgets),
    )
