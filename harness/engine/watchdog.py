"""Tells a dead session from a quiet one: a small state machine with a clock per state (H22, architecture 7).

    starting ──► thinking ◄──► requesting ──► streaming
                    │              │  ▲
                    │              ▼  │
                    ├──► tools   retrying        compacting
                    ▼
                 finishing (a result came, the agent is not idle yet)

A silence is judged by what is open: a live tool may be mute up to its own limit; an open API call up to the stall
threshold; nothing open at all likewise; a subagent, whose answers are not streamed, ten minutes longer. A retry after
an HTTP answer is a sign of life, a retry after silence is not: the CLI's own time-outs must not wind our clock up
again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from harness.model.brief import Limits
from harness.model.events import (
    REACHED,
    Alive,
    Compacting,
    Denied,
    Idle,
    Limited,
    Requesting,
    Retrying,
    Said,
    SessionEvent,
    Started,
    StopReason,
    Streaming,
    ToolEnded,
    ToolStarted,
    TurnEnded,
    Used,
)

TOOL_GRACE_SECONDS = 60.0
REQUEST_SECONDS = 600.0
"""The CLI's own limit on a request. Answers to a subagent are not streamed: it is silent for as long as they take."""
SPINS = 5

_STATES: Mapping[type[SessionEvent], str] = MappingProxyType(
    {
        Requesting: "requesting",
        Streaming: "streaming",
        Said: "streaming",
        Compacting: "compacting",
        TurnEnded: "finishing",
        Idle: "idle",
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a session must end, and what it was doing then."""

    reason: StopReason
    doing: str
    silent_seconds: float


@dataclass(slots=True)
class _OpenTool:
    name: str
    summary: str
    call: str
    started: float
    limit_seconds: float


@dataclass(slots=True)
class Watchdog:
    """Feed it events and ticks with the same monotonic time; it never acts, it only says."""

    limits: Limits
    started: float
    state: str = "starting"
    last_sign: float = 0.0
    _retry_since: float | None = None
    _retry_delay: float = 0.0
    _refused: bool = False
    _limited: bool = False
    _tools: dict[str, _OpenTool] = field(default_factory=dict)
    _spins: Counter[tuple[str, str]] = field(default_factory=Counter)
    _spun: str | None = None
    _tokens: int = 0

    def __post_init__(self) -> None:
        self.last_sign = self.started

    @property
    def doing(self) -> str:
        """What a person reads under `doing`: the open tool, or the state."""
        if self._tools:
            tool = next(reversed(self._tools.values()))
            return f"{tool.name}: {tool.summary}" if tool.summary else tool.name
        return {"requesting": "waiting for the API", "retrying": "waiting to ask the API again"}.get(
            self.state, self.state
        )

    @property
    def waiting_for_api(self) -> bool:
        return self.state == "retrying"

    def on(self, event: SessionEvent, at: float) -> None:
        """Take one event in. Signs of life move the clock; a retry without an HTTP answer does not."""
        if isinstance(event, Retrying):
            self._retrying(event, at)
            return
        if isinstance(event, Requesting) and self.state == "retrying":
            return  # the CLI asks again by itself: no sign of the API yet
        self.last_sign = at
        self._retry_since = None
        match event:
            case ToolStarted():
                self._tools[event.id] = _OpenTool(event.name, event.summary, event.digest, at, event.limit_seconds)
                self.state = "tools"
            case ToolEnded():
                self._tool_ended(event)
            case Requesting() | Streaming() | Said() | Compacting() if self._tools:
                pass  # a subagent's, or the rest of a message whose tool already runs
            case Requesting() | Streaming() | Said() | Compacting() | TurnEnded() | Idle():
                self.state = _STATES[type(event)]
            case Started():
                self.state = "thinking" if self.state == "starting" else self.state
            case Limited():
                self._limited = event.status in REACHED
            case Used():
                self._tokens = event.tokens
            case Alive() | Denied():
                pass

    def _retrying(self, event: Retrying, at: float) -> None:
        self.state = "retrying"
        self._retry_delay = event.delay_seconds
        self._refused = event.status in (401, 403)
        if event.status is not None:
            self.last_sign = at
            self._retry_since = self._retry_since if self._retry_since is not None else at

    def _tool_ended(self, event: ToolEnded) -> None:
        tool = self._tools.pop(event.id, None)
        if not self._tools:
            self.state = "thinking"
        if tool is not None:
            key = (tool.call, event.digest)
            count = self._spins[key] + 1
            self._spins = Counter({key: count})
            if count >= SPINS:
                self._spun = f"{tool.name} {tool.summary}".strip()

    def tick(self, at: float) -> Finding | None:
        """What must end the session now, None while all is well."""
        reason = self._due(at)
        return Finding(reason, self._spun or self.doing, at - self.last_sign) if reason else None

    def _due(self, at: float) -> StopReason | None:
        if (used_up := self._used_up(at)) is not None:
            return used_up
        if self._refused:
            return StopReason.AUTH
        if self._limited and self.state not in ("finishing", "idle"):
            return StopReason.LIMITED
        if self._spun:
            return StopReason.SPINNING
        silent = at - self.last_sign
        match self.state:
            case "starting":
                return StopReason.STALLED_START if silent >= self.limits.start_seconds else None
            case "tools":
                return StopReason.STALLED if self._overdue(at) or self._forsaken(silent) else None
            case "finishing":
                return StopReason.FINISHED if silent >= self.limits.idle_after_result_seconds else None
            case "retrying":
                return self._retry_due(at, silent)
            case "idle":
                return None
            case _ if silent < self.limits.stall_threshold_seconds:
                return None
            case "thinking":
                return StopReason.STALLED
            case _:
                return StopReason.STALLED_API

    def _used_up(self, at: float) -> StopReason | None:
        if at - self.started >= self.limits.session_timeout_seconds:
            return StopReason.TIMEOUT
        most = self.limits.max_tokens
        return StopReason.BUDGET if most is not None and self._tokens >= most else None

    def _overdue(self, at: float) -> bool:
        return any(at - tool.started >= tool.limit_seconds + TOOL_GRACE_SECONDS for tool in self._tools.values())

    def _forsaken(self, silent: float) -> bool:
        """Nothing is open but subagents, and nothing is heard of them for longer than a request may take."""
        patience = self.limits.stall_threshold_seconds + REQUEST_SECONDS
        return silent >= patience and all(math.isinf(tool.limit_seconds) for tool in self._tools.values())

    def _retry_due(self, at: float, silent: float) -> StopReason | None:
        if self._retry_since is None:
            return StopReason.STALLED_API if silent >= self.limits.stall_threshold_seconds else None
        patience = self._retry_delay + self.limits.stall_threshold_seconds
        too_long = at - self._retry_since >= self.limits.retry_wait_seconds + self.limits.stall_threshold_seconds
        return StopReason.STALLED_API if silent >= patience or too_long else None
