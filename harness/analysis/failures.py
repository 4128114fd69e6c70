"""Errors of a session, each with a class and the line that shows it (C9, C11, C13)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from harness.analysis.frames import Block, Frame, blocks, text_of

EVIDENCE_CHARACTERS = 300

_TOOL_CLASSES = (
    (re.compile(r"timed out|Command timed out", re.IGNORECASE), "tool_timeout"),
    (re.compile(r"InputValidationError|Input validation error"), "invalid_input"),
    (re.compile(r"denied by policy|permission to use|Permission .*denied|hook error", re.IGNORECASE), "denied"),
    (re.compile(r"interrupted by user|\[Request interrupted|Tool call interrupted"), "interrupted"),
    (re.compile(r"Stream closed"), "stream_closed"),
    (re.compile(r"^(Error: )?Exit code \d+"), "exit_code"),
)

_RESULT_CLASSES = {
    "error_max_turns": "max_turns",
    "error_max_budget_usd": "budget",
    "prompt_too_long": "context_full",
    "refusal": "refusal",
    "aborted_tools": "interrupted",
    "aborted_streaming": "interrupted",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One error: where in the log, when, its class, and what is to be read there."""

    line: int
    at: datetime | None
    kind: str
    evidence: str
    tool: str = ""


def failures(numbered: Iterable[tuple[int, Frame]]) -> Iterator[Failure]:
    """Errors in the order of the log: failed tools, requests that were tried again, and how it ended if badly."""
    names: dict[str, str] = {}
    for line, frame in numbered:
        yield from failures_in(line, frame, names)


def failures_in(line: int, frame: Frame, names: dict[str, str]) -> Iterator[Failure]:
    """The errors of one frame; `names` learns the names of tool calls."""
    match frame.type, frame.subtype:
        case "assistant", _:
            names.update((block.id, block.name) for block in blocks(frame) if block.type == "tool_use")
            if frame.error:
                yield Failure(line, frame.when, f"api_{frame.error}", _short(_said(frame)))
        case "user", _:
            for block in blocks(frame):
                if block.type == "tool_result" and block.is_error:
                    yield _of_tool(line, frame, block, names.get(block.tool_use_id, ""))
        case "system", "api_retry":
            yield Failure(line, frame.when, "retry", _retry(frame))
        case "result", _ if frame.is_error:
            yield Failure(line, frame.when, result_class(frame), _short(frame.result or "; ".join(frame.errors or ())))


def result_class(frame: Frame) -> str:
    """The class of a result that is an error: what ended the session, in the words of ENDINGS where there is one."""
    for word in (frame.stop_reason, frame.terminal_reason, frame.subtype):
        if word in _RESULT_CLASSES:
            return _RESULT_CLASSES[word]
    if frame.api_error_status:
        return f"api_{frame.api_error_status}"
    return frame.terminal_reason or frame.subtype


def _of_tool(line: int, frame: Frame, block: Block, name: str) -> Failure:
    text = text_of(block.content)
    kind = next((kind for pattern, kind in _TOOL_CLASSES if pattern.search(text[:2000])), "tool_error")
    return Failure(line, frame.when, kind, _short(text), name)


def _retry(frame: Frame) -> str:
    status = frame.error_status or "no answer"
    delay = (frame.retry_delay_ms or 0) / 1000
    return f"{frame.error or 'unknown'} ({status}), attempt {frame.attempt}, waited {delay:.1f} s"


def _said(frame: Frame) -> str:
    return " ".join(block.text for block in blocks(frame) if block.text)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= EVIDENCE_CHARACTERS else f"{line[: EVIDENCE_CHARACTERS - 1]}…"
