"""What people and the machine do to a loop while it works, drawn from the seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.interrupt_file import request
from harness.model.errors import DiskFull, HarnessError, IllegalMove, NotFound, Refused
from harness.model.work import WorkItem, WorkState
from harness.testing.agents import MOODS
from harness.testing.repositories import FILES
from harness.testing.standins import KINDS, SimulatedStore
from harness.testing.world import EASE, REPOSITORIES, ROOM, SHORT, World

if TYPE_CHECKING:
    from harness.ports import Added

BACKLOG = 8
ACTOR = "operator"
YEAR_SECONDS = 365 * 86_400.0
PRIORITIES = (0, 20, 50, 50, 50, 80)
WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "answer": 10, "retry": 4, "park": 1.5, "cancel": 1, "reprioritise": 4, "rewire": 2, "pause": 0.6, "resume": 6,
        "push": 5, "leave_changes": 1.5, "tidy_checkout": 6, "change_mood": 3, "fill_disk": 0.2, "free_disk": 4,
        "set_clock": 0.3, "set_year": 0.02, "suspend": 0.1, "raise_budgets": 1.5, "squeeze": 0.4, "relieve": 5,
        "nothing": 30,
    }
)  # fmt: skip


class Operator:
    """Acts over a store connection of its own, as commands do. `accepted` are the items that were acknowledged."""

    def __init__(self, world: World) -> None:
        self.accepted: list[str] = []
        self._world = world
        self._random = world.random("operator")
        self._store = SimulatedStore(world.home.database, world.disk)
        self._acts: Mapping[str, Callable[[], None]] = MappingProxyType(
            {name: getattr(self, f"_{name}") for name in WEIGHTS}
        )

    def close(self) -> None:
        self._store.close()

    def act(self) -> str:
        """One thing happens; its name. What the store refuses is refused, nothing else may be raised."""
        name = self._random.choices(tuple(WEIGHTS), tuple(WEIGHTS.values()))[0]
        try:
            self._feed()
            self._acts[name]()
        except (DiskFull, IllegalMove, Refused, NotFound) as exc:
            return f"{name}: {exc.code}"
        return name

    def rest(self) -> float:
        return round(self._random.expovariate(1 / 12), 3)

    # --- the queue ----------------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        counts = self._store.counts()
        waiting = counts[WorkState.READY] + counts[WorkState.DELAYED]
        if waiting < BACKLOG:
            new = [self._item() for _ in range(self._random.randint(1, 4))]
            self._accept(self._store.add(new, actor=ACTOR, now=self._now()))

    def _accept(self, answers: object) -> None:
        assert isinstance(answers, list)
        added: list[Added] = answers
        self.accepted += [answer.id for answer in added if answer.applied]

    def _item(self) -> WorkItem:
        number, random = len(self.accepted) + 1, self._random
        needs = tuple(dict.fromkeys(random.choices(self.accepted[-6:], k=2))) if number > 6 else ()
        later = self._now() + timedelta(seconds=random.uniform(5, 300))
        return WorkItem(
            id=f"item-{number}-{random.getrandbits(24):06x}",
            title=f"item {number}",
            kind=random.choices(tuple(KINDS), (60, 12, 8, 8, 6, 6))[0],
            repo=random.choice((*REPOSITORIES, None)) if random.random() < 0.99 else "missing",
            priority=random.choice(PRIORITIES),
            lane="slow" if random.random() < 0.1 else "default",
            depends_on=needs if random.random() < 0.15 else (),
            not_before=later if random.random() < 0.1 else None,
            max_attempts=random.choice((1, 2, 3, 3)),
        )

    def _any(self, *states: WorkState) -> str:
        """Raises NotFound if nothing is in these states."""
        found = self._store.first(states, 20)
        if not found:
            raise NotFound("no such item")
        return self._random.choice(found)

    def _answer(self) -> None:
        """Everything that waits or is parked is looked at by somebody, sooner or later."""
        for item in self._store.items(states=(WorkState.WAITING, WorkState.PARKED), limit=10):
            hopeless = item.outcome == "verified" or item.repo not in (*REPOSITORIES, None)
            if not hopeless and self._random.random() < 0.5:
                self._store.move(item.id, WorkState.READY, "answered", actor=ACTOR, now=self._now())

    def _retry(self) -> None:
        item = self._any(WorkState.PARKED, WorkState.DELAYED, WorkState.DONE, WorkState.CANCELLED, WorkState.WAITING)
        self._store.move(item, WorkState.READY, "retry", actor=ACTOR, now=self._now())

    def _park(self) -> None:
        item = self._any(WorkState.READY, WorkState.DELAYED, WorkState.BLOCKED, WorkState.LEASED)
        self._store.move(item, WorkState.PARKED, "later", actor=ACTOR, now=self._now())

    def _cancel(self) -> None:
        item = self._any(WorkState.READY, WorkState.PARKED, WorkState.BLOCKED)
        self._store.move(item, WorkState.CANCELLED, "not wanted", actor=ACTOR, now=self._now())

    def _reprioritise(self) -> None:
        item = self._any(WorkState.READY, WorkState.DELAYED, WorkState.LEASED)
        changes = {"priority": self._random.choice(PRIORITIES)}
        self._store.update(item, changes, actor=ACTOR, now=self._now())

    def _rewire(self) -> None:
        """New dependencies, or none: what was blocked may be free, what was free may be blocked."""
        item = self._any(WorkState.READY, WorkState.BLOCKED, WorkState.DELAYED)
        found = self._store.item(item)
        needs = () if found is not None and found.depends_on else (self._random.choice(self.accepted),)
        try:
            self._store.update(item, {"depends_on": needs}, actor=ACTOR, now=self._now())
        except HarnessError as exc:
            if exc.code != "usage":
                raise

    # --- pauses -------------------------------------------------------------------------------------------------------

    def _pause(self) -> None:
        request(self._world.home.interrupt_file, "the operator wants to look")

    def _resume(self) -> None:
        """`./loop resume`: the file goes, and every other pause is ended."""
        self._world.home.interrupt_file.unlink(missing_ok=True)
        if self._random.random() < 0.3:
            with self._store.together():
                for pause in self._store.pauses():
                    if pause.kind != "condition":
                        self._store.close_pause(pause.scope, pause.source, ACTOR, self._now())

    # --- surroundings -------------------------------------------------------------------------------------------------

    def _push(self) -> None:
        repository = self._world.git.repositories[self._random.choice(REPOSITORIES)]
        repository.outside(self._random)

    def _leave_changes(self) -> None:
        repository = self._world.git.repositories[self._random.choice(REPOSITORIES)]
        repository.checkout_dirty = frozenset(self._random.sample(FILES, 20))

    def _tidy_checkout(self) -> None:
        for repository in self._world.git.repositories.values():
            repository.checkout_dirty = frozenset()

    def _change_mood(self) -> None:
        moods = tuple(MOODS)
        self._world.playwright.mood = self._random.choices(moods, (6, 3, 1, 1, 1, 0.5))[0]

    def _fill_disk(self) -> None:
        self._world.disk.free = self._random.choice((0, ROOM // 100))
        self._world.disk.full = self._world.disk.free == 0

    def _free_disk(self) -> None:
        self._world.disk.free, self._world.disk.full = ROOM, False

    def _set_clock(self) -> None:
        """The wall clock is set; monotonic time goes on."""
        self._world.timeline.set(self._random.choice((-3600.0, -30.0, -2.0, 2.0, 60.0, 3600.0)))

    def _set_year(self) -> None:
        """A machine that has lost its clock, or found it again."""
        self._world.timeline.set(self._random.choice((-YEAR_SECONDS, YEAR_SECONDS)))

    def _suspend(self) -> None:
        """The lid was shut: of all clocks only the one on the wall goes on meanwhile."""
        self._world.timeline.suspend(self._random.uniform(60, 10 * 3600))

    def _raise_budgets(self) -> None:
        self._world.money.raise_()

    def _squeeze(self) -> None:
        """The machine is short of memory, processor or descriptors."""
        self._world.readings = self._random.choice(SHORT)

    def _relieve(self) -> None:
        self._world.readings = EASE

    def _nothing(self) -> None: ...

    def _now(self) -> datetime:
        return self._world.timeline.now()
