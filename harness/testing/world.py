"""The simulated machine: one home on a real disk, one SQLite database, and everything that would be outside of us."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from harness.agents.frames import Conversation
from harness.agents.scripted import ScriptedSession
from harness.agents.steps import Stage, Step
from harness.model.brief import Brief
from harness.model.events import StopReason
from harness.model.home import Home
from harness.model.pressure import MIB, Readings, Thresholds
from harness.ports import AgentSession, Desk, Finding
from harness.testing.agents import Playwright, Silence, Unborn
from harness.testing.money import Money
from harness.testing.repositories import SimulatedGit
from harness.testing.virtual import Process, Timeline

REPOSITORIES = ("app", "site")
DISK_BYTES = 100 << 30
ROOM = 50 << 30
DAY_SECONDS = 86_400.0
MEMORY = 16 << 30
EASE = Readings(MEMORY, MEMORY // 2, 3.0, 60, 1024)
SHORT = (
    replace(EASE, memory_available=100 * MIB),
    replace(EASE, cpu_stalled=97.0),
    replace(EASE, descriptors=1000),
    replace(EASE, memory_available=900 * MIB),  # of a machine that was short before: not enough yet
)
THRESHOLDS = Thresholds(memory_percent=5.0, memory_mib=200.0, cpu_stalled_percent=80.0, descriptors_percent=80.0)


@dataclass(slots=True)
class Disk:
    """Bytes free; a write of the store fails while `full`."""

    free: int = ROOM
    full: bool = False

    def measure(self) -> tuple[int, int]:
        return DISK_BYTES, self.free


@dataclass(slots=True)
class Living:
    """An agent process: whose it is, and the stage it plays on."""

    item: str
    process: Process
    began: float
    stage: Stage | None = None


@dataclass
class World:
    """What outlives every loop. `random` streams are per purpose, so that one does not shift the others."""

    seed: int
    home: Home
    disk: Disk = field(default_factory=Disk)
    readings: Readings = EASE
    locks: set[str] = field(default_factory=set)
    stale: set[str] = field(default_factory=set)
    living: dict[str, Living] = field(default_factory=dict)
    contexts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    plots: Counter[str] = field(default_factory=Counter)
    on_record: Callable[[str], bool] = lambda _session: True
    on_started: Callable[[str], None] = lambda _session: None

    def __post_init__(self) -> None:
        self.timeline = Timeline(round(self.random("clock").uniform(0, DAY_SECONDS), 3))
        self.money = Money(self.random("money"))
        self._sets = 0
        self.git = SimulatedGit(REPOSITORIES, self.random("git"))
        self.playwright = Playwright(self.random("agents"), self.git.seen)
        self.judging = self.random("gates")
        self.dying = self.random("leftovers")

    def random(self, purpose: str) -> Random:
        return Random(f"{self.seed} {purpose}")  # noqa: S311 - a simulation must be repeatable, not secret

    def broken(self, text: str) -> None:
        self.violations.append(text)

    @property
    def clock_is_as_it_was(self) -> bool:
        """Whether nobody has set the wall clock since the loop that runs was started."""
        return self.timeline.sets == self._sets

    def loop_starts(self) -> None:
        self._sets = self.timeline.sets
        self.money.draw()

    # --- agent processes ----------------------------------------------------------------------------------------------

    def begin(self, brief: Brief, process: Process) -> None:
        """An agent starts. It must be on record, and the only one of its item."""
        if not self.on_record(brief.session):
            self.broken(f"{brief.session} starts without a row")
        self.money.charge(brief.session, brief.item.kind)
        if process.stale:
            return
        others = [s for s, living in self.living.items() if living.item == brief.item.id]
        if others:
            self.broken(f"{brief.session} starts on {brief.item.id} while {others[0]} lives")
        self.started[brief.session] = self.timeline.monotonic()
        self.living[brief.session] = Living(brief.item.id, process, self.timeline.monotonic())

    def orphan(self, process: Process) -> None:
        """The loop of these agents was killed: some die with it, some live until somebody ends them."""
        for session, living in tuple(self.living.items()):
            if living.process is process and self.dying.random() < 0.5:
                del self.living[session]

    def end_session(self, session: str) -> int:
        living = self.living.pop(session, None)
        if living is None:
            return 0
        if living.stage is not None:
            living.stage.stopping.set()
        return 1


class SimulatedAgent:
    """Implements ports.Agent: a script without frames, counted and watched. Its clock stops with its process."""

    name = "simulated"

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    @asynccontextmanager
    async def session(self, brief: Brief, desk: Desk) -> AsyncIterator[AgentSession]:
        self._world.begin(brief, self._process)
        play = self._play(brief, desk)
        try:
            yield play
        finally:
            try:
                await play.stop(StopReason.FINISHED)
            finally:
                if self._process.alive:
                    self._world.living.pop(brief.session, None)

    def _play(self, brief: Brief, desk: Desk) -> AgentSession:
        plot, script = self._world.playwright.script(brief.item.id)
        self._world.plots[plot] += 1
        if plot == "unborn":
            return Unborn(self._process, self._world.playwright.last_words())

        async def enter(stage: Stage) -> None:
            self._world.on_started(brief.session)
            if brief.session in self._world.living:
                self._world.living[brief.session].stage = stage

        conversation = Conversation(brief.claude_session_id, str(brief.options["model"]))
        stage = Stage(brief, desk, self._process, Silence(), conversation, asyncio.Queue(), asyncio.Event())
        steps: Sequence[Step] = [enter, *script]
        return ScriptedSession(stage, steps)

    def warm(self) -> None:
        """Nothing to import."""

    def doctor(self) -> Sequence[Finding]:
        return ()
