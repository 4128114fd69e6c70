"""One agent process: its words, its limits, what it was given and what it said it did."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.model.work import WorkItem


class SessionStatus(StrEnum):
    """The closed set of contract 2; the same words in files, commands and the API (H43)."""

    SPAWNING = "spawning"
    RUNNING = "running"
    WAITING_API = "waiting_api"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    INTERRUPTED = "interrupted"
    KILLED = "killed"


FINAL = frozenset(
    {
        SessionStatus.COMPLETED,
        SessionStatus.FAILED,
        SessionStatus.TIMEOUT,
        SessionStatus.STALLED,
        SessionStatus.INTERRUPTED,
        SessionStatus.KILLED,
    }
)


def new_session_id() -> str:
    """`ses_` and 12 hex digits: the name of the session everywhere."""
    return f"ses_{os.urandom(6).hex()}"


class Role(StrEnum):
    """What a session is for: the work of its item, or the review of what another session has sealed."""

    WORK = "work"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Limits:
    """Effective limits of one session; seconds, US dollars, tokens as `Used` counts them. None = no limit of ours."""

    session_timeout_seconds: float = 3600
    stall_threshold_seconds: float = 420
    max_turns: int | None = 80
    max_cost_usd: float | None = 5
    max_tokens: int | None = None
    retry_wait_seconds: float = 900
    start_seconds: float = 60
    idle_after_result_seconds: float = 30


@dataclass(frozen=True, slots=True)
class Paths:
    """Every file of one session (contract 2). `folder` (spec, record, lock) is ours alone, `workspace` the agent's."""

    workspace: Path
    log: Path
    err: Path
    home: Path
    tmp: Path
    claude: Path
    folder: Path
    lock: Path
    record: Path


@dataclass(frozen=True, slots=True)
class Brief:
    """What a session is given. `resume` continues the conversation `claude_session_id`, else a new one gets that id."""

    session: str
    item: WorkItem
    prompt: str
    paths: Paths
    environment: Mapping[str, str]
    limits: Limits
    claude_session_id: str
    resume: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    push: bool = False
    role: Role = Role.WORK


@dataclass(frozen=True, slots=True)
class Refusal:
    """A claim that was not taken: the ending it would be, and what the agent was told."""

    ending: str
    told: str


@dataclass(frozen=True, slots=True)
class Claim:
    """`complete_work` as the agent called it and the Desk accepted it."""

    status: str
    summary: str


@dataclass(frozen=True, slots=True)
class Question:
    """`request_decision` as the agent called it."""

    question: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session as the store keeps it. `heartbeat` is the last sign of the agent, `updated_at` of the loop."""

    id: str
    item: str
    fence: int
    attempt: int
    agent: str
    status: SessionStatus
    iteration: int
    run: str
    claude_session_id: str
    parent: str | None = None
    model: str | None = None
    pid: int | None = None
    boot: str | None = None
    start: int | None = None
    doing: str = ""
    started_at: datetime | None = None
    heartbeat: datetime | None = None
    updated_at: datetime | None = None
    ended_at: datetime | None = None
    ending: str | None = None
    ended_by: str | None = None
    outcome: str | None = None
    workspace: str | None = None
    transcript: str | None = None
    prompt: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    role: Role = Role.WORK
