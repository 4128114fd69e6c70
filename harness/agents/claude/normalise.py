"""SDK messages into our events, and the facts of the end. Pure but for the SDK's types; never slow, never raises."""

from __future__ import annotations

import json
import math
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
from harness.analysis.usage import exact
from harness.model.brief import Limits
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
from harness.model.text import encodable

STREAMING_SECONDS = 0.5
DESK_SECONDS = 60.0
MAX_RESET = timedelta(days=8)
SUMMARY_CHARACTERS = 120
_LARGEST = 1e18
_PAID = ("allowed", "allowed_warning")
"""What `overage_status` says while requests beyond the limit are still answered, and billed."""
SUBAGENT_TOOLS = frozenset({"Agent", "Task"})


class Normaliser:
    """Translates the messages of one process. `over` once the session has ended by itself, `turns` so far, `odd` those
    of a shape that we do not know.
    """

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
        self.odd = 0
        self.tasks: set[str] = set()
        self.over = False
        self.facts = AgentExit()

    def events(self, message: Message) -> Iterator[SessionEvent]:
        """The SDK checks that fields are there, not what they hold; what we can make nothing of is a sign of life."""
        try:
            yield from self._translated(message)
        except (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
            self.odd += 1
            yield Alive()

    def _translated(self, message: Message) -> Iterator[SessionEvent]:
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
        if self._open:
            return
        if kind in ("content_block_stop", "message_delta", "message_stop"):
            yield Alive()
        if kind not in ("message_start", "content_block_start", "content_block_delta"):
            return
        if self._monotonic() - self._streamed_at >= STREAMING_SECONDS:
            self._streamed_at = self._monotonic()
            yield Streaming()

    def _assistant(self, message: AssistantMessage) -> Iterator[SessionEvent]:
        if message.error:
            self.facts = replace(self.facts, error=encodable(str(message.error)))
        for block in message.content:
            if isinstance(block, ToolUseBlock):
                yield self._tool_started(block)
            elif isinstance(block, TextBlock) and message.parent_tool_use_id is None:
                yield Said(encodable(block.text))
            else:
                yield Alive()
        if not message.content:
            yield Alive()  # a block that the SDK does not know yet

    def _tool_started(self, block: ToolUseBlock) -> ToolStarted:
        self._open.add(block.id)
        if not block.name.startswith(PREFIX):
            self.facts = replace(self.facts, tools=self.facts.tools + 1)
        call = json.dumps([block.name, block.input], sort_keys=True, default=str)
        arguments = block.input if isinstance(block.input, Mapping) else {}
        limit = self._limit(block, arguments)
        return ToolStarted(block.id, encodable(block.name), _summary(arguments), _digest(call), limit)

    def _limit(self, block: ToolUseBlock, arguments: Mapping[str, Any]) -> float:
        """The tool's own limit, in seconds. A subagent has none: the watchdog judges it by its silence."""
        if block.name == "Bash":
            asked = _number(arguments.get("timeout"))
            return min(self._bash_max, asked / 1000) if asked else self._bash_default
        if block.name in SUBAGENT_TOOLS:
            return math.inf
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
        event = Retrying(
            _status(data.get("error_status")),
            _text(data, "error") or "unknown",
            (_number(data.get("retry_delay_ms")) or 0.0) / 1000,
            int(_number(data.get("attempt")) or 0),
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
        status, kind = _word(info.status) or "", _word(info.rate_limit_type) or ""
        if status == "rejected" and info.overage_status in _PAID:
            status = "allowed_warning"
        event = Limited(status, kind, self._reset(_number(info.resets_at)), _number(info.utilization))
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
            subtype=_word(message.subtype) or "",
            is_error=bool(message.is_error),
            terminal_reason=_word(message.terminal_reason),
            api_status=_status(message.api_error_status),
            stop_reason=_word(message.stop_reason),
            text=encodable("\n".join(map(str, [message.result] if message.result else message.errors or ()))),
        )
        return TurnEnded(self._cost(_number(message.total_cost_usd)))

    def _cost(self, total: float | None) -> str | None:
        """What this session has cost so far; unknown for a resumed one, whose CLI tells the whole conversation's."""
        cost = None if total is None or self._resumed else exact(Decimal(str(total)))
        return None if cost is None else f"{cost.normalize():f}"


def _summary(arguments: Mapping[str, Any]) -> str:
    keys = ("command", "file_path", "pattern", "description", "text", "summary", "question")
    value = next((arguments[key] for key in keys if arguments.get(key)), next(iter(arguments.values()), ""))
    return encodable(" ".join(str(value).split())[:SUMMARY_CHARACTERS])


def _text(data: Mapping[str, Any], key: str) -> str:
    return _word(data.get(key)) or ""


def _word(value: object) -> str | None:
    return encodable(value) if isinstance(value, str) else None


def _status(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _number(value: object) -> float | None:
    """A finite number from 0, None for anything else."""
    if isinstance(value, bool):
        return None
    return float(value) if isinstance(value, int | float) and 0 <= value <= _LARGEST else None


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()
