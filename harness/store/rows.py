"""Between records of the model and rows: times are milliseconds in the database, tuples and mappings are JSON."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

from harness.model.journal import AttemptRow, Committed, Entry, Followup, Integration, PastEnd, Pause
from harness.model.schedule import Firing, Standing
from harness.model.session import Role, SessionRow, SessionStatus
from harness.model.work import Continuation, WorkItem, WorkState

_LISTS = ("scope", "resources", "labels")
_ITEM_COLUMNS = tuple(
    field.name
    for field in fields(WorkItem)
    if field.name
    not in {
        *_LISTS,
        "depends_on",
        "extra",
        "continuation",
        "state",
        "not_before",
        "last_seen_at",
        "rank_at",
        "created_at",
        "updated_at",
    }
)
_columns_of = attrgetter(*_ITEM_COLUMNS)
_SESSION_TIMES = ("started_at", "heartbeat", "updated_at", "ended_at")
_SESSION_COLUMNS = tuple(
    field.name
    for field in fields(SessionRow)
    if field.name not in {*_SESSION_TIMES, "status", "role", "prompt", "metrics"}
)
_ATTEMPT_COLUMNS = tuple(
    field.name
    for field in fields(AttemptRow)
    if field.name not in {"started_at", "ended_at", "counted", "commits", "verdicts"}
)
_STATES = {state.value: state for state in WorkState}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def ms(at: datetime) -> int:
    """Milliseconds UTC, never later than `at`. Raises ValueError for a time without a zone."""
    if at.tzinfo is None:
        raise ValueError(f"a time without a zone: {at.isoformat()}")
    return (at - _EPOCH) // _MILLISECOND


def ms_or_none(at: datetime | None) -> int | None:
    return None if at is None else ms(at)


def at(value: int) -> datetime:
    return datetime.fromtimestamp(value / 1000, UTC)


def at_or_none(value: int | None) -> datetime | None:
    return None if value is None else at(value)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain).encode


def packed(value: Any) -> str:
    """JSON of anything the model holds; times inside become ISO text."""
    if not value and isinstance(value, (tuple, dict)):
        return "{}" if isinstance(value, dict) else "[]"
    return _encode(value)


def _unpacked(text: str) -> Any:
    return () if text == "[]" else {} if text == "{}" else json.loads(text)


def columns(row: sqlite3.Row) -> dict[str, Any]:
    """By name, in one go: a row that is asked for a name compares it with each of its columns."""
    return dict(zip(row.keys(), row, strict=True))


def item_row(item: WorkItem) -> dict[str, Any]:
    """All columns of an item but seq, owner and leased_at; rank_at and created_at must be set."""
    assert item.created_at is not None
    assert item.rank_at is not None
    row: dict[str, Any] = dict(zip(_ITEM_COLUMNS, _columns_of(item), strict=True))
    row |= {name: packed(getattr(item, name)) for name in (*_LISTS, "extra")}
    row["state"] = item.state.value
    row["continuation"] = pack_continuation(item.continuation)
    row["not_before"] = ms_or_none(item.not_before)
    row["last_seen_at"] = ms_or_none(item.last_seen_at)
    row["rank_at"] = ms(item.rank_at)
    row["created_at"] = ms(item.created_at)
    row["updated_at"] = ms(item.updated_at or item.created_at)
    return row


def pack_continuation(continuation: Continuation | None) -> str | None:
    return None if continuation is None else packed(asdict(continuation))


def item(row: sqlite3.Row) -> WorkItem:
    """A row of items with its `depends_on`."""
    found = columns(row)
    plain: dict[str, Any] = {name: found[name] for name in _ITEM_COLUMNS}
    for name in _LISTS:
        plain[name] = tuple(_unpacked(found[name]))
    continuation = found["continuation"]
    return WorkItem(
        **plain,
        depends_on=tuple(_unpacked(found["depends_on"])),
        extra=_unpacked(found["extra"]),
        state=_STATES[found["state"]],
        continuation=None if continuation is None else Continuation(**json.loads(continuation)),
        not_before=at_or_none(found["not_before"]),
        last_seen_at=at_or_none(found["last_seen_at"]),
        rank_at=at(found["rank_at"]),
        created_at=at(found["created_at"]),
        updated_at=at(found["updated_at"]),
    )


def entry_row(entry: Entry) -> dict[str, Any]:
    return {
        "at": ms(entry.at),
        "kind": entry.kind,
        "actor": entry.actor,
        "item": entry.item,
        "session": entry.session,
        "data": packed(entry.data) if entry.data else "{}",
    }


def session_row(session: SessionRow) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(session, name) for name in _SESSION_COLUMNS}
    row |= {name: ms_or_none(getattr(session, name)) for name in _SESSION_TIMES}
    return row | {
        "status": session.status.value,
        "role": session.role.value,
        "prompt": packed(session.prompt),
        "metrics": packed(session.metrics),
    }


def session_beat(session: SessionRow) -> dict[str, Any]:
    times = {"heartbeat": ms_or_none(session.heartbeat), "updated_at": ms_or_none(session.updated_at)}
    return {"id": session.id, "pid": session.pid, "doing": session.doing} | times


def session(row: sqlite3.Row) -> SessionRow:
    found = columns(row)
    plain: dict[str, Any] = {name: found[name] for name in _SESSION_COLUMNS}
    for name in _SESSION_TIMES:
        plain[name] = at_or_none(found[name])
    return SessionRow(
        **plain,
        status=SessionStatus(found["status"]),
        role=Role(found["role"]),
        prompt=_unpacked(found["prompt"]),
        metrics=_unpacked(found["metrics"]),
    )


_ATTEMPT_FORMS: Mapping[str, Callable[[Any], Any]] = {
    "ended_at": ms_or_none,
    "counted": int,
    "commits": packed,
    "verdicts": packed,
}


def attempt_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Some fields of an attempt, as its row holds them."""
    return {name: form(value) if (form := _ATTEMPT_FORMS.get(name)) else value for name, value in facts.items()}


def attempt(row: sqlite3.Row) -> AttemptRow:
    found = columns(row)
    return AttemptRow(
        **{name: found[name] for name in _ATTEMPT_COLUMNS},
        started_at=at(found["started_at"]),
        ended_at=at_or_none(found["ended_at"]),
        counted=bool(found["counted"]),
        commits=tuple(_unpacked(found["commits"])),
        verdicts=tuple(_unpacked(found["verdicts"])),
    )


def past_end(row: sqlite3.Row) -> PastEnd:
    return PastEnd(
        item=row["item"],
        session=row["session"],
        model=row["model"],
        outcome=row["outcome"],
        ending=row["ending"],
        ended_at=at(row["ended_at"]),
        ran=bool(row["ran"]),
        cleared=bool(row["cleared"]),
    )


def integration(row: sqlite3.Row) -> Integration:
    work = ("id", "item", "fence", "repo", "branch", "base", "seal", "state", "merged", "reason")
    plain = (*work, "kind", "push", "push_reason")
    return Integration(
        **{name: row[name] for name in plain},
        paths=tuple(_unpacked(row["paths"])),
        began_at=at(row["began_at"]),
        ended_at=at_or_none(row["ended_at"]),
        followed_by=tuple((step, target) for step, target in _unpacked(row["followed_by"])),
    )


def followup(row: sqlite3.Row) -> Followup:
    plain = ("id", "integration", "item", "repo", "branch", "base", "merged", "step", "target", "state", "reason")
    return Followup(
        **{name: row[name] for name in (*plain, "made")},
        began_at=at(row["began_at"]),
        ended_at=at_or_none(row["ended_at"]),
    )


def committed(row: sqlite3.Row) -> Committed:
    plain = ("seq", "item", "kind", "title", "repo", "branch", "base", "what", "source")
    return Committed(
        **{name: row[name] for name in plain},
        at=at(row["at"]),
        event="integrated" if row["event"] == "integration.applied" else "pushed",
        commit=_unpacked(row["data"]).get("commit") or row["merged"],
    )


def standing(row: sqlite3.Row) -> Standing:
    return Standing(row["rule"], at(row["looked_at"]), row["seq"], at_or_none(row["fired_at"]))


def firing(row: sqlite3.Row) -> Firing:
    plain = ("id", "schedule", "slot", "missed", "state", "item", "reason", "log", "tries")
    return Firing(**{name: row[name] for name in plain}, at=at(row["at"]), ended_at=at_or_none(row["ended_at"]))


def pause(row: sqlite3.Row) -> Pause:
    plain = ("id", "scope", "kind", "reason", "source")
    return Pause(**{name: row[name] for name in plain}, began_at=at(row["began_at"]), until=at_or_none(row["until"]))


def entry(row: sqlite3.Row) -> Entry:
    plain = ("kind", "actor", "item", "session", "seq")
    return Entry(**{name: row[name] for name in plain}, at=at(row["at"]), data=_unpacked(row["data"]))


def names(values: Sequence[object]) -> str:
    """A list for `json_each`; the common empty one costs nothing."""
    return packed(list(values)) if values else "[]"
