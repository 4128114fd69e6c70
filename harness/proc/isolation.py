"""Which level of isolation can be reached here, found by trying (H2, architecture 7.7)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.proc import procfs
from harness.proc.view import View

PROBE_SECONDS = 20.0
MARKS_OF_CONTAINERS = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")


@dataclass(frozen=True, slots=True)
class Reached:
    """The level there is; `why` says what stands in the way of the wished one. `program` is bubblewrap's file."""

    level: str
    why: str = ""
    program: str = ""


def reach(wished: str, path: str, view: View) -> Reached:
    """The highest level up to `wished`. `outer` is tried with the real `view`; one process, about 10 ms.

    `path` is the search path of programs.
    """
    if wished == "outer":
        return _outer(path, view)
    if wished == "container":
        inside = in_container()
        return Reached("container") if inside else Reached("none", "this is no container that could be recognised")
    if wished == "cli":
        return Reached("none", "level cli is not built in this version")
    return Reached("none")


def _outer(path: str, view: View) -> Reached:
    program = shutil.which("bwrap", path=path)
    if program is None:
        return Reached("none", "bubblewrap is not installed (apt-get install bubblewrap)")
    why = attempt(program, view)
    return Reached("none", f"bubblewrap does not work here: {why}") if why else Reached("outer", program=program)


def attempt(program: str, view: View) -> str:
    """Run nothing in `view`; empty if that worked, else what stood in the way."""
    try:
        done = inside(program, view, ":")
    except (OSError, subprocess.SubprocessError) as exc:
        return str(exc)
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]


def inside(program: str, view: View, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in `view`. Raises OSError, subprocess.TimeoutExpired."""
    command = [program, *view.arguments(), "--chdir", "/", "--", "/bin/sh", "-c", script]
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
