"""Puts the loop together: concrete classes for every port, and the engine on top."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.app.aftermath import Aftermath, make_aftermath
from harness.app.agents import make_agents
from harness.app.composing import TemplateComposer
from harness.app.environments import Environments
from harness.app.fence import Fence, make_fence
from harness.app.guards import checkups, sources
from harness.app.keeping import make_keepers
from harness.app.measuring import LogMeter
from harness.app.planner import ConfigPlanner
from harness.app.processes import LockedProcesses
from harness.app.proving import GateProver
from harness.app.queue_file import EngineMirror
from harness.app.regenerating import Regenerator
from harness.app.reload import Readers
from harness.app.scheduling import Scheduling, make_scheduling
from harness.app.turns import turns
from harness.clock import SystemClock, slept_seconds
from harness.config.load import Loaded
from harness.engine.attempt import Attempt
from harness.engine.bell import Bell, Sentry
from harness.engine.bundle import Bundles
from harness.engine.decisions import Deadlines
from harness.engine.dossier import Dossiers
from harness.engine.evidence import EvidenceTools
from harness.engine.farewell import Farewell
from harness.engine.guards import Guards, make_guards
from harness.engine.integrator import Integrator
from harness.engine.interrupts import Interrupts, InterruptWatch
from harness.engine.patience import PatientBooks
from harness.engine.place import PlaceWatch
from harness.engine.preparing import AttemptTools
from harness.engine.reconciler import Reconciler
from harness.engine.scrubbing import Scrubber
from harness.engine.session import SessionTools
from harness.engine.settler import Settler
from harness.engine.state import LoopState
from harness.engine.supervisor import Component
from harness.engine.surroundings import DiskWatch, Intake, Pulse
from harness.engine.timekeeper import Timekeeper
from harness.engine.trespass import Trespass
from harness.engine.worker import Course, Worker, WorkerTools
from harness.gates.slots import Resources
from harness.git.grounds import GitGrounds
from harness.git.merge import GitMerger
from harness.git.workspace import GitWorkspaces
from harness.model.environment import agents_share
from harness.model.errors import DiskFull
from harness.model.home import Home
from harness.model.journal import Entry
from harness.model.redact import Redactor
from harness.model.work import Lease
from harness.ports import Agent, Journalist, LeaseRules
from harness.proc.contain import Reaper
from harness.proc.lock import FileLock
from harness.proc.resources import disk
from harness.prompting.render import TemplatePrompts
from harness.store.files import SessionFiles
from harness.store.reading import open_writer
from harness.store.sqlite import SqliteStore
from harness.store.task_files import places
from harness.store.thread import StoreThread
from harness.store.transcripts import CliTranscripts

LOOP, WORKER, COMMAND = "loop", "worker", "command"
SHIPPED_PROMPTS = Path(__file__).resolve().parents[2] / "prompts"


@dataclass(slots=True)
class Parts:
    """A loop, put together and not yet started."""

    home: Home
    loaded: Loaded
    state: LoopState
    clock: SystemClock
    store: SqliteStore
    thread: StoreThread
    books: PatientBooks
    agents: Mapping[str, Agent]
    prompts: TemplatePrompts
    planner: ConfigPlanner
    composer: TemplateComposer
    integrator: Integrator
    reconciler: Reconciler
    workspaces: GitWorkspaces
    interrupt_watch: InterruptWatch
    intake: Intake
    aftermath: Aftermath
    scheduling: Scheduling
    timekeeper: Timekeeper
    deadlines: Deadlines
    others: tuple[Component, ...]
    attempt: Callable[[Lease, int, Callable[[], None]], Attempt]
    guards: Guards
    readers: Readers
    fence: Fence
    tools: AttemptTools
    lock: FileLock
    """That this process lives, for whoever asks after its leases; taken by who starts it."""

    def check(self) -> None:
        """Raises StoreError if the database or our lock is not at its place any more."""
        self.store.check_place()
        self.lock.check_held()

    def worker(self, course: Course) -> Worker:
        readers = self.readers
        readers.take_rules(self.loaded)
        rules = LeaseRules(self.state.actor, readers.lanes, self.default_repository, repositories=readers.repositories)
        doors = self.guards.doors(course.workers)
        return Worker(WorkerTools(self.books, self.clock, self.state, rules, self.attempt, doors), course)

    @property
    def default_repository(self) -> str | None:
        known = self.loaded.config.repositories
        return self.loaded.default_repository or (known[0].name if known else None)


def open_store(home: Home) -> SqliteStore:
    """The store for writing; made and migrated if need be."""
    home.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return open_writer(home.state)


def prompts_of(home: Home) -> TemplatePrompts:
    """The home's own templates first, then the shipped ones."""
    return TemplatePrompts([home.prompts, SHIPPED_PROMPTS])


def build(loaded: Loaded, journalist: Journalist, environ: Mapping[str, str], role: str = LOOP) -> Parts:
    """Every part of a loop on `loaded.home`, or of a worker beside one. Opens the store; starts nothing.

    `role` LOOP, WORKER or COMMAND; `environ` is the caller's environment as it was before it was reduced. Raises
    ConfigError, StoreError.
    """
    home = Home(loaded.home)
    clock = SystemClock()
    state = LoopState(Bell(), secrets.token_hex(4), f"{role}-{os.getpid()}-{secrets.token_hex(3)}", loaded.actor)
    store = open_store(home)
    thread = StoreThread(store, lambda entries: tell(journalist, entries))
    books = PatientBooks(thread, clock, state, lambda full: _full(journalist, full))
    fence = make_fence(loaded, home, environ)
    extra = loaded.environment()
    shared = agents_share(environ, extra)
    agents = make_agents(loaded, home, shared, state.run, fence)
    planner = ConfigPlanner(loaded, agents)
    workspaces = GitWorkspaces(home.worktrees, under=home.state, benches=home.benches)
    environments = Environments(home, state.run, environ, extra, fence)
    regenerate = Regenerator(environments, home.command_logs)
    merger = GitMerger(home.benches, under=home.state, caller=environ, regenerate=regenerate)
    meter = LogMeter(home)
    records = SessionFiles(home.root, store.check_place)
    prompts = prompts_of(home)
    composer = TemplateComposer(loaded, prompts)
    switches = loaded.config.harness.interrupts.model_dump()
    most = loaded.config.harness.max_consecutive_failures
    interrupts = Interrupts(books, clock, state, home, switches, most)
    beside = role == WORKER
    guards = make_guards(books, clock, state, planner, home.interrupt_file, sources(planner), beside=beside)
    dossiers = Dossiers(books, clock, home, records, records.dossier)
    scrubber = Scrubber(books, clock, state, CliTranscripts(home.claude, Redactor(shared)))
    witnesses = (*guards.witnesses, dossiers, Bundles(books, clock, home), scrubber)
    settler = Settler(books, clock, state, records, interrupts, random.random, witnesses, planner.deadline)
    prover = GateProver(loaded, environments, merger, home, Resources(turns(home.resource, journalist)))
    aftermath = make_aftermath(books, clock, state, home, merger, prover, planner, environments)
    scheduling = make_scheduling(books, clock, state, home, merger, planner, environments)
    # a command says at once what it meets; it does not wait for somebody's gates
    integrator = Integrator(aftermath.tools, None if role == COMMAND else turns(home.turn, journalist))
    sessions = SessionTools(books, clock, state, workspaces, records, meter, guards.listeners, checkups(planner))
    grounds = GitGrounds(home.worktrees, (home.state, home.docs))
    trespass = None if fence.stands else Trespass(books, clock, state, grounds)
    tools = AttemptTools(sessions, home, planner, composer, environments, integrator, settler, trespass)
    processes = LockedProcesses(home)
    evidence = EvidenceTools(books, clock, state, processes, workspaces, planner, records, meter, home)
    reconciler = Reconciler(evidence, settler)
    watch = InterruptWatch(books, clock, state, home, loaded.config.harness.interrupt_check_interval)
    mirror = EngineMirror(home, loaded, clock)
    readers = Readers(planner, composer, prover, interrupts, environments, mirror)
    intake = Intake(books, clock, state, mirror)
    timekeeper = Timekeeper(books, clock, state, slept_seconds)
    parts = Parts(
        home, loaded, state, clock, store, thread, books, agents, prompts, planner, composer, integrator, reconciler,
        workspaces, watch, intake, aftermath, scheduling, timekeeper, Deadlines(books, clock, state), (),
        lambda lease, iteration, free: Attempt(tools, lease, iteration, free),
        guards, readers, fence, tools, FileLock(home.owners / f"{state.owner}.lock"),
    )  # fmt: skip
    common = _wherever_work_is_done(parts, processes)
    parts.others = common if beside else (*common, *_of_the_loop(parts, records), scrubber)
    return parts


def _wherever_work_is_done(parts: Parts, processes: LockedProcesses) -> tuple[Component, ...]:
    """What watches over the sessions of this process, and over its right to them."""
    home, books, clock, state = parts.home, parts.books, parts.clock, parts.state
    wal = home.database.with_name(home.database.name + "-wal")
    return (
        Sentry(state.bell, clock, [wal, home.queue_file, home.interrupt_file, *places(home.pages)], [home.decisions]),
        parts.interrupt_watch,
        *parts.guards.components,
        DiskWatch(books, clock, state, lambda: _free(home)),
        Farewell(books, clock, state, processes, parts.loaded.config.harness.stop_timeout),
        Pulse(clock, (Reaper().reap,)),
        parts.timekeeper,
        PlaceWatch(clock, state, parts.check),
    )


def _of_the_loop(parts: Parts, records: SessionFiles) -> tuple[Component, ...]:
    """What there is once a home, however many processes work in it: the lock of the loop guards these."""
    home, books, clock, state = parts.home, parts.books, parts.clock, parts.state
    return (
        parts.reconciler,
        parts.integrator,
        parts.intake,
        parts.deadlines,
        *parts.aftermath.components,
        *parts.scheduling.components,
        Pulse(clock, (records.touch_current,), name="sign of life"),
        *make_keepers(home, books, clock, state, parts.workspaces, parts.planner),
    )


def tell(journalist: Journalist, entries: Sequence[Entry]) -> None:
    """Hand what the store wrote to telemetry, in order."""
    for entry in entries:
        journalist.entry(entry)


def _full(journalist: Journalist, full: DiskFull) -> None:
    journalist.line("ERROR", "component.failed", component="store", reason=full.message, mend=full.hint)


def _free(home: Home) -> tuple[int, int]:
    found = disk(home.state)
    return found.total, found.free
