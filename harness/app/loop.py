"""One start-to-stop of the loop: locks, signals, components, exit code (contract 4 and 5)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from harness import __version__, fs
from harness.app.build import Parts, build
from harness.app.preflight import check_start
from harness.app.reload import Reload
from harness.app.safe_mode import beware
from harness.config.load import Loaded
from harness.engine.supervisor import Supervisor
from harness.engine.worker import Course
from harness.model.environment import agents_share
from harness.model.errors import Busy, HarnessError
from harness.model.home import Home
from harness.model.journal import Entry, Pause
from harness.model.work import WorkState
from harness.ports import Journalist, Store
from harness.proc.contain import become_subreaper
from harness.proc.identity import boot_id, identify
from harness.proc.lock import FileLock, holder
from harness.store.reports import Run, latest_run
from harness.store.sqlite import SqliteStore

PAUSED, UNAUTHENTICATED, FORCED = 5, 77, 130


@dataclass(frozen=True, slots=True)
class Ended:
    """How a loop ended: exit code, outcomes by word, iterations."""

    status: int
    outcomes: Mapping[str, int]
    iterations: int
    reason: str


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Only one loop a state folder (H19). Raises Busy naming the first one's pid."""
    home.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(home.lock)
    if not lock.acquire(f"pid {os.getpid()}"):
        raise Busy(
            f"another loop runs on {home.state} ({holder(home.lock) or 'pid unknown'})",
            hint="./loop status, ./loop stop",
        )
    try:
        fs.replace(home.pid_file, f"{os.getpid()}\n", mode=0o644)
        yield
    finally:
        _forget_pid(home)
        lock.release()


def _forget_pid(home: Home) -> None:
    """Of a state folder that was moved away, the one at its place may be another loop's already."""
    with suppress(FileNotFoundError):
        if home.pid_file.read_text(encoding="utf-8").strip() == str(os.getpid()):
            home.pid_file.unlink()


def reduce_environment(loaded: Loaded, environ: Mapping[str, str]) -> None:
    """Leave of our own environment only what agents may see: the SDK cannot un-set variables (architecture 2)."""
    keep = agents_share(environ, loaded.environment())
    for name in set(os.environ) - set(keep) - {"HOME", "TMPDIR"}:
        del os.environ[name]


def run_loop(
    loaded: Loaded, course: Course, journalist: Journalist, again: Callable[[], Loaded] | None = None
) -> Ended:
    """Run until the course is at an end or a signal says so. Raises HarnessError for what forbids the start.

    `again` reads the configuration anew, for SIGHUP; without it the one of the start stays.
    """
    environ = dict(os.environ)
    home = Home(loaded.home)
    with alone(home), _courteous():
        reduce_environment(loaded, environ)
        become_subreaper()
        try:
            return asyncio.run(_run(loaded, course, journalist, environ, again or (lambda: loaded)))
        except asyncio.CancelledError:  # by _called_off alone
            sys.exit(0)


async def _run(
    loaded: Loaded, course: Course, journalist: Journalist, environ: Mapping[str, str], again: Callable[[], Loaded]
) -> Ended:
    with _called_off():
        parts = build(loaded, journalist, environ)
        try:
            await _warm(parts, course)
            for finding in check_start(loaded, parts.agents, parts.prompts, parts.fence):
                journalist.line("WARN", "preflight", check=finding.check, found=finding.found, mend=finding.mend)
            reload = Reload(parts.readers, again, journalist, environ, parts.state.run, parts.prompts, parts.fence)
            return await _started(parts, course, journalist, reload)
        finally:
            await parts.thread.close()


async def _warm(parts: Parts, course: Course) -> None:
    """Agents get ready in a loop that has nothing to do yet. Else the way to the first lease, or rescue, goes first."""
    counts = await parts.books(lambda s: s.counts())
    if course.waits and not (counts.get(WorkState.READY) or counts.get(WorkState.LEASED)):
        for agent in parts.agents.values():
            agent.warm()


async def _started(parts: Parts, course: Course, journalist: Journalist, reload: Reload) -> Ended:
    state, clock = parts.state, parts.clock
    me = identify(os.getpid())
    assert me is not None
    lock = FileLock(parts.home.owners / f"{state.owner}.lock")
    lock.acquire(f"pid {os.getpid()}")
    with _signals(parts, reload):
        try:
            await parts.books(
                lambda s: s.register(
                    state.owner, pid=me.pid, boot=boot_id(), start=me.start, kind="loop", now=clock.now()
                )
            )
            await _say_unclean(parts)
            await beware(parts)
            await parts.guards.begin()
            level = parts.fence.reached.level
            await parts.books(
                lambda s: s.begin_run(state.run, pid=me.pid, version=__version__, now=clock.now(), isolation=level)
            )
            parts.books.patient = True
            await parts.timekeeper.begin()
            await parts.reconciler.tick()
            # what became of an earlier loop's work is no outcome of this one's (contract 4)
            state.outcomes.clear()
            state.unproved.clear()
            await parts.interrupt_watch.tick()
            await reload.readers.interrupts.consecutive()
            await parts.guards.remember()
            await parts.intake.tick()
            await parts.scheduling.scheduler.tick()
            supervisor = Supervisor(clock, lambda name, exc: _failed(journalist, name, exc), state.stop)
            await supervisor.run(parts.worker(course), parts.others)
            await parts.scheduling.commands.finish()
            await parts.intake.close()
            await parts.aftermath.close()
        finally:
            await parts.scheduling.commands.call_off()
            await _goodbye(parts)
            lock.release()
            lock.path.unlink(missing_ok=True)
    return _ended(parts, course)


async def _say_unclean(parts: Parts) -> None:
    """A run without an end was killed: said once, at the next start."""
    before = await parts.books(_latest_run)
    if before is None or before.ended_at is not None:
        return
    data = {"run": before.run, "pid": before.pid, "began_at": before.began_at.isoformat(), "version": before.version}
    entry = Entry(parts.clock.now(), "run.unclean", parts.state.actor, data=data)
    await parts.books(lambda s: s.note(entry))


def _latest_run(store: Store) -> Run | None:
    assert isinstance(store, SqliteStore)
    return latest_run(store)


async def _goodbye(parts: Parts) -> None:
    state, now = parts.state, parts.clock.now()
    reason = state.stopping or "the course is at its end"
    await parts.books(lambda s: s.end_run(state.run, reason=reason, iterations=state.iterations, now=now))
    try:
        await parts.books(lambda s: s.forget(state.owner, now))
    except HarnessError:
        # Something is still leased: the next start finds the free lock and settles it.
        return


def _ended(parts: Parts, course: Course) -> Ended:
    state = parts.state
    counts = state.counts()
    status = FORCED if state.stop_now else 0
    if not course.waits and not state.stopping:
        if state.unproved:
            status = 1
        if (pause := _in_the_way(parts, course)) is not None:
            status = UNAUTHENTICATED if pause.reason.startswith(("auth", "billing")) else PAUSED
    return Ended(status, counts, state.iterations, state.stopping or "")


@contextmanager
def _courteous() -> Iterator[None]:
    """TERM before the loop listens or after it has ended is a good end too: there is nothing to wind up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, _too_late)


@contextmanager
def _called_off() -> Iterator[None]:
    """TERM before the loop listens ends the start where it waits: an exit raised inside a step of the event loop could
    leave somebody waiting for that step for ever.
    """
    loop, start = asyncio.get_running_loop(), asyncio.current_task()
    assert start is not None
    loop.add_signal_handler(signal.SIGTERM, start.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, _too_late)


def _too_late(*_: object) -> None:
    """A handler, for SIG_IGN would be inherited by every program that is started later."""


def _in_the_way(parts: Parts, course: Course) -> Pause | None:
    """The pause that kept this course from working; one of another repository or kind did not, if it has worked."""
    state = parts.state
    everybody = state.pause(parts.clock.now())
    return everybody or (next(iter(state.pauses), None) if course.drain or not state.iterations else None)


@contextmanager
def _signals(parts: Parts, reload: Reload) -> Iterator[None]:
    """TERM and the first INT wind up; a second INT ends the sessions at once; HUP reads the configuration again."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    def interrupted() -> None:
        parts.state.stop("INT", now=parts.state.stopping is not None)

    def hangup() -> None:
        task = asyncio.ensure_future(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    handlers = {
        signal.SIGTERM: lambda: parts.state.stop("TERM"),
        signal.SIGINT: interrupted,
        signal.SIGHUP: hangup,
    }
    for signum, handler in handlers.items():
        loop.add_signal_handler(signum, handler)
    try:
        yield
    finally:
        for signum in handlers:
            loop.remove_signal_handler(signum)
        signal.signal(signal.SIGTERM, _too_late)
        for task in reloads:
            task.cancel()


def _failed(journalist: Journalist, name: str, exc: BaseException) -> None:
    reason = exc.message if isinstance(exc, HarnessError) else repr(exc)
    journalist.line("ERROR", "component.failed", component=name, reason=reason)
