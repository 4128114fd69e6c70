"""Work items: what they are, the states they may be in, and how they are ordered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from harness.model.errors import Usage


class WorkState(StrEnum):
    BLOCKED = "blocked"
    DELAYED = "delayed"
    READY = "ready"
    LEASED = "leased"
    WAITING = "waiting"
    DONE = "done"
    PARKED = "parked"
    CANCELLED = "cancelled"


_S = WorkState

TRANSITIONS: Mapping[WorkState, frozenset[WorkState]] = MappingProxyType(
    {
        _S.BLOCKED: frozenset({_S.READY, _S.DELAYED, _S.WAITING, _S.PARKED, _S.CANCELLED}),
        _S.DELAYED: frozenset({_S.READY, _S.BLOCKED, _S.WAITING, _S.PARKED, _S.CANCELLED}),
        _S.READY: frozenset({_S.LEASED, _S.DELAYED, _S.BLOCKED, _S.WAITING, _S.PARKED, _S.CANCELLED}),
        _S.LEASED: frozenset({_S.READY, _S.DELAYED, _S.WAITING, _S.DONE, _S.PARKED, _S.CANCELLED}),
        _S.WAITING: frozenset({_S.READY, _S.DELAYED, _S.DONE, _S.PARKED, _S.CANCELLED}),
        _S.PARKED: frozenset({_S.READY, _S.WAITING, _S.DONE, _S.CANCELLED}),
        _S.DONE: frozenset({_S.READY}),
        _S.CANCELLED: frozenset({_S.READY}),
    }
)
"""Legal moves; the store's trigger and the state diagram in the docs are made from this table."""

UNFINISHED = frozenset({_S.BLOCKED, _S.DELAYED, _S.READY, _S.LEASED, _S.WAITING})
FAILED = frozenset({_S.PARKED, _S.CANCELLED})
"""States in which an item counts as failed for those that depend on it; it may still be taken up again."""
ON_FAILURE = ("hold", "skip", "run")
"""What an item does when one that it depends on fails: wait for a person, be cancelled too, go on as if it was done."""
PRIORITIES: Mapping[str, int] = MappingProxyType({"critical": 0, "high": 20, "medium": 50, "low": 80})
ITEM_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check_id(text: str) -> str:
    """The id itself if it may name files, refs and folders. Raises Usage (contract 3)."""
    if ITEM_ID.fullmatch(text) and ".." not in text and not text.endswith((".", ".lock")):
        return text
    raise Usage(
        f"not an item id: {text!r}",
        hint="1-128 of A-Z a-z 0-9 . _ -, beginning with a letter or digit, without '..', not ending in '.' or '.lock'",
    )


def priority(value: str | int) -> int:
    """0 (first) to 99 (last) from a name or a number. Raises Usage naming what is allowed."""
    if isinstance(value, str):
        if value.lower() in PRIORITIES:
            return PRIORITIES[value.lower()]
        if re.fullmatch(r"[0-9]{1,2}", value):
            value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 99:
        return value
    raise Usage(f"not a priority: {value!r}", hint=f"{', '.join(PRIORITIES)}, or a number from 0 to 99, lower first")


def priority_name(value: int) -> str:
    """The name for a number that has one, else the number: what people read and may write back."""
    return next((name for name, number in PRIORITIES.items() if number == value), str(value))


def rank_at(created_at: datetime, lane_handicap_hours: float, item_priority: int) -> datetime:
    """The one stored sorting key: nothing starves, because time passes for everybody (1 h a priority point)."""
    return created_at + timedelta(hours=lane_handicap_hours + item_priority)


Apart = Mapping[str | None, str]
"""Repositories in which an item is refused whose scope overlaps that of an unfinished one: by what an item may call it
(None = it names none), its name.
"""
HAND = "hand"


@dataclass(frozen=True, slots=True)
class Continuation:
    """Where the next lease of an item goes on, instead of beginning afresh.

    `mode` session = the same Claude conversation in the same workspace; work = a fresh session on the kept workspace;
    seal = no session at all, prove and integrate `seal` (a stop or crash came after the seal); hand = a person has it,
    and `reason` says who and since when.
    """

    mode: str
    reason: str
    session: str | None = None
    claude_session_id: str | None = None
    workspace: str | None = None
    wip_ref: str | None = None
    seal: str | None = None
    base: str | None = None


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One unit of work. Times are aware; `extra` holds every key an operator wrote that is not ours.

    `on_failure` is one of ON_FAILURE. Items of one `dedupe_key` are the same finding: how often and when it was found,
    and the done item that it comes back after (`regression_of`).
    """

    id: str
    title: str
    kind: str = "default"
    description: str = ""
    repo: str | None = None
    priority: int = PRIORITIES["medium"]
    lane: str = "default"
    state: WorkState = WorkState.READY
    reason: str = ""
    depends_on: tuple[str, ...] = ()
    on_failure: str = "hold"
    not_before: datetime | None = None
    attempts: int = 0
    max_attempts: int = 3
    rescues: int = 0
    deferrals: int = 0
    fence: int = 0
    agent: str | None = None
    model: str | None = None
    scope: tuple[str, ...] = ()
    branch: str | None = None
    assigned: str | None = None
    resources: tuple[str, ...] = ()
    timeout_seconds: float | None = None
    max_cost_usd: float | None = None
    labels: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    source: str = "cli"
    dedupe_key: str | None = None
    sightings: int = 1
    last_seen_at: datetime | None = None
    regression_of: str | None = None
    continuation: Continuation | None = None
    outcome: str | None = None
    rank_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def by_hand(self) -> bool:
        """Whether a person has it (`queue take`): the one of `assigned`, until it is handed in or given back."""
        return self.continuation is not None and self.continuation.mode == HAND


@dataclass(frozen=True, slots=True)
class Lease:
    """A right to one item. `fence` grows with each lease; every write under it carries the fence."""

    item: WorkItem
    owner: str
    fence: int
    attempt_id: int
    leased_at: datetime


class Phase(StrEnum):
    """How far an attempt is; an attempt is one lease to one disposition."""

    PREPARING = "preparing"
    RUNNING = "running"
    PROVING = "proving"
    INTEGRATING = "integrating"
    SETTLED = "settled"
