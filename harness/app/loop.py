"""One start-to-stop of the loop: its lock, its components, its goodbye (contract 4 and 5)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from harness import __version__, fs
from harness.app.build import LOOP, Parts
from harness.app.life import Ended, Life, lived, registered, supervised
from harness.app.reload import Reload
from harness.app.safe_mode import beware
from harness.config.load import Loaded
from harness.engine.worker import Course
from harness.model.errors import Busy, LeaseLost
from harness.model.home import Home
from harness.model.journal import Entry
from harness.ports import Journalist, Store
from harness.proc.lock import FileLock, holder
from harness.store.reports import Run, latest_run
from harness.store.sqlite import SqliteStore


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


def run_loop(
    loaded: Loaded, course: Course, journalist: Journalist, again: Callable[[], Loaded] | None = None
) -> Ended:
    """Run until the course is at an end or a signal says so. Raises HarnessError for what forbids the start.

    `again` reads the configuration anew, for SIGHUP; without it the one of the start stays.
    """
    environ = dict(os.environ)
    with alone(Home(loaded.home)):
        return lived(Life(loaded, course, journalist, environ, again or (lambda: loaded), LOOP), _story)


async def _story(life: Life, parts: Parts, reload: Reload) -> None:
    async with registered(parts, LOOP) as pid:
        try:
            await _begun(parts, pid, reload)
            await supervised(life, parts)
            await parts.scheduling.commands.finish()
            await parts.intake.close()
            await parts.aftermath.close()
        finally:
            await parts.scheduling.commands.call_off()
            await _goodbye(parts)


async def _begun(parts: Parts, pid: int, reload: Reload) -> None:
    """What an earlier loop left is looked at before anything is leased."""
    state, now, level = parts.state, parts.clock.now(), parts.fence.reached.level
    await _say_unclean(parts)
    await beware(parts)
    await parts.guards.begin()
    await parts.books(lambda s: s.begin_run(state.run, pid=pid, version=__version__, now=now, isolation=level))
    parts.books.patient = True
    await parts.timekeeper.begin()
    await parts.reconciler.tick()
    # what became of an earlier loop's work is no outcome of this one's (contract 4)
    state.outcomes.clear()
    state.unproved.clear()
    await parts.interrupt_watch.tick()
    await reload.readers.interrupts.consecutive()
    await parts.guards.remember()
    await parts.intake.begin()
    await parts.deadlines.tick()
    await parts.scheduling.scheduler.tick()


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
    try:
        await parts.books(lambda s: s.end_run(state.run, reason=reason, iterations=state.iterations, now=now))
    except LeaseLost:
        # Somebody said that we are dead, and what ends us now says so: the run stays without an end.
        return
