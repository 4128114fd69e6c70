"""`metrics.json` of a session, from its log (contract 6). Numbers shown anywhere come from here (architecture 7.8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from harness.analysis.failures import Failure, failures_in
from harness.analysis.frames import Frame, Reading, blocks, decode, open_log
from harness.analysis.tools import ToolCalls, busy_seconds, table
from harness.analysis.transcript import final_usage, ledger
from harness.analysis.usage import Ledger, Models, Requests, Spent, Tokens, models_of, money, since, summed, total
from harness.model.prices import list_price

SCHEMA = "loop.session-metrics/1"
MAX_ERRORS = 50

_UNKNOWN_HERE = (
    "parent",
    "work_item",
    "kind",
    "repo",
    "attempt",
    "outcome",
    "ending",
    "ended_by",
    "stalls",
    "prompt",
    "commits",
    "gates",
)
"""What the log cannot tell; the loop lays it over these."""


@dataclass(slots=True)
class Record:
    """Everything one pass over a log gathers."""

    reading: Reading = field(default_factory=Reading)
    requests: Requests = field(default_factory=Requests)
    calls: ToolCalls = field(default_factory=ToolCalls)
    errors: list[Failure] = field(default_factory=list)
    results: list[Frame] = field(default_factory=list)
    subagents: dict[str, str] = field(default_factory=dict)
    retries: int = 0
    compacted: bool = False
    claude_session_id: str | None = None
    model: str | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None
    _names: dict[str, str] = field(default_factory=dict)

    def feed(self, frame: Frame) -> None:
        line = self.reading.lines
        if frame.at is not None:
            self.first_at = min(self.first_at or frame.at, frame.at)
            self.last_at = max(self.last_at or frame.at, frame.at)
        self.requests.feed(frame)
        self.calls.feed(line, frame)
        self.errors.extend(f for f in failures_in(line, frame, self._names) if f.kind != "retry")
        if frame.type == "result":
            self.results.append(frame)
        elif frame.type == "system":
            self._system(frame)
        if frame.parent_tool_use_id and frame.subagent_type:
            self.subagents[frame.parent_tool_use_id] = frame.subagent_type

    def _system(self, frame: Frame) -> None:
        if frame.subtype == "init":
            self.claude_session_id, self.model = frame.session_id or self.claude_session_id, frame.model or self.model
        self.retries += frame.subtype == "api_retry"
        self.compacted |= frame.subtype == "compact_boundary"


def read(log: Path) -> Record:
    """One pass over a log. Raises OSError."""
    record = Record()
    with open_log(log) as file:
        for line in file:
            frame = decode(line, record.reading)
            if frame is not None:
                record.feed(frame)
    return record


def metrics(log: Path, *, transcript: Path | None = None, baseline: Ledger | None = None) -> dict[str, Any]:
    """The whole of `loop.session-metrics/1`; null where the log does not tell. Raises OSError.

    `transcript` adds what the stream leaves open; `baseline` is the conversation's ledger when this session began.
    """
    record = read(log)
    if transcript is not None:
        _complement(record, transcript)
    models, complete = _models(record, baseline)
    end = ledger(transcript)
    seconds = _seconds(record, baseline, end)
    return {
        "schema": SCHEMA,
        "session_id": log.name.split(".")[0],
        "claude_session_id": record.claude_session_id,
        "model": record.model,
        **dict.fromkeys(_UNKNOWN_HERE),
        **seconds,
        "turns": _turns(record),
        "requests": len(record.requests.by_id),
        "tokens": total(models).as_dict(),
        "by_model": {name: _by_model(spent) for name, spent in sorted(models.items())},
        "cost_usd": money(models) if record.results else None,
        "cost_basis": _basis(models, complete=complete) if record.results else None,
        "estimated_cost_usd": None if complete else _estimate(models),
        "unattributed": _unattributed(record, models),
        "complete": complete,
        "tools": table(record.calls.by_id.values()),
        "errors": [{"class": f.kind, "evidence": f"line {f.line}: {f.evidence}"} for f in record.errors[:MAX_ERRORS]],
        "retries": record.retries,
        "subagents": _subagents(record),
        "unreadable_lines": record.reading.unreadable,
        "unknown_types": dict(record.reading.unknown),
    }


def _complement(record: Record, transcript: Path) -> None:
    """Final usage from the CLI's files: the stream has only the start of subagents' requests, and not all of them."""
    for known in final_usage(transcript):
        ours = known.call in record.calls.by_id if known.call else known.id in record.requests.by_id
        if ours:
            record.requests.final(known.id, known.model, known.tokens, known.call)
            if known.call and known.subagent:
                record.subagents.setdefault(known.call, known.subagent)


def _models(record: Record, baseline: Ledger | None) -> tuple[Models, bool]:
    """Per model what this session used, and whether that is all of it (C4).

    The ledger of the last result, and requests that came after it as the stream shows them.
    """
    later: Models = {}
    for request in record.requests.unsettled:
        spent = Spent(request.tokens, None)
        later[request.model] = later[request.model] + spent if request.model in later else spent
    settled = _settled(record, baseline)
    for name, spent in later.items():
        known = settled.get(name)
        tokens = spent.tokens if known is None else known.tokens + spent.tokens
        settled[name] = Spent(tokens, None if known is None else known.cost, None if known is None else known.basis)
    return settled, bool(record.results) and not later and not record.reading.truncated


def _settled(record: Record, baseline: Ledger | None) -> Models:
    if not record.results:
        return {}
    deltas = [models_of(r.since_last_result) for r in record.results if r.since_last_result is not None]
    if len(deltas) == len(record.results):
        return summed(deltas)
    end = next((models_of(r.model_usage) for r in reversed(record.results) if r.model_usage is not None), {})
    return since(end, baseline.models if baseline is not None else {})


def _by_model(spent: Spent) -> dict[str, Any]:
    return {**spent.tokens.as_dict(), "cost_usd": None if spent.cost is None else money({"": spent})}


def _basis(models: Models, *, complete: bool) -> str | None:
    """Which prices the CLI used; `partial` = what came after its last result is not in the cost."""
    if not complete:
        return "partial"
    return ", ".join(sorted({spent.basis for spent in models.values() if spent.basis})) or None


def _estimate(models: Models) -> str | None:
    """List price of all tokens, where the exact cost is not known or not whole; None if a model's is not known."""
    prices = [list_price(name, spent.tokens.as_dict()) for name, spent in models.items()]
    known = [price for price in prices if price is not None]
    return f"{sum(known, Decimal(0)).normalize():f}" if prices and len(known) == len(prices) else None


def _unattributed(record: Record, models: Mapping[str, Spent]) -> dict[str, Any]:
    """What the ledger has and no message shows. Null tokens: some request's final usage is not known."""
    open_ones = any(not request.final for request in record.requests.by_id.values())
    rest = total(models) - record.requests.tokens
    if not record.results or open_ones or not rest.covers(Tokens()):
        return {"tokens": None, "cause": None}
    cause = ("compaction" if record.compacted else "unknown") if any(rest.values()) else None
    return {"tokens": rest.as_dict(), "cause": cause}


def _seconds(record: Record, baseline: Ledger | None, end: Ledger | None) -> dict[str, Any]:
    """Wall clock by the times of receipt; API and tool time by the CLI's ledger, which goes on over a resume."""
    wall = (record.last_at - record.first_at).total_seconds() if record.first_at and record.last_at else None
    api = record.results[-1].duration_api_ms if record.results else None
    began_api, began_tool = (baseline.api_ms or 0, baseline.tool_ms or 0) if baseline else (0, 0)
    tool = None if end is None or not record.results else end.tool_ms
    tool_seconds = busy_seconds(record.calls.by_id.values())
    if tool is not None and tool >= began_tool:
        tool_seconds = (tool - began_tool) / 1000
    return {
        "started_at": _iso(record.first_at),
        "ended_at": _iso(record.last_at),
        "wall_seconds": wall,
        "api_seconds": None if api is None else round((api - began_api if api >= began_api else api) / 1000, 3),
        "tool_seconds": round(tool_seconds, 3),
    }


def _turns(record: Record) -> int | None:
    """The CLI's own count, as it is (C10)."""
    turns = [result.num_turns for result in record.results if result.num_turns is not None]
    return sum(turns) if turns else None


def _subagents(record: Record) -> list[dict[str, Any]]:
    """One row a type; tokens null if the final usage of one of its requests is not known."""
    rows: dict[str, dict[str, Any]] = {}
    for request in record.requests.by_id.values():
        if request.agent is None:
            continue
        kind = record.subagents.get(request.agent, "unknown")
        row = rows.setdefault(kind, {"type": kind, "requests": 0, "tokens": Tokens()})
        row["requests"] += 1
        row["tokens"] = row["tokens"] + request.tokens if request.final and row["tokens"] is not None else None
    return [{**row, "tokens": row["tokens"].as_dict() if row["tokens"] else None} for _, row in sorted(rows.items())]


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def last_texts(log: Path, count: int = 3) -> list[str]:
    """The last things the main agent said, oldest first: for the hand-over (contract 9). Raises OSError."""
    said: list[str] = []
    with open_log(log) as file:
        reading = Reading()
        for line in file:
            frame = decode(line, reading) if b'"assistant"' in line else None
            if frame is not None and frame.type == "assistant" and frame.parent_tool_use_id is None:
                said.extend(block.text for block in blocks(frame) if block.type == "text" and block.text)
    return said[-count:]
