"""Which level of isolation can be reached here, found by trying (H2, architecture 7.7)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.proc import procfs
from harness.proc.view import View

PROBE_SECONDS = 20.0
OF_THE_CLI = (
    *("--new-session", "--die-with-parent", "--unshare-net", "--unshare-pid"),
    *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
)
"""What the CLI's own sandbox asks of bubblewrap: a network namespace too, which `outer` leaves alone."""
MARKS_OF_CONTAINERS = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")


@dataclass(frozen=True, slots=True)
class Reached:
    """The level there is; `why` says what stands in the way of the wished one. `program` is bubblewrap's file."""

    level: str
    why: str = ""
    program: str = ""


def reach(wished: str, path: str, view: View) -> Reached:
    """The highest level up to `wished`. `outer` is tried with the real `view`; one process, about 10 ms.

    `path` is the search path of programs. Where `outer` cannot be reached, `cli` is tried; `why` says what is missing.
    """
    if wished == "outer":
        return _outer(path, view)
    if wished == "container":
        inside = in_container()
        return Reached("container") if inside else Reached("none", "this is no container that could be recognised")
    return _cli(path) if wished == "cli" else Reached("none")


def _outer(path: str, view: View) -> Reached:
    program = shutil.which("bwrap", path=path)
    why = "bubblewrap is not installed (apt-get install bubblewrap)"
    if program is not None:
        failed = attempt(program, view)
        if not failed:
            return Reached("outer", program=program)
        why = f"bubblewrap does not work here: {failed}"
    lower = _cli(path)
    more = f"; level cli: {lower.why}" if program is not None and lower.why not in why else ""
    return replace(lower, why=why + more)


def _cli(path: str) -> Reached:
    """The CLI's own sandbox needs bubblewrap and socat. On macOS it uses what the system has: assumed, never tried."""
    if sys.platform == "darwin":
        return Reached("cli")
    found = {name: shutil.which(name, path=path) for name in ("bwrap", "socat")}
    missing = [name for name, program in found.items() if program is None]
    if missing:
        return Reached("none", f"{' and '.join(missing)} not installed (apt-get install bubblewrap socat)")
    assert found["bwrap"] is not None
    failed = _failure([found["bwrap"], *OF_THE_CLI, "--", "/bin/sh", "-c", ":"])
    return Reached("none", f"bubblewrap does not work here: {failed}") if failed else Reached("cli")


def attempt(program: str, view: View) -> str:
    """Run nothing in `view`; empty if that worked, else what stood in the way."""
    return _failure(_command(program, view, ":"))


def _failure(command: Sequence[str]) -> str:
    try:
        done = _done(command)
    except (OSError, subprocess.SubprocessError) as exc:
        return str(exc)
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]


def inside(program: str, view: View, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in `view`. Raises OSError, subprocess.TimeoutExpired."""
    return _done(_command(program, view, script))


def _command(program: str, view: View, script: str) -> Sequence[str]:
    return [program, *view.arguments(), "--chdir", "/", "--", "/bin/sh", "-c", script]


def _done(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROBE_SECONDS,
        check=False,
    )


def in_container() -> bool:
    """Docker, Podman and systemd-nspawn leave a mark; others say so in the environment of the first process."""
    if any(Path(mark).exists() for mark in MARKS_OF_CONTAINERS):
        return True
    return any(word.startswith(b"container=") for word in procfs.read("/proc/1/environ").split(b"\0"))


def prefix(reached: Reached, view: View) -> Mapping[str, object]:
    """What agent-init is told (`AgentInitSpec.isolation`): the level, and what to start the agent through."""
    argv = [reached.program, *view.arguments()] if reached.level == "outer" else []
    return {"reached": reached.level, "argv": argv}
