"""The simulated machine: one home on a real disk, one SQLite database, and everything that would be outside of us."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from harness.agents.scripted import ScriptedAgent, ScriptedSession
from harness.agents.steps import Stage, Step
from harness.model.home import Home
from harness.model.session import Brief
from harness.ports import Desk
from harness.testing.agents import Playwright
from harness.testing.repositories import SimulatedGit
from harness.testing.virtual import Process, Timeline

REPOSITORIES = ("app", "site")
DISK_BYTES = 100 << 30
ROOM = 50 << 30


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
    stage: Stage | None = None


@dataclass
class World:
    """What outlives every loop. `random` streams are per purpose, so that one does not shift the others."""

    seed: int
    home: Home
    timeline: Timeline = field(default_factory=Timeline)
    disk: Disk = field(default_factory=Disk)
    locks: set[str] = field(default_factory=set)
    living: dict[str, Living] = field(default_factory=dict)
    contexts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    plots: Counter[str] = field(default_factory=Counter)
    on_record: Callable[[str], bool] = lambda _session: True

    def __post_init__(self) -> None:
        self.git = SimulatedGit(REPOSITORIES, self.random("git"))
        self.playwright = Playwright(self.random("agents"), lambda item: self.git.folders[item])
        self.judging = self.random("gates")
        self.dying = self.random("leftovers")

    def random(self, purpose: str) -> Random:
        return Random(f"{self.seed} {purpose}")  # noqa: S311 - a simulation must be repeatable, not secret

    def broken(self, text: str) -> None:
        self.violations.append(text)

    # --- agent processes ----------------------------------------------------------------------------------------------

    def begin(self, brief: Brief, process: Process) -> None:
        """An agent starts. It must be on record, and the only one of its item."""
        if not self.on_record(brief.session):
            self.broken(f"{brief.session} starts without a row")
        if process.stale:
            return
        others = [s for s, living in self.living.items() if living.item == brief.item.id]
        if others:
            self.broken(f"{brief.session} starts on {brief.item.id} while {others[0]} lives")
        self.started.append(brief.session)
        self.living[brief.session] = Living(brief.item.id, process)

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


class SimulatedAgent(ScriptedAgent):
    """The scripted agent, counted and watched. One a process, because its clock stops with the process."""

    def __init__(self, world: World, process: Process) -> None:
        super().__init__(self._play, clock=process)
        self._world = world
        self._process = process

    def _play(self, brief: Brief) -> Sequence[Step]:
        plot, steps = self._world.playwright.script(brief.item.id)
        self._world.plots[plot] += 1

        async def enter(stage: Stage) -> None:
            if brief.session in self._world.living:
                self._world.living[brief.session].stage = stage

        return [enter, *steps]

    @asynccontextmanager
    async def session(self, brief: Brief, desk: Desk) -> AsyncIterator[ScriptedSession]:
        self._world.begin(brief, self._process)
        try:
            async with super().session(brief, desk) as play:
                yield play
        finally:
            if self._process.alive:
                self._world.living.pop(brief.session, None)
