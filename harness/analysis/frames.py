"""The frames of a session log as typed records, read tolerantly: a bad line is counted, never fatal (C15).

Only the fields we use are decoded; the rest of a line is skipped. Frames come from the CLI (stream-json), with the time
of receipt spliced in as `_at`; formats in research/event-analysis §1a.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec

_HEAD = 200
_STREAM = b'"stream_event"'
_SURROGATE = b"\\ud"
_WANTED = (b'"message_start"', b'"message_delta"')
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time without a zone cannot be compared with the others."""


class CacheWrites(msgspec.Struct, frozen=True):
    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one request as the API names them; absent in a delta = unchanged since the start."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheWrites | None = None


class Block(msgspec.Struct, frozen=True):
    """One block of a message: text, thinking, tool_use or tool_result."""

    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")
    tool_use_id: str = ""
    is_error: bool | None = None
    content: msgspec.Raw = msgspec.Raw(b"null")


class Message(msgspec.Struct, frozen=True):
    id: str = ""
    model: str = ""
    content: str | list[Block] = ""
    stop_reason: str | None = None
    usage: Usage | None = None


class Event(msgspec.Struct, frozen=True):
    """The part of a `stream_event` that carries usage."""

    type: str = ""
    message: Message | None = None
    usage: Usage | None = None


class ModelUsage(msgspec.Struct, frozen=True):
    """The CLI's own count for one model; `cost` exactly as it was written."""

    input: int = msgspec.field(name="inputTokens", default=0)
    output: int = msgspec.field(name="outputTokens", default=0)
    cache_read: int = msgspec.field(name="cacheReadInputTokens", default=0)
    cache_write: int = msgspec.field(name="cacheCreationInputTokens", default=0)
    cache_write_5m: int | None = msgspec.field(name="cacheCreationEphemeral5mInputTokens", default=None)
    cache_write_1h: int | None = msgspec.field(name="cacheCreationEphemeral1hInputTokens", default=None)
    cost: Decimal | None = msgspec.field(name="costUSD", default=None)
    basis: str | None = msgspec.field(name="costBasis", default=None)


class LimitInfo(msgspec.Struct, frozen=True):
    status: str = ""
    resets_at: float | None = msgspec.field(name="resetsAt", default=None)
    kind: str | None = msgspec.field(name="rateLimitType", default=None)


class Frame(msgspec.Struct, frozen=True):
    """One line. Which fields are filled depends on `type` and `subtype`."""

    type: str = ""
    subtype: str = ""
    at: Moment | None = msgspec.field(name="_at", default=None)
    timestamp: Moment | None = None
    raw: str | None = msgspec.field(name="_raw", default=None)
    session_id: str = ""
    model: str = ""
    claude_code_version: str = ""
    message: Message | None = None
    event: Event | None = None
    parent_tool_use_id: str | None = None
    subagent_type: str | None = None
    error: str | None = None
    # system
    status: str | None = None
    state: str = ""
    attempt: int | None = None
    retry_delay_ms: float | None = None
    error_status: int | None = None
    task_id: str = ""
    tool_use_id: str | None = None
    tool_name: str = ""
    description: str = ""
    rate_limit_info: LimitInfo | None = None
    # result
    is_error: bool = False
    terminal_reason: str | None = None
    api_error_status: int | None = None
    stop_reason: str | None = None
    result: str | None = None
    errors: list[str] | None = None
    num_turns: int | None = None
    duration_api_ms: float | None = None
    model_usage: dict[str, ModelUsage] | None = msgspec.field(name="modelUsage", default=None)
    since_last_result: dict[str, ModelUsage] | None = msgspec.field(name="model_usage_since_last_result", default=None)

    @property
    def when(self) -> datetime | None:
        return self.at or self.timestamp


KNOWN = frozenset({"system", "assistant", "user", "result", "stream_event", "rate_limit_event", "conversation_reset"})
_decoder = msgspec.json.Decoder(Frame)


class _Outline(msgspec.Struct, frozen=True):
    """What is left of a frame whose fields have other shapes than we know: a newer CLI, still a sign of life."""

    type: str = ""
    subtype: str = ""
    at: Moment | None = msgspec.field(name="_at", default=None)


_outline = msgspec.json.Decoder(_Outline)


@dataclass(slots=True)
class Reading:
    """What could not be read while frames were read: lines that are no frame, types of a newer CLI."""

    lines: int = 0
    unreadable: int = 0
    truncated: bool = False
    unknown: Counter[str] = field(default_factory=Counter)


def decode(line: bytes, reading: Reading) -> Frame | None:
    """The frame in a line; None if it is of no interest (deltas of a stream) or not readable, which is counted."""
    reading.lines += 1
    head = line[:_HEAD]
    if _STREAM in head and not any(word in line for word in _WANTED):
        return None
    try:
        frame = _frame(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        reading.unreadable += bool(line.strip(b"\0 \t\r\n"))
        return None
    if frame.type in KNOWN:
        return frame
    if b'"_truncated"' in head:
        reading.truncated = True
    elif frame.type:
        reading.unknown[frame.type] += 1
    else:
        reading.unreadable += 1
    return None


def _frame(line: bytes) -> Frame:
    try:
        return _decoder.decode(line)
    except msgspec.ValidationError:
        outline = _outline.decode(line)
        return Frame(type=outline.type, subtype=f"{outline.subtype}?", at=outline.at)
    except msgspec.DecodeError:
        if _SURROGATE not in line.lower():
            raise
        return _frame(_encodable(line))


def _encodable(raw: bytes) -> bytes:
    """The same JSON with halves of surrogate pairs replaced: the CLI leaves them where it cuts an output, and msgspec
    refuses them. Raises ValueError, RecursionError.
    """
    return json.dumps(json.loads(raw), ensure_ascii=False).encode(errors="replace")


def open_log(path: Path) -> AbstractContextManager[Iterable[bytes]]:
    """A log for reading, compressed or not: retention packs `X.log` into `X.log.gz`. Raises OSError."""
    packed = path if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    if path.suffix == ".gz" or (not path.exists() and packed.exists()):
        from harness.analysis.packed import PackedLog  # noqa: PLC0415 - only packed logs pay for it

        return PackedLog(packed)
    return path.open("rb")


def frames(lines: Iterable[bytes], reading: Reading | None = None) -> Iterator[tuple[int, Frame]]:
    """Line number (from 1) and frame, for each line that holds one we know."""
    reading = reading if reading is not None else Reading()
    for line in lines:
        frame = decode(line, reading)
        if frame is not None:
            yield reading.lines, frame


def blocks(frame: Frame) -> list[Block]:
    """The blocks of a frame's message; plain text is one block of text."""
    content = frame.message.content if frame.message is not None else []
    if isinstance(content, str):
        return [Block(type="text", text=content)] if content else []
    return content


def plain(raw: msgspec.Raw) -> Any:
    """What a field holds that was not decoded with the line; its JSON as it is if nothing can be made of it."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        try:
            return json.loads(_encodable(bytes(raw)))
        except (ValueError, RecursionError):
            return bytes(raw).decode(errors="replace")
    except RecursionError:
        return bytes(raw).decode(errors="replace")


def text_of(raw: msgspec.Raw) -> str:
    """The text of a tool's result, which is a string or a list of blocks."""
    value = plain(raw)
    if isinstance(value, list):
        return "\n".join(str(part.get("text", "")) for part in value if isinstance(part, dict))
    return "" if value is None else str(value)


def summary(arguments: Any, width: int = 120) -> str:
    """One line that tells a person what a tool call is about: its command, file, or first argument."""
    if not isinstance(arguments, dict):
        return ""
    keys = ("command", "file_path", "pattern", "description", "text", "summary", "question", "title", "url")
    value = next((arguments[key] for key in keys if arguments.get(key)), next(iter(arguments.values()), ""))
    line = " ".join(str(value).split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
