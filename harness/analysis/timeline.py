"""What a session did, line by line: for `session timeline`, `tools`, `errors`, `transcript` and `watch`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.analysis.failures import Failure, failures, result_class
from harness.analysis.frames import Frame, Reading, blocks, decode, frames, open_log, text_of
from harness.analysis.tools import ToolCall, ToolCalls

POLL_SECONDS = 0.05
IDLE_POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that happened. `agent` is empty for the main one; `seconds` a tool's latency or a wait.

    `kind`: start text tool tool_end retry limit compact denied task result
    """

    line: int
    at: datetime | None
    kind: str
    what: str
    agent: str = ""
    ok: bool | None = None
    seconds: float | None = None
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A turn of the conversation in words: `role` agent, subagent, tool, result, user."""

    line: int
    at: datetime | None
    role: str
    text: str
    tool: str = ""


class Narrator:
    """Makes rows of frames; keeps which tools are open and what subagents are called."""

    def __init__(self) -> None:
        self.calls = ToolCalls()
        self._subagents: dict[str, str] = {}

    def tell(self, line: int, frame: Frame) -> list[Row]:
        if frame.type in ("assistant", "user"):
            return list(self._message(line, frame))
        if frame.type == "system":
            return list(_system(line, frame))
        if frame.type == "rate_limit_event" and frame.rate_limit_info is not None:
            info = frame.rate_limit_info
            return [
                Row(line, frame.when, "limit", f"{info.kind or 'limit'} {info.status}", ok=info.status != "rejected")
            ]
        if frame.type == "result":
            return [_result(line, frame)]
        return []

    def _message(self, line: int, frame: Frame) -> Iterator[Row]:
        agent = self._agent(frame)
        if frame.type == "assistant":
            for block in blocks(frame):
                if block.type == "text" and block.text.strip():
                    yield Row(line, frame.when, "text", block.text, agent, ok=False if frame.error else None)
        began, ended = self.calls.feed(line, frame)
        for call in began:
            yield Row(line, frame.when, "tool", call.summary, agent, tool=call.name)
        for call in ended:
            yield Row(line, frame.when, "tool_end", call.summary, agent, call.ok, call.seconds, call.name)

    def _agent(self, frame: Frame) -> str:
        parent = frame.parent_tool_use_id
        if parent is None:
            return ""
        if frame.subagent_type:
            self._subagents[parent] = frame.subagent_type
        return self._subagents.get(parent, "subagent")


def _system(line: int, frame: Frame) -> Iterator[Row]:
    match frame.subtype:
        case "init":
            yield Row(line, frame.when, "start", f"{frame.model} (CLI {frame.claude_code_version or 'unknown'})")
        case "api_retry":
            status = frame.error_status or "no answer"
            what = f"{frame.error or 'unknown'} ({status}), attempt {frame.attempt}"
            yield Row(line, frame.when, "retry", what, ok=False, seconds=(frame.retry_delay_ms or 0) / 1000)
        case "compact_boundary":
            yield Row(line, frame.when, "compact", "the conversation was compacted")
        case "permission_denied":
            yield Row(line, frame.when, "denied", frame.tool_name, ok=False)
        case "task_started" | "task_notification":
            what = frame.description or frame.task_id
            yield Row(line, frame.when, "task", f"{frame.subtype.removeprefix('task_')}: {what}")


def _result(line: int, frame: Frame) -> Row:
    if frame.is_error:
        return Row(line, frame.when, "result", f"{result_class(frame)}: {frame.result or ''}".rstrip(": "), ok=False)
    return Row(line, frame.when, "result", frame.result or "(empty)", ok=True)


def timeline(log: Path) -> Iterator[Row]:
    """Everything that happened, in order. Raises OSError."""
    narrator = Narrator()
    with open_log(log) as file:
        for line, frame in frames(file):
            yield from narrator.tell(line, frame)


def tools(log: Path) -> list[ToolCall]:
    """Every tool call in the order in which it began. Raises OSError."""
    calls = ToolCalls()
    with open_log(log) as file:
        for line, frame in frames(file):
            calls.feed(line, frame)
    return list(calls.by_id.values())


def errors(log: Path) -> Iterator[Failure]:
    """Every error with its class and line. Raises OSError."""
    with open_log(log) as file:
        yield from failures(frames(file))


def transcript(log: Path) -> Iterator[Utterance]:
    """The conversation in words. Raises OSError."""
    names: dict[str, str] = {}
    with open_log(log) as file:
        for line, frame in frames(file):
            yield from _utterances(line, frame, names)


def _utterances(line: int, frame: Frame, names: dict[str, str]) -> Iterator[Utterance]:
    if frame.type not in ("assistant", "user"):
        return
    speaker = "agent" if frame.type == "assistant" else "user"
    if frame.parent_tool_use_id is not None and speaker == "agent":
        speaker = "subagent"
    for block in blocks(frame):
        if block.type == "text" and block.text.strip():
            yield Utterance(line, frame.when, speaker, block.text)
        elif block.type == "tool_use":
            names[block.id] = block.name
            yield Utterance(line, frame.when, "tool", bytes(block.input).decode(errors="replace"), block.name)
        elif block.type == "tool_result":
            yield Utterance(line, frame.when, "result", text_of(block.content), names.get(block.tool_use_id, ""))


def follow(
    log: Path,
    over: Callable[[], bool],
    *,
    sleep: Callable[[float], None] = time.sleep,
    from_start: bool = True,
) -> Iterator[Row]:
    """Rows as the session writes them, until `over()` says that it has ended and the log is read to its end.

    Polls every 50 ms, up to 250 ms while nothing comes. A log that does not exist yet is waited for.
    """
    narrator, reading, wait, rest = Narrator(), Reading(), POLL_SECONDS, b""
    while not log.exists():
        if over():
            return
        sleep(POLL_SECONDS)
    with log.open("rb") as file:
        if not from_start:
            file.seek(0, 2)
        while True:
            last_look = over()
            chunk = file.read()
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for line in lines:
                frame = decode(line, reading)
                yield from narrator.tell(reading.lines, frame) if frame is not None else ()
            if last_look and not chunk:
                frame = decode(rest, reading) if rest else None
                yield from narrator.tell(reading.lines, frame) if frame is not None else ()
                return
            wait = POLL_SECONDS if chunk else min(IDLE_POLL_SECONDS, wait * 1.5)
            if not last_look:
                sleep(wait)
