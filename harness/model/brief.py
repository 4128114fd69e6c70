"""What one session is given, its limits, and what it said it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.model.session import Role
from harness.model.work import WorkItem


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
    """What a session is given. `resume` continues the conversation `claude_session_id`, else a new one gets that id;
    `permitted` are calls that a person has permitted.
    """

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
    permitted: frozenset[str] = frozenset()


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
