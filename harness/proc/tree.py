"""Trees of processes seen from the loop: who is below whom, who carries a session's mark, and ending them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal as signals
import time
from collections.abc import Callable, Collection, Iterable

from harness.proc import procfs
from harness.proc.identity import Identity, alive, identify, signal

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
    return _kill_until_quiet(lambda: marked(sessions), kill_seconds) if sessions else []


async def end(
    root: Identity, *, term_seconds: float = 4.0, kill_seconds: float = 10.0, session: str | None = None
) -> list[Identity]:
    """End an agent-init and its whole tree: TERM, by which it does that itself and exactly, then KILL by us.

    Returns who still lives, normally nobody. Safe to call for one that has already ended.
    """
    if signal(root, signals.SIGTERM):
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
        if fields and fields[procfs.STATE] in procfs.ENDED and int(fields[procfs.SESSION]) != ours:
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
    """Without agent-init: below it while it lives, then those who came to us and share a session with its tree."""
    sessions = {_session_of(member.pid) for member in descendants(root.pid)} - {os.getsid(0), None}

    def find() -> list[Identity]:
        adopted = [orphan for orphan in descendants(os.getpid()) if _session_of(orphan.pid) in sessions]
        tree = [root, *descendants(root.pid)] if alive(root) else []
        return [*tree, *adopted, *(marked({session}) if session else [])]

    _kill_until_quiet(find, seconds)
    return find()


def _session_of(pid: int) -> int | None:
    fields = procfs.stat_fields(pid)
    return int(fields[procfs.SESSION]) if fields else None


def _kill_until_quiet(find: Callable[[], list[Identity]], seconds: float) -> list[Identity]:
    give_up = time.monotonic() + seconds
    killed: set[Identity] = set()
    quiet = 0
    while quiet < QUIET_PASSES and time.monotonic() < give_up:
        found = find()
        killed.update(process for process in found if signal(process, signals.SIGKILL))
        quiet = 0 if found else quiet + 1
        time.sleep(PASS_SECONDS if quiet else 0)
    return sorted(killed, key=lambda process: process.pid)
