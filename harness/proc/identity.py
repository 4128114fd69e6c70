"""Telling processes apart: pids wrap within minutes (research/reliability-security 0), so a bare pid is no identity."""

from __future__ import annotations

import os
import signal as signals
import sys
from dataclasses import dataclass

from harness.proc import procfs


@dataclass(frozen=True, slots=True)
class Identity:
    """One process for ever: the boot it lives in, its pid, and when it started in clock ticks since that boot."""

    boot: str
    pid: int
    start: int


def boot_id() -> str:
    """Changes with every boot of the machine. macOS (untested): the kernel's session UUID."""
    if sys.platform == "darwin":
        return _ask("sysctl", "-n", "kern.bootsessionuuid")
    return procfs.boot_id()


def identify(pid: int) -> Identity | None:
    """Who has this pid now; None if nobody. Zombies still have theirs."""
    start = _start_on_mac(pid) if sys.platform == "darwin" else procfs.start_time(pid)
    return None if start is None else Identity(boot_id(), pid, start)


def alive(identity: Identity) -> bool:
    """Whether exactly this process still runs. A zombie has ended: only its status waits to be read."""
    if identity.boot != boot_id():
        return False
    if sys.platform == "darwin":
        return identify(identity.pid) == identity
    fields = procfs.stat_fields(identity.pid)
    return bool(fields) and int(fields[procfs.START]) == identity.start and fields[0] not in procfs.ENDED


def stopped(pid: int) -> bool:
    """Whether a signal (or a debugger) keeps this process from going on. False where the system does not tell."""
    fields = procfs.stat_fields(pid)
    return bool(fields) and fields[procfs.STATE] in procfs.STOPPED


def signal(identity: Identity, signum: int) -> bool:
    """Send a signal to exactly this process; False if it is not there (any more). Raises PermissionError.

    A pidfd is opened first and the start time compared after, so the pid cannot change hands in between.
    """
    if sys.platform == "darwin":
        return alive(identity) and _kill(identity.pid, signum)
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if not alive(identity):
            return False
        signals.pidfd_send_signal(handle, signum)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def _kill(pid: int, signum: int) -> bool:
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True


def _start_on_mac(pid: int) -> int | None:
    """`ps` tells seconds since the epoch only as words; their digits are as good for comparing."""
    digits = "".join(filter(str.isdigit, _ask("ps", "-o", "lstart=", "-p", str(pid))))
    return int(digits) if digits else None


def _ask(*argv: str) -> str:
    import subprocess  # noqa: PLC0415 - on macOS only

    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
