"""What the kernel says about processes. Standard library only: agent-init runs on this."""

# ruff: noqa: PTH208 - importing pathlib would be a third of agent-init's start-up
from __future__ import annotations

import contextlib
import os
import time

SET_PDEATHSIG, SET_CHILD_SUBREAPER = 1, 36

# Indexes into `stat_fields`, and the states of a process that has ended, or was stopped.
STATE, PARENT, GROUP, SESSION, USER_TICKS, SYSTEM_TICKS, THREADS, START, RSS_PAGES = 0, 1, 2, 3, 11, 12, 17, 19, 21
ENDED = (b"Z", b"X")
STOPPED = (b"T", b"t")


def prctl(option: int, value: int) -> bool:
    """False where the system has no prctl."""
    import ctypes  # noqa: PLC0415 - who only reads /proc does not need it

    call = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    return call is not None and call(option, value, 0, 0, 0) == 0


def timestamp() -> str:
    """RFC 3339, UTC, milliseconds."""
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"


def read(path: str) -> bytes:
    """A small file of /proc; empty if there is none any more, or not for us."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return b"".join(iter(lambda: os.read(file, 1 << 16), b""))
    except OSError:
        return b""
    finally:
        os.close(file)


def stat_fields(pid: int) -> list[bytes]:
    """Fields of /proc/<pid>/stat from the third on (state, ppid, pgrp, session, ...); empty if the process is gone."""
    return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()


def start_time(pid: int) -> int | None:
    fields = stat_fields(pid)
    return int(fields[START]) if fields else None


def boot_id() -> str:
    return read("/proc/sys/kernel/random/boot_id").decode().strip()


def children(pid: int) -> set[int]:
    """Children of all threads of a process, zombies included."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            found.update(map(int, read(f"/proc/{pid}/task/{thread}/children").split()))
    return found


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def parents() -> dict[int, int]:
    """Child to parent for the whole machine: for kernels without `children` files, and for macOS."""
    if os.access("/proc/self", os.F_OK):
        return {pid: int(fields[PARENT]) for pid in processes() if (fields := stat_fields(pid))}
    with os.popen("ps -A -o pid=,ppid=") as table:  # noqa: S605 - constant words; importing subprocess is dear
        return {int(pid): int(parent) for pid, parent in (line.split() for line in table)}


def descendants(root: int, *, without: set[int] | frozenset[int] = frozenset()) -> set[int]:
    """Every process below `root`, as far as one look can tell: repeat until quiet. `without` are passed over."""
    table = None if os.access(f"/proc/self/task/{os.getpid()}/children", os.F_OK) else parents()
    found: set[int] = set()
    ahead = {root}
    while ahead:
        pid = ahead.pop()
        below = children(pid) if table is None else {child for child, parent in table.items() if parent == pid}
        ahead |= below - found - without
        found |= below - without
    return found
