"""What every process that works on items has in common: how it begins, that it is known to live, how it ends."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from harness.app.build import Parts, build
from harness.app.preflight import check_start
from harness.app.reload import Reload
from harness.app.signals import called_off, courteous, signals
from harness.config.load import Loaded
from harness.engine.supervisor import Supervisor
from harness.engine.worker import Course
from harness.model.environment import agents_share
from harness.model.errors import HarnessError, LeaseLost
from harness.model.journal import Pause
from harness.model.work import WorkState
from harness.ports import Journalist
from harness.proc.contain import become_subreaper
from harness.proc.identity import boot_id, identify

PAUSED, UNAUTHENTICATED, FORCED = 5, 77, 130


@dataclass(frozen=True, slots=True)
class Ended:
    """How a loop or worker ended: exit code, outcomes by word, iterations."""

    status: int
    outcomes: Mapping[str, int]
    iterations: int
    reason: str


@dataclass(frozen=True, slots=True)
class Life:
    """One start. `again` reads the configuration anew, for SIGHUP; without it the one of the start stays."""

    loaded: Loaded
    course: Course
    journalist: Journalist
    environ: Mapping[str, str]
    again: Callable[[], Loaded]
    role: str


Story = Callable[[Life, Parts, Reload], Awaitable[None]]


def lived(life: Life, story: Story) -> Ended:
    """Everything from the environment to the exit code; `story` is what happens while it is registered.

    Raises HarnessError for what forbids the start.
    """
    with courteous():
        reduce_environment(life.loaded, life.environ)
        become_subreaper()
        try:
            return asyncio.run(_lived(life, story))
        except asyncio.CancelledError:  # by called_off alone
            sys.exit(0)


async def _lived(life: Life, story: Story) -> Ended:
    loaded, journalist = life.loaded, life.journalist
    with called_off():
        parts = build(loaded, journalist, life.environ, life.role)
        try:
            await _warm(parts, life.course)
            for finding in check_start(loaded, parts.agents, parts.prompts, parts.fence):
                journalist.line("WARN", "preflight", check=finding.check, found=finding.found, mend=finding.mend)
            run, prompts, fence = parts.state.run, parts.prompts, parts.fence
            reload = Reload(parts.readers, life.again, journalist, life.environ, run, prompts, fence)
            with signals(parts, reload):
                await story(life, parts, reload)
            return _ended(parts, life.course)
        finally:
            await parts.thread.close()


def reduce_environment(loaded: Loaded, environ: Mapping[str, str]) -> None:
    """Leave of our own environment only what agents may see: the SDK cannot un-set variables (architecture 2)."""
    keep = agents_share(environ, loaded.environment())
    for name in set(os.environ) - set(keep) - {"HOME", "TMPDIR"}:
        del os.environ[name]


async def _warm(parts: Parts, course: Course) -> None:
    """Agents get ready where there is nothing to do yet. Else the way to the first lease, or rescue, goes first."""
    busy = await parts.books(lambda s: s.items(states=(WorkState.READY, WorkState.LEASED), limit=1))
    if course.waits and not busy:
        for agent in parts.agents.values():
            agent.warm()


@asynccontextmanager
async def registered(parts: Parts, role: str) -> AsyncIterator[int]:
    """Make this process an owner of leases, for the block: its lock tells all others that it lives. Its pid.

    From here on the store takes nothing from it once somebody else has said that it is dead.
    """
    state, me = parts.state, identify(os.getpid())
    assert me is not None
    boot, now = boot_id(), parts.clock.now()
    parts.lock.acquire(f"pid {me.pid}")
    try:
        await parts.books(lambda s: s.register(state.owner, pid=me.pid, boot=boot, start=me.start, kind=role, now=now))
        parts.store.act_as(state.owner)
        try:
            yield me.pid
        finally:
            await _forgotten(parts)
    finally:
        taken_away = not parts.lock.is_in_place
        parts.lock.release()
        if not taken_away:
            parts.lock.path.unlink(missing_ok=True)


async def _forgotten(parts: Parts) -> None:
    try:
        await parts.books(lambda s: s.forget(parts.state.owner, parts.clock.now()))
    except HarnessError:
        # Something is still leased: the next start finds the free lock and settles it. Or somebody has done so already.
        return


async def supervised(life: Life, parts: Parts) -> None:
    """The work, with all that watches over it beside it, until its course is at an end."""

    def failed(name: str, exc: BaseException) -> None:
        reason = exc.message if isinstance(exc, HarnessError) else repr(exc)
        life.journalist.line("ERROR", "component.failed", component=name, reason=reason)

    supervisor = Supervisor(parts.clock, failed, parts.state.stop)
    try:
        await supervisor.run(parts.worker(life.course), parts.others)
    except LeaseLost:
        parts.check()  # says why, if it is because this process was taken for dead
        raise


def _ended(parts: Parts, course: Course) -> Ended:
    state = parts.state
    counts = state.counts()
    status = FORCED if state.stop_now else 0
    if not course.waits and not state.stopping:
        if state.unproved:
            status = 1
        if (pause := _in_the_way(parts, course)) is not None:
            status = UNAUTHENTICATED if pause.reason.startswith(("auth", "billing")) else PAUSED
    return Ended(status, counts, state.iterations, state.stopping or state.leaving or "")


def _in_the_way(parts: Parts, course: Course) -> Pause | None:
    """The pause that kept this course from working; one of another repository or kind did not, if it has worked."""
    state = parts.state
    everybody = state.pause(parts.clock.now())
    return everybody or (next(iter(state.pauses), None) if course.drain or not state.iterations else None)
