"""One start-to-stop of the loop on the simulated machine: the real engine, put together as `harness.app` does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from harness.engine.attempt import Attempt
from harness.engine.bell import Bell
from harness.engine.evidence import EvidenceTools
from harness.engine.guards import Guards, make_guards
from harness.engine.integrator import Integrator
from harness.engine.interrupts import Interrupts, InterruptWatch
from harness.engine.mover import IntegratorTools
from harness.engine.patience import PatientBooks
from harness.engine.preparing import AttemptTools
from harness.engine.reconciler import Reconciler
from harness.engine.session import SessionTools
from harness.engine.settler import Settler
from harness.engine.state import LoopState
from harness.engine.supervisor import Component, Supervisor
from harness.engine.surroundings import DiskWatch
from harness.engine.timekeeper import Timekeeper
from harness.engine.worker import Course, Worker, WorkerTools
from harness.model.errors import HarnessError
from harness.ports import LeaseRules, Merger, Workspaces
from harness.store.sqlite import SqliteStore
from harness.testing.standins import (
    SimulatedBooks,
    SimulatedComposer,
    SimulatedMeter,
    SimulatedPlanner,
    SimulatedProcesses,
    SimulatedProver,
    SimulatedRecords,
    SimulatedStore,
    SimulatedSurroundings,
    simulated_sources,
)
from harness.testing.virtual import Boundary, Process
from harness.testing.world import REPOSITORIES, Disk, SimulatedAgent, World

MAX_CONSECUTIVE_FAILURES = 5
CHECK_SECONDS = 30.0
LANES = {"slow": 1}
SWITCHES = {"session_timeout": "item", "quality_gate_failure": "item", "blocked_work": "item"}


@dataclass(frozen=True)
class Design:
    """What a loop is made of where a test may plant a fault: a store, guards, and a reconciler."""

    guards: Callable[..., Guards] = make_guards
    store: Callable[[Path, Disk], SqliteStore] = SimulatedStore
    reconciler: type[Reconciler] = Reconciler


@dataclass
class Machine:
    """A loop and its process. `failures` are what its components raised."""

    world: World
    number: int
    design: Design = field(default_factory=Design)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.course = Course()
        world, name = self.world, f"loop-{self.number}"
        self.process = Process(name, world.timeline)
        self.process.on_kill = self.killed
        self.state = LoopState(Bell(), f"run-{self.number:06}", name, "simulator")
        self.store = self.design.store(world.home.database, world.disk)
        books = SimulatedBooks(self.process, self.store)
        self.books = PatientBooks(books, self.process, self.state, lambda _full: None)
        spread = world.random(f"spread {self.number}")
        self.interrupts = Interrupts(
            self.books, self.process, self.state, world.home, SWITCHES, MAX_CONSECUTIVE_FAILURES
        )  # fmt: skip
        self.planner = SimulatedPlanner(SimulatedAgent(world, self.process))
        self.guards = self.design.guards(
            self.books, self.process, self.state, self.planner, world.home.interrupt_file,
            simulated_sources(world, name),
        )  # fmt: skip
        self.settler = Settler(
            self.books, self.process, self.state, SimulatedRecords(world), self.interrupts, spread.random,
            self.guards.witnesses,
        )  # fmt: skip
        self.integrator = Integrator(
            IntegratorTools(
                self.books, self.process, self.state, world.home, cast("Merger", self._port(world.git)),
                SimulatedProver(world, self.process), self.planner,
            )
        )  # fmt: skip

    def _port(self, target: Any) -> Boundary:
        return Boundary(self.process, target)

    def killed(self) -> None:
        """The kernel frees the lock; the agents are on their own."""
        self.world.locks.discard(self.state.owner)
        self.world.orphan(self.process)

    # --- the loop -----------------------------------------------------------------------------------------------------

    async def run(self, course: Course) -> None:
        """Start, work, wind up. Raises what ended the worker."""
        self.course = course
        state, world = self.state, self.world
        world.locks.add(state.owner)
        now = self.process.now
        try:
            await self.books(lambda s: s.register(state.owner, pid=1, boot="boot", start=1, kind="loop", now=now()))
            await self.guards.begin()
            await self.books(lambda s: s.begin_run(state.run, pid=1, version="simulated", now=now()))
            self.books.patient = True
            reconciler, watch = self._reconciler(), self._watch()
            timekeeper = Timekeeper(self.books, self.process, state, lambda: world.timeline.slept_seconds)
            await timekeeper.begin()
            await reconciler.tick()
            await watch.tick()
            await self.interrupts.consecutive()
            await self.guards.remember()
            disk = DiskWatch(self.books, self.process, state, world.disk.measure)
            others: tuple[Component, ...] = (
                watch, reconciler, self.integrator, *self.guards.components, disk, timekeeper,
            )  # fmt: skip
            await Supervisor(self.process, self._failed, state.stop).run(self._worker(course), others)
        finally:
            if self.process.alive:
                await self._goodbye()

    async def _goodbye(self) -> None:
        now, state = self.process.now, self.state
        try:
            reason = state.stopping or "the course is at its end"
            await self.books(lambda s: s.end_run(state.run, reason=reason, iterations=state.iterations, now=now()))
            await self.books(lambda s: s.forget(state.owner, now()))
        except HarnessError as exc:
            self.failures.append(f"goodbye: {exc.message}")
        finally:
            self.world.locks.discard(state.owner)

    def _failed(self, name: str, exc: BaseException) -> None:
        self.failures.append(f"{name}: {type(exc).__name__}: {exc}")

    def _worker(self, course: Course) -> Worker:
        rules = LeaseRules(self.state.actor, LANES, REPOSITORIES[0])
        tools = self._attempt_tools()
        return Worker(
            WorkerTools(
                self.books, self.process, self.state, rules, lambda lease, n, free: Attempt(tools, lease, n, free),
                self.guards.doors(course.workers),
            ),
            course,
        )  # fmt: skip

    def _attempt_tools(self) -> AttemptTools:
        sessions = SessionTools(
            self.books, self.process, self.state, cast("Workspaces", self._port(self.world.git)),
            SimulatedRecords(self.world), SimulatedMeter(self.world.money), self.guards.listeners,
        )  # fmt: skip
        return AttemptTools(
            sessions, self.world.home, self.planner, SimulatedComposer(), SimulatedSurroundings(), self.integrator,
            self.settler,
        )  # fmt: skip

    def _reconciler(self) -> Reconciler:
        tools = EvidenceTools(
            self.books, self.process, self.state, SimulatedProcesses(self.world),
            cast("Workspaces", self._port(self.world.git)), self.planner, SimulatedRecords(self.world),
            SimulatedMeter(self.world.money), self.world.home,
        )  # fmt: skip
        return self.design.reconciler(tools, self.settler)

    def _watch(self) -> InterruptWatch:
        return InterruptWatch(self.books, self.process, self.state, self.world.home, CHECK_SECONDS)
