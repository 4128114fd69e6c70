"""Tool calls of a session: when they began and ended, and the table per tool (C8)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.analysis.frames import Frame, blocks, plain, summary


@dataclass(slots=True)
class ToolCall:
    """One call. `seconds` is its latency, queueing included; None while it is open (or was killed)."""

    id: str
    name: str
    summary: str
    line: int
    agent: str | None
    started_at: datetime | None
    ended_at: datetime | None = None
    ok: bool | None = None

    @property
    def seconds(self) -> float | None:
        if self.started_at is None or self.ended_at is None:
            return None
        return max(0.0, (self.ended_at - self.started_at).total_seconds())


class ToolCalls:
    """Calls in the order in which they began; fed with every frame."""

    def __init__(self) -> None:
        self.by_id: dict[str, ToolCall] = {}

    def feed(self, line: int, frame: Frame) -> tuple[list[ToolCall], list[ToolCall]]:
        """The calls that began and those that ended with this frame."""
        began: list[ToolCall] = []
        ended: list[ToolCall] = []
        if frame.type not in ("assistant", "user"):
            return began, ended
        for block in blocks(frame):
            if block.type == "tool_use" and block.id not in self.by_id:
                what = summary(plain(block.input))
                call = ToolCall(block.id, block.name, what, line, frame.parent_tool_use_id, frame.when)
                self.by_id[block.id] = call
                began.append(call)
            elif block.type == "tool_result" and block.tool_use_id in self.by_id:
                call = self.by_id[block.tool_use_id]
                if call.ok is None:
                    call.ended_at, call.ok = frame.when, not block.is_error
                    ended.append(call)
        return began, ended


def table(calls: Iterable[ToolCall]) -> list[dict[str, object]]:
    """Rows of `metrics.json`: most called first."""
    by_name: dict[str, list[ToolCall]] = {}
    for call in calls:
        by_name.setdefault(call.name, []).append(call)
    rows = sorted(by_name.items(), key=lambda row: (-len(row[1]), row[0]))
    return [_row(name, group) for name, group in rows]


def busy_seconds(calls: Iterable[ToolCall]) -> float:
    """Time in which at least one tool ran: overlapping calls count once (C7)."""
    spans = sorted((c.started_at, c.ended_at) for c in calls if c.started_at and c.ended_at)
    busy, until = 0.0, None
    for start, end in spans:
        begin = start if until is None or start > until else until
        if end > begin:
            busy += (end - begin).total_seconds()
            until = end
    return busy


def _row(name: str, calls: Sequence[ToolCall]) -> dict[str, object]:
    seconds = sorted(call.seconds for call in calls if call.seconds is not None)
    latency = None
    if seconds:
        latency = {
            "p50": _rank(seconds, 0.5),
            "p95": _rank(seconds, 0.95),
            "max": round(seconds[-1], 3),
            "total": round(math.fsum(seconds), 3),
        }
    return {
        "name": name,
        "calls": len(calls),
        "errors": sum(call.ok is False for call in calls),
        "open": sum(call.ok is None for call in calls),
        "latency_seconds": latency,
    }


def _rank(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: always a value that was measured."""
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)
