"""A seed's whole story: loops start, work, are stopped, killed or frozen; after every step the auditor looks."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness.engine.worker import Course
from harness.model.errors import DiskFull, HarnessError
from harness.model.home import Home
from harness.testing.judges import Judges
from harness.testing.machine import MAX_CONSECUTIVE_FAILURES, Design, Machine
from harness.testing.operator import Operator
from harness.testing.virtual import VirtualLoop
from harness.testing.world import World

WORKERS = 3
STOP_SECONDS = 120.0
STUCK_SECONDS = 300.0
EPOCH_STEPS = 200
COURSES = (
    *(Course(workers=WORKERS, iteration_delay_seconds=1),) * 7,
    Course(workers=WORKERS, iteration_delay_seconds=1, drain=True),
    Course(workers=2, iteration_delay_seconds=5, max_iterations=8, pass_seconds=5),
    Course(workers=1, iteration_delay_seconds=1, once=True),
)
KILL, FUSE, TERM, FREEZE, APPLY = 0.02, 0.05, 0.015, 0.012, 0.01
LONGEST_FUSE = 400


@dataclass(slots=True)
class Report:
    """What a seed came to. `violations` empty = nothing that must not happen happened."""

    seed: int
    sessions: int = 0
    virtual_seconds: float = 0.0
    real_seconds: float = 0.0
    starts: int = 0
    breakers: int = 0
    trace: str = ""
    endings: Counter[str] = field(default_factory=Counter)
    killed_in: Counter[str] = field(default_factory=Counter)
    ended_by: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    recent: list[str] = field(default_factory=list)


def simulate(seed: int, sessions: int, folder: Path, design: Design | None = None) -> Report:
    """Play `seed` until `sessions` sessions have begun, or until something that must never happen has happened.

    `folder` takes the home, best on a file system in memory. The same seed gives the same `trace`.
    """
    began = time.monotonic()
    with _greenwich(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        report = runner.run(_Campaign(seed, folder, design or Design()).play(sessions))
    report.real_seconds = time.monotonic() - began
    return report


@contextmanager
def _greenwich() -> Iterator[None]:
    """A day of a budget ends at the same moment wherever a seed is played."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


class _Campaign:
    def __init__(self, seed: int, folder: Path, design: Design) -> None:
        self._world = World(seed, Home(folder))
        self._world.home.state.mkdir(parents=True, exist_ok=True)
        self._operator = Operator(self._world)
        self._judges = Judges(self._world, WORKERS, MAX_CONSECUTIVE_FAILURES)
        self._auditor = self._judges.auditor
        self._random = self._world.random("campaign")
        self._report = Report(seed)
        self._design = design
        self._machine: Machine | None = None
        self._main: asyncio.Task[None] | None = None
        self._stuck_since: float | None = None
        self._leases = 0

    async def play(self, sessions: int) -> Report:
        step = 0
        while len(self._world.started) < sessions and not self._violations():
            await self._step()
            step += 1
            self._auditor.read()
            if step % EPOCH_STEPS == 0:
                self._compare()
        if not self._violations():
            await self._end()
        await self._clear()
        return self._told()

    def _violations(self) -> list[str]:
        return [*self._auditor.violations, *self._world.violations, *self._world.git.violations]

    # --- steps --------------------------------------------------------------------------------------------------------

    async def _step(self) -> None:
        machine = await self._running()
        await asyncio.sleep(self._operator.rest())
        # what the loop has done is judged by how things stood then
        self._auditor.read()
        if self._main is not None and not self._main.done():
            self._complain(self._judges.look(machine))
        self._act()
        machine.state.bell.ring()
        await self._strike(machine)
        self._look_for_progress(machine)

    def _act(self) -> None:
        timeline = self._world.timeline
        before, offset = self._weather(), timeline.offset_seconds
        self._auditor.mark(f"{timeline.monotonic():.3f} {self._operator.act()}")
        if timeline.offset_seconds != offset:
            self._judges.clock_was_set(timeline.offset_seconds - offset)
        self._auditor.read()
        if self._weather() != before:
            self._judges.disturbed()

    def _weather(self) -> tuple[object, ...]:
        return self._world.disk.free, self._world.readings, len(self._auditor.pauses)

    async def _strike(self, machine: Machine) -> None:
        """Now and then the loop is stopped, killed, or frozen; a command comes in between."""
        chance = self._random.random()
        for what, share in ((self._kill, KILL), (self._light_fuse, FUSE), (self._term, TERM), (self._freeze, FREEZE)):
            if chance < share:
                await what(machine)
                return
            chance -= share
        if chance < APPLY:
            await self._apply()

    async def _running(self) -> Machine:
        """The loop that runs; a new one is started if there is none."""
        if self._machine is not None and self._main is not None:
            if not self._main.done():
                return self._machine
            await self._bury(self._machine, self._main)
        await asyncio.sleep(self._random.choice((0.0, 1.0, 20.0)))
        self._report.starts += 1
        self._world.loop_starts()
        self._judges.disturbed()
        self._machine = Machine(self._world, self._report.starts, self._design)
        self._machine.process.on_kill = partial(self._died, self._machine)
        self._main = self._machine.process.start(self._machine.run(self._random.choice(COURSES)))
        return self._machine

    async def _bury(self, machine: Machine, main: asyncio.Task[None]) -> None:
        """How the loop ended; nothing but an order, a kill or the end of its course may end it."""
        await machine.process.gone()
        machine.store.close()
        process = machine.process
        error = None if main.cancelled() else main.exception()
        how = "killed" if not process.alive else "ended" if error is None else type(error).__name__
        self._report.ended_by[how] += 1
        full = isinstance(error, DiskFull) and (machine.state.stopping is not None or not machine.books.patient)
        if process.alive and not process.stale and error is not None and not full:
            self._world.broken(f"{process.name} ended by {error!r}")
        unexpected = [text for text in machine.failures if DiskFull.__name__ not in text and "no space" not in text]
        if unexpected and not process.stale:
            self._world.broken(f"{process.name}: {unexpected[0]}")
        if how == "ended" and not process.stale and machine.guards.purse.reserved:
            self._world.broken(f"{process.name} has ended with money reserved: {machine.guards.purse.reserved}")

    def _died(self, machine: Machine) -> None:
        """What the killed loop was at, for the histogram."""
        self._report.killed_in.update(self._auditor.phases(machine.state.owner) or ["idle"])
        machine.killed()

    async def _kill(self, machine: Machine) -> None:
        self._auditor.mark("kill")
        machine.process.kill()

    async def _light_fuse(self, machine: Machine) -> None:
        """Killed at some await of its future."""
        machine.process.fuse = self._random.randint(1, LONGEST_FUSE)

    async def _term(self, machine: Machine) -> None:
        machine.state.stop("TERM")
        assert self._main is not None
        self._world.disk.full = False
        await asyncio.wait([self._main], timeout=STOP_SECONDS)
        if not self._main.done():
            self._world.broken(f"{machine.process.name} still winds up {STOP_SECONDS} s after TERM")

    async def _freeze(self, machine: Machine) -> None:
        """Its machine is suspended and its lock is lost: the next loop takes over, then the old one comes back."""
        process, main = machine.process, self._main
        assert main is not None
        process.freeze()
        self._world.stale.add(machine.state.owner)
        self._world.locks.discard(machine.state.owner)
        self._machine = self._main = None
        for _ in range(self._random.randint(1, 12)):
            await self._step_of_another()
        process.thaw()
        for _ in range(self._random.randint(1, 6)):
            await self._step_of_another()
        process.kill()
        await self._bury(machine, main)
        self._judges.disturbed()

    async def _step_of_another(self) -> None:
        await self._running()
        await asyncio.sleep(self._operator.rest())
        self._auditor.read()

    async def _apply(self) -> None:
        """`./loop merge apply` in a process of its own, beside the loop."""
        self._report.starts += 1
        command = Machine(self._world, self._report.starts, self._design)
        items = self._operator.accepted[-50:]
        if items:
            with_kept = self._random.choice(items)
            task = command.process.start(command.integrator.apply(with_kept))
            command.process.fuse = self._random.choice((0, 0, self._random.randint(1, 40)))
            await asyncio.wait([task])
            await command.process.gone()
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Exception) and not isinstance(error, HarnessError):
                self._world.broken(f"merge apply: {error!r}")
        command.store.close()

    # --- what must hold -----------------------------------------------------------------------------------------------

    def _look_for_progress(self, machine: Machine) -> None:
        """Work that nothing with a name holds up is begun."""
        if self._is_excused(machine) or not self._auditor.could_begin(self._world.timeline.now()):
            self._stuck_since = None
            return
        at, leases = self._world.timeline.monotonic(), self._auditor.leases
        if self._stuck_since is None or leases != self._leases:
            self._stuck_since, self._leases = at, leases
        if at - self._stuck_since > STUCK_SECONDS:
            ready = self._auditor.states()["ready"]
            self._world.broken(f"{ready} items are ready and nothing is begun for {STUCK_SECONDS} s")

    def _is_excused(self, machine: Machine) -> bool:
        """Something is under way, or somebody has said why nothing is."""
        states, loop, most = self._auditor.states(), machine.state, machine.course.max_iterations
        idle = states["ready"] > 0 and states["leased"] == 0
        told = loop.stopping or self._world.home.interrupt_file.exists() or self._world.disk.full
        over = self._main is None or self._main.done() or (most and loop.iterations >= most)
        return not idle or bool(told or over)

    def _compare(self) -> None:
        self._auditor.compare()
        lost = [item for item in self._operator.accepted if self._auditor.state(item) is None]
        self._complain(f"{item} was accepted and is lost" for item in lost)

    def _complain(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._world.broken(text)

    async def _end(self) -> None:
        """The last loop is stopped; then everything that began has ended."""
        machine = await self._running()
        await asyncio.sleep(1.0)
        await self._term(machine)
        if self._main is not None and self._main.done():
            await self._bury(machine, self._main)
        self._compare()
        if machine.process.alive and (left := self._auditor.phases(machine.state.owner)):
            self._world.broken(f"{machine.process.name} has ended, but holds {len(left)} leases")

    async def _clear(self) -> None:
        """Nothing runs on when a violation ends the story."""
        if self._machine is not None:
            self._machine.process.kill()
            await self._machine.process.gone()
            self._machine.store.close()

    def _told(self) -> Report:
        report, auditor = self._report, self._auditor
        report.sessions = len(self._world.started)
        report.virtual_seconds = self._world.timeline.monotonic()
        report.breakers, report.trace, report.endings = auditor.raised, auditor.trace, auditor.endings
        report.violations, report.recent = self._violations(), list(auditor.recent)
        self._operator.close()
        auditor.close()
        return report
