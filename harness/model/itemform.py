"""Between the JSON an operator writes and a WorkItem (contract 3). Pure; every face and file uses this one form."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from harness.model.errors import Usage
from harness.model.text import encodable
from harness.model.work import ON_FAILURE, PRIORITIES, Apart, WorkItem, check_id, priority, rank_at

ALIASES: Mapping[str, str] = MappingProxyType({"type": "kind", "rig": "repo", "dedupe": "dedupe_key"})
"""Other words for ours; both are read, `queue.json` is written with the former."""

OURS = frozenset(
    {
        *("state", "reason", "attempts", "rescues", "deferrals", "fence", "outcome", "continuation", "source"),
        *("rank_at", "created_at", "updated_at", "sightings", "last_seen_at", "regression_of"),
    }
)
"""Keys that we write and that say nothing about what is wished: read back, they are left alone."""

MOST_DEPTH = 64
MOST_ATTEMPTS = 1_000_000
MOST_KEY = 500
YEARS = (1970, 9000)


@dataclass(frozen=True, slots=True)
class Form:
    """What an installation allows and supplies. None = anything goes. `lanes` are handicap hours by name, `kind_lanes`
    the lane of a kind whose item names none, `apart` the repositories in which scopes must not overlap,
    `task_files` whether `tasks/*.md` are kept (None: once somebody asked).
    """

    repositories: Sequence[str] | None = None
    lanes: Mapping[str, float] | None = None
    kind_lanes: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = 3
    source: str = "cli"
    default_repository: str | None = None
    apart: Apart = field(default_factory=dict)
    task_files: bool | None = None


def new_item_id() -> str:
    """`wrk_` and 8 hex digits."""
    return f"wrk_{os.urandom(4).hex()}"


def parse_item(document: Mapping[str, Any], form: Form, now: datetime) -> WorkItem:
    """A new item from an operator's object. Raises Usage naming key, value and what is allowed.

    Only `title` is required; unknown keys are kept in `extra`.
    """
    fields = parse_fields(document, form)
    if not fields.get("title"):
        raise Usage("an item needs a title", hint='for example {"title": "Mend the parser", "priority": "high"}')
    return new_item(fields, form, now)


def new_item(fields: Mapping[str, Any], form: Form, now: datetime) -> WorkItem:
    """An item of parsed fields, with what the installation supplies."""
    kind = fields.get("kind", "default")
    lane = fields.get("lane") or form.kind_lanes.get(kind) or form.kind_lanes.get("default", "default")
    supplied = {"id": fields.get("id") or new_item_id(), "lane": lane}
    supplied["max_attempts"] = fields.get("max_attempts", form.max_attempts)
    handicap = (form.lanes or {}).get(lane, 0)
    rank = rank_at(now, handicap, fields.get("priority", PRIORITIES["medium"]))
    return WorkItem(**{**fields, **supplied}, source=form.source, rank_at=rank, created_at=now, updated_at=now)


def parse_fields(document: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """The fields an object gives, as WorkItem has them; keys it lacks are absent. Raises Usage."""
    if not isinstance(document, Mapping):
        raise Usage(f"an item is an object, not {_shown(document)}", hint='{"title": "…"}')
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in document.items():
        name = ALIASES.get(key, key)
        if name in OURS:
            continue
        _check_storable(key, None if name in _READERS and isinstance(value, float) else value)
        if name not in _READERS:
            extra[key] = value
            continue
        read = _read(key, name, value)
        if name in fields and fields[name] != read:
            raise Usage(f"{name} is given twice: {fields[name]!r} and {value!r}", hint=f"write {name} only")
        fields[name] = read
    _check_known(fields, form)
    return fields | ({"extra": extra} if extra else {})


def _read(key: str, name: str, value: Any) -> Any:
    reader, allowed = _READERS[name]
    if value is None:
        return _EMPTY[name]
    try:
        return reader(value)
    except (ValueError, TypeError, OverflowError) as exc:
        raise Usage(f"{key}: {_shown(value)} is not allowed", hint=f"{key} is {allowed}") from exc


def _check_known(fields: Mapping[str, Any], form: Form) -> None:
    if "repo" not in fields and "lane" not in fields:
        return
    known = {"repo": form.repositories, "lane": None if form.lanes is None else list(form.lanes)}
    words = {"repo": "repository", "lane": "lane"}
    for name, allowed in known.items():
        given = fields.get(name)
        if given is None or allowed is None or given in allowed:
            continue
        from difflib import get_close_matches  # noqa: PLC0415 - for a mistake only

        near = get_close_matches(given, allowed, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise Usage(
            f"{name}: no {words[name]} is called {given!r}{meant}",
            hint=f"known: {', '.join(allowed) or 'none; ./loop init --repo PATH'}",
        )


def rank_after(item: WorkItem, changes: Mapping[str, Any], lanes: Mapping[str, float] | None) -> datetime | None:
    """Where a changed priority or lane puts an item: its place in time moves by the difference of the handicaps."""
    if item.rank_at is None:
        return None
    handicap = lanes or {}
    hours = changes.get("priority", item.priority) - item.priority
    hours += handicap.get(changes.get("lane", item.lane), 0) - handicap.get(item.lane, 0)
    return item.rank_at + timedelta(hours=hours)


def _check_storable(key: str, value: Any) -> None:
    if isinstance(value, str) and value.isascii() and key.isascii() and "\0" not in value and "\0" not in key:
        return  # nearly all there is: a large import asks a million times
    if (flaw := unstorable([key, value])) is not None:
        name = _shown(key).strip("'")
        raise Usage(f"{name}: {flaw}", hint="plain JSON that can be written again as it was read")


def unstorable(value: Any) -> str | None:
    """What keeps a value read from JSON from being stored and written again, in words; None if nothing does."""
    open_ones = [(value, 0)]
    while open_ones:
        value, depth = open_ones.pop()
        if depth > MOST_DEPTH:
            return f"values nested deeper than {MOST_DEPTH}"
        if isinstance(value, str):
            if "\0" in value or encodable(value) != value:
                return f"text with a NUL or half a surrogate pair: {_shown(value)}"
        elif isinstance(value, float) and not math.isfinite(value):
            return f"the number {value}, which JSON does not have"
        elif isinstance(value, Mapping):
            open_ones += [(each, depth + 1) for pair in value.items() for each in pair]
        elif isinstance(value, (list, tuple)):
            open_ones += [(each, depth + 1) for each in value]
    return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _word(value: Any) -> str:
    if not _text(value).strip():
        raise ValueError
    return _text(value).strip()


def _id(value: Any) -> str:
    return check_id(_text(value))


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_word(value),)
    if not isinstance(value, (list, tuple)):
        raise TypeError
    return tuple(dict.fromkeys(_word(each) for each in value))


def _ids(value: Any) -> tuple[str, ...]:
    return tuple(check_id(each) for each in _words(value))


def _priority(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError
    return priority(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    if not 1 <= value <= MOST_ATTEMPTS:
        raise ValueError
    return value


def _amount(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    if not 0 < value < float("inf"):
        raise ValueError
    return float(value)


def _moment(value: Any) -> datetime:
    at = (value if isinstance(value, datetime) else datetime.fromisoformat(_text(value))).astimezone()
    # Beyond these, a zone's offset leaves the calendar.
    if not YEARS[0] <= at.year <= YEARS[1]:
        raise ValueError
    return at


def _rule(value: Any) -> str:
    if value not in ON_FAILURE:
        raise ValueError
    return str(value)


def _key(value: Any) -> str:
    if len(_word(value)) > MOST_KEY:
        raise ValueError
    return _word(value)


_NAME = "a name: text that is not empty"
_LIST = "a list of texts, or one text"
_READERS: Mapping[str, tuple[Callable[[Any], Any], str]] = MappingProxyType(
    {
        "id": (_id, "a text of A-Z a-z 0-9 . _ -"),
        "title": (_word, "text that is not empty"),
        "kind": (_word, _NAME),
        "description": (_text, "text"),
        "repo": (_word, _NAME),
        "priority": (_priority, f"{', '.join(PRIORITIES)}, or a number from 0 to 99"),
        "lane": (_word, _NAME),
        "depends_on": (_ids, "a list of item ids"),
        "on_failure": (_rule, f"one of {', '.join(ON_FAILURE)}: what it does when one that it depends on fails"),
        "not_before": (_moment, "a time such as 2026-01-31T06:00 or 2026-01-31T06:00:00+01:00"),
        "max_attempts": (_count, f"a whole number from 1 to {MOST_ATTEMPTS}"),
        "agent": (_word, _NAME),
        "model": (_word, _NAME),
        "scope": (_words, _LIST),
        "branch": (_word, _NAME),
        "assigned": (_word, _NAME),
        "resources": (_words, _LIST),
        "timeout_seconds": (_amount, "a number of seconds above 0"),
        "max_cost_usd": (_amount, "a number of US dollars above 0"),
        "labels": (_words, _LIST),
        "dedupe_key": (_key, f"text of at most {MOST_KEY} characters that says what is the same"),
    }
)
_DEFAULTS = WorkItem(id="none", title="")
_EMPTY: Mapping[str, Any] = MappingProxyType(
    {name: getattr(_DEFAULTS, name) for name in _READERS} | {"id": None, "lane": None}
)
WISHED = (*(name for name in _READERS if name != "id"), "extra")
"""Fields that an operator may wish for, in the order people read them."""


# --- out --------------------------------------------------------------------------------------------------------------


def item_row(item: WorkItem) -> dict[str, Any]:
    """One row of `queue show --json`: what contract 3 promises, flat."""
    return {
        "id": item.id,
        "kind": item.kind,
        "title": item.title,
        "state": item.state.value,
        "reason": item.reason,
        "priority": shown_priority(item.priority),
        "lane": item.lane,
        "repo": item.repo,
        "attempts": item.attempts,
        "max_attempts": item.max_attempts,
        "fence": item.fence,
        "outcome": item.outcome,
        "assigned": item.assigned,
        "not_before": _iso(item.not_before),
    }


def item_document(item: WorkItem) -> dict[str, Any]:
    """Everything about an item; its own keys beside ours, so that it can be read back."""
    document = asdict(item) | {"state": item.state.value, "priority": shown_priority(item.priority)}
    del document["extra"]
    moments = ("not_before", "last_seen_at", "rank_at", "created_at", "updated_at")
    times = {name: _iso(getattr(item, name)) for name in moments}
    lists = {name: list(getattr(item, name)) for name in ("depends_on", "scope", "resources", "labels")}
    return {**item.extra, **document, **times, **lists}


def mirror_row(item: WorkItem) -> dict[str, Any]:
    """One object of `state/queue.json`: the guide's words, only what is set, own keys last."""
    row: dict[str, Any] = {"id": item.id, "type": item.kind, "title": item.title, "description": item.description}
    row |= {"priority": shown_priority(item.priority), "rig": item.repo, "lane": item.lane, "state": item.state.value}
    row |= {"reason": item.reason, "attempts": item.attempts, "max_attempts": item.max_attempts, "fence": item.fence}
    plain = ("depends_on", "not_before", "agent", "model", "scope", "branch", "assigned", "resources")
    for name in (*plain, "timeout_seconds", "max_cost_usd", "labels"):
        value = getattr(item, name)
        if value not in {None, ()}:
            row[name] = list(value) if isinstance(value, tuple) else _iso(value) if name == "not_before" else value
    row |= {} if item.on_failure == "hold" else {"on_failure": item.on_failure}
    row |= {} if item.dedupe_key is None else {"dedupe": item.dedupe_key}
    return row | {key: value for key, value in item.extra.items() if key not in row}


def shown_priority(value: int) -> str | int:
    """The name of a priority that has one, else the number; both may be written back."""
    return next((name for name, number in PRIORITIES.items() if number == value), value)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds")
