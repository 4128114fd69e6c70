"""SDK messages into our events, and the facts of the end. Pure but for the SDK's types; never slow, never raises."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from claude_agent_sdk import (
    TERMINAL_TASK_STATUSES,
    AssistantMessage,
    Message,
    RateLimitEvent,
    ResultMessage,
    StreamEvent,
    SystemMessage,
    TaskNotificationMessage,
    TaskStartedMessage,
    TaskUpdatedMessage,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from harness.agents.claude.refusals import Refusals
from harness.agents.claude.tools import PREFIX
from harness.model.events import (
    REACHED,
    AgentExit,
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
    Streaming,
    ToolEnded,
    ToolStarted,
    TurnEnded,
)
from harness.model.session import Limits

STREAMING_SECONDS = 0.5
DESK_SECONDS = 60.0
MAX_RESET = timedelta(days=8)
SUMMARY_CHARACTERS = 120
_EXACT = Decimal("1e-10")
_PAID = ("allowed", "allowed_warning")
"""What `overage_status` says while requests beyond the limit are still answered, and billed."""
SUBAGENT_TOOLS = frozenset({"Agent", "Task"})


class Normaliser:
    """Translates the messages of one process. `over` once the session has ended by itself, `turns` so far."""

    def __init__(
        self,
        limits: Limits,
        bash_seconds: tuple[float, float],
        *,
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
        resumed: bool = False,
    ) -> None:
        self._limits = limits
        self._bash_default, self._bash_max = bash_seconds
        self._resumed = resumed
        self._monotonic = monotonic
        self._now = now
        self._streamed_at = float("-inf")
        self._refusals = Refusals(limits.retry_wait_seconds, monotonic=monotonic, now=now)
        self._open: set[str] = set()
        self._started = False
        self._results = 0
        self.turns = 0
        self.tasks: set[str] = set()
        self.over = False
        self.facts = AgentExit()

    def events(self, message: Message) -> Iterator[SessionEvent]:
        match message:
            case StreamEvent():
                yield from self._stream(message)
            case AssistantMessage():
                yield from self._assistant(message)
            case UserMessage():
                yield from self._user(message)
            case SystemMessage():
                yield from self._system(message)
            case RateLimitEvent():
                yield self._limited(message)
            case ResultMessage():
                yield self._result(message)
            case _:
                yield Alive()

    def denied(self, event: Denied) -> Denied:
        """Our own policy refused a call; counted for `policy_wall`."""
        self.facts = replace(self.facts, denials=self.facts.denials + 1)
        return event

    def _stream(self, message: StreamEvent) -> Iterator[SessionEvent]:
        """Deltas come by the hundred; one sign of life in half a second is enough. Not while a tool runs: the end of a
        message follows its tool call, and would look like an answer that has stopped.
        """
        kind = message.event.get("type")
        self._refusals.answered()
        if self._open or kind not in ("message_start", "content_block_start", "content_block_delta"):
            return
        if self._monotonic() - self._streamed_at >= STREAMING_SECONDS:
            self._streamed_at = self._monotonic()
            yield Streaming()

    def _assistant(self, message: AssistantMessage) -> Iterator[SessionEvent]:
        if message.error:
            self.facts = replace(self.facts, error=str(message.error))
        for block in message.content:
            if isinstance(block, ToolUseBlock):
                yield self._tool_started(block)
            elif isinstance(block, TextBlock) and message.parent_tool_use_id is None:
                yield Said(block.text)
            else:
                yield Alive()

    def _tool_started(self, block: ToolUseBlock) -> ToolStarted:
        self._open.add(block.id)
        if not block.name.startswith(PREFIX):
            self.facts = replace(self.facts, tools=self.facts.tools + 1)
        call = json.dumps([block.name, block.input], sort_keys=True, default=str)
        return ToolStarted(block.id, block.name, _summary(block.input), _digest(call), self._limit(block))

    def _limit(self, block: ToolUseBlock) -> float:
        """The tool's own limit, in seconds. A subagent may take the whole session."""
        if block.name == "Bash":
            asked = block.input.get("timeout")
            return min(self._bash_max, asked / 1000) if isinstance(asked, int | float) else self._bash_default
        if block.name in SUBAGENT_TOOLS:
            return self._limits.session_timeout_seconds
        return DESK_SECONDS if block.name.startswith(PREFIX) else self._limits.stall_threshold_seconds

    def _user(self, message: UserMessage) -> Iterator[SessionEvent]:
        results = [block for block in message.content if isinstance(block, ToolResultBlock)]
        for block in results:
            self._open.discard(block.tool_use_id)
            content = json.dumps(block.content, sort_keys=True, default=str)
            yield ToolEnded(block.tool_use_id, not block.is_error, _digest(content))
        if not results:
            yield Alive()

    def _system(self, message: SystemMessage) -> Iterator[SessionEvent]:
        data = message.data
        match message.subtype:
            case "init" if not self._started:
                self._started = True
                yield Started(_text(data, "session_id"), _text(data, "model"), _text(data, "claude_code_version"))
            case "status" if data.get("status") == "requesting":
                yield self._requesting()
            case "status" if data.get("status") == "compacting":
                yield Compacting()
            case "api_retry":
                yield from self._retrying(data)
            case "permission_denied":
                yield self.denied(Denied(_text(data, "tool_name"), _text(data, "reason") or "permission rules"))
            case "session_state_changed" if data.get("state") == "idle":
                yield from self._idle()
            case _:
                self._task(message)
                yield Alive()

    def _requesting(self) -> SessionEvent:
        """Beside an open tool it is a subagent that asks; only the agent's own requests are its turns."""
        if self._open:
            return Alive()
        self.turns += 1
        return Requesting()

    def _retrying(self, data: Mapping[str, Any]) -> Iterator[SessionEvent]:
        status, delay = data.get("error_status"), data.get("retry_delay_ms")
        event = Retrying(
            status if isinstance(status, int) else None,
            _text(data, "error") or "unknown",
            delay / 1000 if isinstance(delay, int | float) else 0.0,
            int(data.get("attempt") or 0),
        )
        self.facts = replace(self.facts, retry=event)
        yield event
        limit = self._refusals.retrying(event)
        if limit is not None and self.facts.limit is None:
            self.facts = replace(self.facts, limit=limit)
            yield limit

    def _task(self, message: SystemMessage) -> None:
        """Work in the background: alive from task_started to a terminal status, whichever message brings it."""
        if isinstance(message, TaskStartedMessage):
            self.tasks.add(message.task_id)
        elif isinstance(message, TaskUpdatedMessage | TaskNotificationMessage) and (
            message.status in TERMINAL_TASK_STATUSES
        ):
            self.tasks.discard(message.task_id)

    def _idle(self) -> Iterator[SessionEvent]:
        if self._results and not self.tasks:
            self.over = True
            yield Idle()
        else:
            yield Alive()

    def _limited(self, message: RateLimitEvent) -> Limited:
        info = message.rate_limit_info
        status = "allowed_warning" if info.status == "rejected" and info.overage_status in _PAID else info.status
        event = Limited(status, info.rate_limit_type or "", self._reset(info.resets_at), info.utilization)
        if event.status in REACHED:
            self.facts = replace(self.facts, limit=event)
        return event

    def _reset(self, epoch: float | None) -> datetime | None:
        """When the limit ends; None for a time that cannot be meant (past, or beyond the longest window)."""
        if epoch is None:
            return None
        now = self._now()
        try:
            at = datetime.fromtimestamp(epoch / 1000 if epoch > 1e11 else epoch, UTC)
        except (OverflowError, ValueError, OSError):
            return None
        return at if now <= at <= now + MAX_RESET else None

    def _result(self, message: ResultMessage) -> TurnEnded:
        self._results += 1
        self._open.clear()
        self.facts = replace(
            self.facts,
            subtype=message.subtype,
            is_error=message.is_error,
            terminal_reason=message.terminal_reason,
            api_status=message.api_error_status,
            stop_reason=message.stop_reason,
            text=message.result or "\n".join(message.errors or ()),
        )
        return TurnEnded(self._cost(message.total_cost_usd))

    def _cost(self, total: float | None) -> str | None:
        """What this session has cost so far; unknown for a resumed one, whose CLI tells the whole conversation's."""
        if total is None or self._resumed:
            return None
        return f"{Decimal(str(total)).quantize(_EXACT).normalize():f}"


def _summary(arguments: Mapping[str, Any]) -> str:
    keys = ("command", "file_path", "pattern", "description", "text", "summary", "question")
    value = next((arguments[key] for key in keys if arguments.get(key)), next(iter(arguments.values()), ""))
    return " ".join(str(value).split())[:SUMMARY_CHARACTERS]


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()
