"""The loop's side of agent-init: what it is told, what it tells, and the program that starts it."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from harness import fs
from harness.model.errors import HarnessError
from harness.proc.identity import Identity
from harness.proc.tree import Reaper, become_subreaper, descendants, end, end_group, end_marked, marked

__all__ = [
    "SPEC_VARIABLE",
    "AgentInitSpec",
    "InitLimits",
    "Reaper",
    "Record",
    "become_subreaper",
    "command",
    "descendants",
    "end",
    "end_leftovers",
    "end_marked",
    "launcher",
    "marked",
    "read_record",
    "write_spec",
]

SPEC_VARIABLE = "HARNESS_AGENT_SPEC"
AGENT_INIT = Path(__file__).with_name("agent_init.py")


@dataclass(frozen=True, slots=True)
class InitLimits:
    """Bytes of the two logs; descriptors, core size and niceness of the agent (None = as inherited)."""

    log_bytes: int = 64 << 20
    err_bytes: int = 1 << 20
    nofile: int | None = None
    core: int | None = 0
    nice: int | None = None


@dataclass(frozen=True, slots=True)
class AgentInitSpec:
    """One start of agent-init (architecture 2). `err` equal to `log` merges both outputs.

    `parent` is the process that will start it: PDEATHSIG is silent about a parent that has already gone. None = do not
    check, for a start through a program in between. `isolation`: `level` and `required` as configured, the level
    `reached`, and the `argv` to start the agent through (`isolation.prefix`). `handed_over`: variables whose values the
    agent gets through a pipe, once, and not in its environment; each with the variable that names the descriptor.
    """

    argv0: str
    log: Path
    err: Path
    lock: Path
    record: Path
    session: str
    format: Literal["frames", "text"] = "frames"
    end_on_hangup: bool = True
    grace_seconds: float = 3.0
    hangup_seconds: float = 8.0
    isolation: Mapping[str, Any] = field(default_factory=dict)
    handed_over: Mapping[str, str] = field(default_factory=dict)
    limits: InitLimits = InitLimits()
    parent: int | None = field(default_factory=os.getpid)


@dataclass(frozen=True, slots=True)
class Record:
    """What agent-init wrote: at its start, and again, with `ended_at`, when nothing of the tree was left.

    `killed` counts the processes that had to be killed; `contained` is exact when the kernel said that none is left.
    `reason` says why it ended the agent, could not start it, or lost log lines. No `ended_at` and a free lock: killed.
    """

    pid: int
    start: int
    boot: str
    agent_pid: int | None = None
    agent_start: int | None = None
    exit: int | None = None
    signal: int | None = None
    killed: int = 0
    contained: Literal["exact", "best_effort", "failed"] | None = None
    reached_isolation: str = "none"
    started_at: str = ""
    ended_at: str | None = None
    log_truncated: bool = False
    reason: str = ""

    @property
    def identity(self) -> Identity:
        return Identity(self.boot, self.pid, self.start)

    @property
    def agent(self) -> Identity | None:
        """The agent process, leader of a session and group of its own."""
        if self.agent_pid is None or self.agent_start is None:
            return None
        return Identity(self.boot, self.agent_pid, self.agent_start)


def write_spec(path: Path, spec: AgentInitSpec) -> None:
    """Mode 0600. Raises DiskFull or HarnessError."""
    for folder in {spec.log.parent, spec.err.parent, spec.lock.parent, spec.record.parent}:
        folder.mkdir(parents=True, exist_ok=True)
    fs.replace(path, json.dumps(asdict(spec), default=str), mode=0o600)


def read_record(path: Path) -> Record | None:
    """None if agent-init has not got so far. Raises HarnessError if the file is not one of its records."""
    try:
        raw = json.loads(path.read_bytes())
        return Record(**{each.name: raw[each.name] for each in fields(Record) if each.name in raw})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as exc:
        raise HarnessError(f"{path} is no record of agent-init: {exc}", hint="remove the file") from exc


def end_leftovers(record: Record | None, session: str) -> list[Identity]:
    """End what is left of a session whose agent-init was killed: the agent's group, then whoever carries the mark.

    Who was found by the mark and killed. Blocking; best effort, unlike agent-init itself.
    """
    if record is not None and record.agent is not None:
        end_group(record.agent)
    return end_marked({session})


def command() -> list[str]:
    """How to start agent-init; the agent's arguments follow. Start it from the main thread (see agent_init)."""
    return [sys.executable, "-I", "-S", str(AGENT_INIT)]


def launcher(folder: Path) -> Path:
    """An executable `agent-init` in `folder`, for callers that take one program and no arguments (the SDK's cli_path).

    It replaces itself, so its pid is agent-init's.
    """
    path = folder / "agent-init"
    fs.replace(path, f'#!/bin/sh\nexec {shlex.join(command())} "$@"\n', mode=0o700)
    return path
