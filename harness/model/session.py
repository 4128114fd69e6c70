"""One agent process: its words, and what is kept of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


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
