"""Trees of processes seen from the loop: who is below whom, who carries a session's mark, and ending them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal as signals
import time
from collections.abc import Callable, Collection, Iterable

from harness.proc import procfs
from harness.proc.identity import Identity, alive, boot_id, identify, signal

MARK = b"HARNESS_SESSION="
PASS_SECONDS = 0.01
QUIET_PASSES = 2


def become_subreaper() -> bool:
    """Make every orphan below this process its child, so that a killed agent-init leaves nothing to pid 1.

    False where the system cannot (macOS).
    """
    return procfs.prctl(procfs.SET_CHILD_SUBREAPER, 1)


def descendants(pid: int) -> list[Identity]:
    """Everybody below `pid` who has not ended, at one look: a tree that forks needs more than one."""
    return _living(procfs.descendants(pid))


def marked(sessions: Collection[str]) -> list[Identity]:
    """Living processes whose environment carries the mark of one of these sessions; never this one or those above it.

    Environments are those of the last exec, readable for the own user. Scanning costs about 4 ms for 100 processes.
    """
    marks = {MARK + session.encode() for session in sessions}
    spared = _line_of_descent()
    return [
        process
        for process in _living(set(procfs.processes()) - spared)
        if not marks.isdisjoint(procfs.read(f"/proc/{process.pid}/environ").split(b"\0"))
    ]


def end_marked(sessions: Collection[str], *, kill_seconds: float = 10.0) -> list[Identity]:
    """SIGKILL what earlier sessions left behind until two looks find nothing; who was killed. Blocking.

    Takes ids, not a prefix: a loop started by an agent of another loop must not end its hosts. A process that emptied
    its environment is found only by `descendants` while its agent-init lives.
    """
    return _Sweep(kill_seconds).until_quiet(lambda: {each.pid for each in marked(sessions)}) if sessions else []


def end_group(leader: Identity) -> bool:
    """SIGKILL the process group of an agent whose agent-init is gone; False if nobody is left in it.

    The leader may have ended: as long as a group has a member, its number is nobody else's pid.
    """
    now = identify(leader.pid)
    if leader.boot != boot_id() or (now is not None and now != leader):
        return False
    try:
        os.killpg(leader.pid, signals.SIGKILL)
    except ProcessLookupError:
        return False
    return True


async def end(
    root: Identity, *, term_seconds: float = 4.0, kill_seconds: float = 10.0, session: str | None = None
) -> list[Identity]:
    """End an agent-init and its whole tree: TERM, by which it does that itself and exactly, then KILL by us.

    An agent-init that was stopped is woken for it. Returns who still lives, normally nobody. Safe to call for one that
    has already ended.
    """
    if signal(root, signals.SIGTERM):
        signal(root, signals.SIGCONT)
        await _wait_for_end(root, term_seconds)
    if not alive(root):
        return []
    return await asyncio.to_thread(_kill_tree, root, kill_seconds, session)


class Reaper:
    """Reads the status of orphans that were handed to us as subreaper, and of nobody else.

    Whoever starts a process here reads its status at once (asyncio, subprocess), so an orphan is a zombie of a foreign
    session that was there at the previous call as well. Call it every few seconds (H14).
    """

    def __init__(self) -> None:
        self._seen: set[Identity] = set()

    def reap(self) -> int:
        """How many zombies are gone."""
        zombies = set(_foreign_zombies())
        due = zombies & self._seen
        self._seen = zombies - due
        for zombie in due:
            os.waitpid(zombie.pid, os.WNOHANG)
        return len(due)


def _foreign_zombies() -> Iterable[Identity]:
    ours = os.getsid(0)
    for pid in procfs.children(os.getpid()):
        fields = procfs.stat_fields(pid)
        if fields and fields[procfs.STATE] in procfs.ENDED and _session(fields) != ours:
            identity = identify(pid)
            if identity is not None:
                yield identity


def _living(pids: Iterable[int]) -> list[Identity]:
    return [identity for identity in map(identify, pids) if identity is not None and alive(identity)]


def _line_of_descent() -> set[int]:
    line = {os.getpid()}
    pid = os.getppid()
    while pid > 0 and pid not in line:
        line.add(pid)
        fields = procfs.stat_fields(pid)
        pid = int(fields[procfs.PARENT]) if fields else 0
    return line


async def _wait_for_end(process: Identity, seconds: float) -> None:
    """A pidfd becomes readable when its process ends. Without pidfds (macOS) a thread looks again and again."""
    if not hasattr(os, "pidfd_open"):
        await asyncio.to_thread(_watch, process, seconds)
        return
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        handle = os.pidfd_open(process.pid)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(handle, ended.set)
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        finally:
            asyncio.get_running_loop().remove_reader(handle)
            os.close(handle)


def _watch(process: Identity, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while alive(process) and time.monotonic() < give_up:
        time.sleep(PASS_SECONDS)


def _kill_tree(root: Identity, seconds: float, session: str | None) -> list[Identity]:
    """For an agent-init that is stuck. It goes last: as long as it lives, nobody can leave its tree."""
    sweep = _Sweep(seconds)
    sweep.until_quiet(lambda: procfs.descendants(root.pid, without=sweep.ended) if alive(root) else set())
    signal(root, signals.SIGKILL)
    _watch(root, seconds)
    marks = {session} if session else set()
    sweep.until_quiet(lambda: sweep.adopted() | {each.pid for each in marked(marks)})
    return [*_living([root.pid]), *_living(sweep.adopted()), *marked(marks)]


class _Sweep:
    """SIGKILL by process and by group. A storm outruns single kills, but no fork slips out of a group that is killed.

    A group is killed whole if it belongs to another session than ours: agent-init begins one, and so do its tools.
    Zombies that nobody reaps are looked at once: a storm leaves thousands, and is gone before a slow look is over.
    """

    def __init__(self, seconds: float) -> None:
        self.give_up = time.monotonic() + seconds
        self.ended: set[int] = set()
        self.groups: set[int] = set()
        self.sessions: set[int] = set()

    def until_quiet(self, find: Callable[[], set[int]]) -> list[Identity]:
        """Two looks in a row with nobody alive and no group that was not killed yet, the second at everybody, the
        newest first. Returns who was alive.
        """
        killed: set[Identity] = set()
        quiet = 0
        while quiet < QUIET_PASSES and time.monotonic() < self.give_up:
            groups = len(self.groups)
            found = sorted(find(), reverse=True)
            alive_now = [each for each in map(self._kill, found) if each is not None]
            killed.update(alive_now)
            quiet = 0 if alive_now or len(self.groups) > groups else quiet + 1
            if quiet:
                self.ended.clear()
                time.sleep(PASS_SECONDS)
        return sorted(killed, key=lambda process: process.pid)

    def adopted(self) -> set[int]:
        """Processes of the tree's sessions that have become ours (we are a subreaper), zombies included."""
        ours = procfs.descendants(os.getpid())
        return {pid for pid in ours if (fields := procfs.stat_fields(pid)) and _session(fields) in self.sessions}

    def _kill(self, pid: int) -> Identity | None:
        """Who it was if it was alive. The group of a zombie is killed too: it may be all that is seen of a storm."""
        identity, fields = identify(pid), procfs.stat_fields(pid)
        if identity is None or not fields:
            return None
        has_ended = fields[procfs.STATE] in procfs.ENDED
        was_alive = not has_ended and signal(identity, signals.SIGKILL)
        group = int(fields[procfs.GROUP])
        if _session(fields) != os.getsid(0) and group not in self.groups:
            self.groups.add(group)
            self.sessions.add(_session(fields))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signals.SIGKILL)
        if has_ended:
            self.ended.add(pid)
        return identity if was_alive else None


def _session(fields: list[bytes]) -> int:
    return int(fields[procfs.SESSION])
