"""What sessions did, used and said (H9, H18, H50): rows from the store, everything else from the one decoder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from harness.analysis import metrics as measured
from harness.analysis import timeline as told
from harness.analysis.tools import table as tool_table
from harness.analysis.transcript import transcript_path
from harness.model.errors import NotFound
from harness.model.home import Home
from harness.model.session import FINAL, SessionRow
from harness.ops.answers import Document, Rows, Stream
from harness.ops.books import full_id, reading_if_any
from harness.ops.workers import at_work
from harness.store.reached import reached_isolation
from harness.store.reader import StoreReader

T = TypeVar("T")
LIST_COLUMNS = ("id", "item", "status", "outcome", "ending", "attempt", "started_at", "seconds", "turns", "cost_usd")
_NAMED = re.compile(r"(ses_[0-9a-f]{0,12})(?:-context)?(?:\.(?:log(?:\.gz)?|json|err))?")
_NONE = "no session has run here yet"


@dataclass(frozen=True, slots=True)
class Found:
    """A session by whatever name it was called; `row` is None if only its files are left."""

    id: str
    row: SessionRow | None
    log: Path


def find(home: Home, given: str) -> Found:
    """By id, unique beginning, `latest`, `current` or the name of one of its files (contract 3). Raises NotFound."""
    with reading_if_any(home) as store:
        name = _latest(home, store) if given in {"latest", "current"} else _id(home, store, Path(given).name)
        row = store.session(name) if store is not None else None
    return Found(name, row, home.session_log(name))


def _latest(home: Home, store: StoreReader | None) -> str:
    rows = store.sessions(limit=1) if store is not None else []
    if rows:
        return rows[0].id
    logs = sorted(home.session_logs.glob("ses_*.log"), key=lambda path: path.stat().st_mtime)
    if not logs:
        raise NotFound(_NONE, hint="./loop queue add --title TEXT, then ./loop run")
    return logs[-1].stem


def _id(home: Home, store: StoreReader | None, name: str) -> str:
    called = _NAMED.fullmatch(name)
    given = called[1] if called else name
    if store is not None:
        try:
            return full_id(store, "session", given)
        except NotFound:
            if not home.session_log(given).exists():
                raise
    if not home.session_log(given).exists():
        raise NotFound(f"there is no session {given}", hint="./loop session list")
    return given


def latest(home: Home) -> Document:
    """The newest session on one page."""
    found = find(home, "latest")
    facts = {**_facts(found), "isolation": reached_isolation(home.session(found.id))}
    return Document("loop.session/1", {**facts, "metrics": _metrics(home, found)})


def list_(home: Home, now: datetime, *, limit: int = 50, item: str | None = None) -> Rows:
    """Newest first."""
    with reading_if_any(home) as store:
        wanted = full_id(store, "item", item) if store is not None and item is not None else None
        rows = store.sessions(item=wanted, limit=limit + 1) if store is not None else []
    listed = [{**_row(row), "isolation": reached_isolation(home.session(row.id))} for row in rows[:limit]]
    return Rows("loop.sessions/1", listed, now, LIST_COLUMNS, truncated=len(rows) > limit, empty=_NONE)


def _row(row: SessionRow) -> Mapping[str, Any]:
    used = row.metrics
    return {
        "id": row.id,
        "item": row.item,
        "role": row.role.value,
        "status": row.status.value,
        "outcome": row.outcome,
        "ending": row.ending,
        "attempt": row.attempt,
        "started_at": row.started_at,
        "seconds": used.get("wall_seconds") or _span(row),
        "turns": used.get("turns"),
        "cost_usd": used.get("cost_usd"),
    }


def _span(row: SessionRow) -> float | None:
    end = row.ended_at or row.updated_at
    return None if row.started_at is None or end is None else (end - row.started_at).total_seconds()


def _facts(found: Found) -> dict[str, Any]:
    row = found.row
    if row is None:
        return {"id": found.id, "log": found.log}
    names = (
        "item",
        "role",
        "attempt",
        "status",
        "outcome",
        "ending",
        "ended_by",
        "agent",
        "model",
        "claude_session_id",
    )
    more = ("parent", "pid", "doing", "started_at", "heartbeat", "ended_at", "workspace", "transcript")
    return {"id": row.id, **{name: getattr(row, name) for name in (*names, *more)}, "log": found.log}


def metrics(home: Home, given: str) -> Document:
    """`metrics.json` of a session; of one that still runs, what its log tells so far."""
    found = find(home, given)
    facts = dict(_metrics(home, found))
    return Document(facts.pop("schema", measured.SCHEMA), facts)


def _metrics(home: Home, found: Found) -> Mapping[str, Any]:
    kept = _kept(home.session(found.id) / "metrics.json")
    if kept is not None:
        return kept
    computed = _logged(found, measured.metrics)
    row = found.row
    known = {"work_item": row.item, "attempt": row.attempt, "parent": row.parent} if row is not None else {}
    return {**computed, **known}


def _kept(path: Path) -> Mapping[str, Any] | None:
    """What was measured when the session ended, None if that is absent or damaged: the log says it as well."""
    try:
        whole = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return whole if isinstance(whole, dict) else None


def _logged(found: Found, read: Callable[[Path], T]) -> T:
    try:
        return read(found.log)
    except FileNotFoundError as exc:
        raise NotFound(
            f"session {found.id} has no log at {found.log}", hint="it has not started yet, or its log was deleted"
        ) from exc


def tools(home: Home, given: str, now: datetime) -> Rows:
    """One row a tool, most called first."""
    rows = tool_table(_logged(find(home, given), told.tools))
    flat = [{**row, **_latency(row.get("latency_seconds"))} for row in rows]
    columns = ("name", "calls", "errors", "open", "p50", "p95", "max", "total")
    return Rows("loop.session-tools/1", flat, now, columns, empty="no tool was called")


def _latency(known: object) -> Mapping[str, float]:
    return known if isinstance(known, Mapping) else {}


def errors(home: Home, given: str, now: datetime) -> Rows:
    """Every error with its class and the line of the log."""
    found = _logged(find(home, given), lambda log: list(told.errors(log)))
    rows = [{"line": f.line, "at": f.at, "class": f.kind, "tool": f.tool, "evidence": f.evidence} for f in found]
    return Rows("loop.session-errors/1", rows, now, ("line", "at", "class", "tool", "evidence"), empty="no errors")


def timeline(home: Home, given: str, now: datetime) -> Rows:
    """Everything that happened, in order."""
    rows = _logged(find(home, given), lambda log: [_told(row) for row in told.timeline(log)])
    return Rows("loop.session-timeline/1", rows, now, empty="nothing happened yet")


def _told(row: told.Row) -> Mapping[str, Any]:
    facts = {"line": row.line, "at": row.at, "kind": row.kind, "tool": row.tool, "what": row.what}
    return {**facts, "agent": row.agent, "ok": row.ok, "seconds": row.seconds}


def watch(home: Home, given: str) -> Stream:
    """Rows while the session writes them; ends with it."""
    found = find(home, given)
    return Stream("loop.session-event/1", (_told(row) for row in told.follow(found.log, lambda: _over(home, found.id))))


def _over(home: Home, session: str) -> bool:
    """Its last status is a final one, or nobody is left who could write another."""
    with reading_if_any(home) as store:
        row = store.session(session) if store is not None else None
    return row is None or row.status in FINAL or not at_work(home)


def transcript(home: Home, given: str, now: datetime) -> Rows:
    """The conversation in words."""
    spoken = _logged(find(home, given), lambda log: list(told.transcript(log)))
    rows = [{"line": u.line, "at": u.at, "role": u.role, "tool": u.tool, "text": u.text} for u in spoken]
    return Rows("loop.session-transcript/1", rows, now, empty="nothing was said yet")


def transcript_file(home: Home, given: str) -> Document:
    """Where the CLI keeps the conversation (H50). Raises NotFound if there is none (any more)."""
    found = find(home, given)
    path = _recorded(found) or (
        transcript_path(home.claude, found.row.claude_session_id) if found.row is not None else None
    )
    if path is None:
        raise NotFound(f"session {found.id} has no transcript of the CLI", hint=f"its log: {found.log}")
    return Document("loop.session-transcript-path/1", {"session": found.id, "path": path})


def _recorded(found: Found) -> Path | None:
    kept = found.row.transcript if found.row is not None else None
    return Path(kept) if kept and Path(kept).exists() else None
