"""What an ops function returns: a document, rows, a change, or a stream of rows; every face renders these four.

`notes` are messages beside the data: a face shows them apart from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Document:
    """One object. `facts` is a mapping or a frozen record; `exit_code` as in contract 4."""

    schema: str
    facts: Any
    exit_code: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """A list as of one moment. `truncated`: there are more than were asked for; `columns` are what a table shows."""

    schema: str
    rows: Sequence[Mapping[str, Any]]
    as_of: datetime
    columns: tuple[str, ...] = ()
    truncated: bool = False
    exit_code: int = 0
    empty: str = "nothing"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What an order did to `target`, or would do (`dry_run`); `detail` is one sentence or a few lines."""

    target: str
    applied: bool
    detail: str
    dry_run: bool = False
    exit_code: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows as they happen."""

    schema: str
    rows: Iterator[Mapping[str, Any]]


Answer = Document | Rows | Change | Stream


def jsonable(value: Any) -> Any:
    """The value as JSON has it: times as RFC 3339 in UTC, records as objects, paths and enums as text."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case Enum():
            return value.value
        case Path():
            return str(value)
        case Mapping():
            return {str(key): jsonable(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [jsonable(each) for each in value]
        case _ if is_dataclass(value):
            return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value
