"""What the store answers about questions to a person. For looking: it loads nothing that writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from harness.model.decision import Decision
from harness.store import rows
from harness.store.reader import StoreReader

_PLAIN = ("id", "item", "session", "question", "on_timeout", "state", "answer", "answered_by", "via", "reason")


def decision(row: sqlite3.Row) -> Decision:
    return Decision(
        **{name: row[name] for name in _PLAIN},
        options=tuple(json.loads(row["options"])),
        asked_at=rows.at(row["asked_at"]),
        deadline_at=rows.at_or_none(row["deadline_at"]),
        answered_at=rows.at_or_none(row["answered_at"]),
    )


def decision_known(store: StoreReader, number: int) -> Decision | None:
    row = store.one("decision_get", id=number)
    return None if row is None else decision(row)


def decisions(store: StoreReader, *, ended: bool = False, limit: int = 50) -> Sequence[Decision]:
    """What is open, oldest first; with `ended` all there were, newest first."""
    return [decision(row) for row in store.all("decisions_latest" if ended else "decisions_open", limit=limit)]


def decisions_of(store: StoreReader, item: str) -> Sequence[Decision]:
    """Oldest first; the last one is open or says how it ended."""
    return [decision(row) for row in store.all("decisions_of", item=item)]


def skipped_since(store: StoreReader, since: datetime) -> Sequence[Decision]:
    """What nobody answered in time."""
    return [decision(row) for row in store.all("decisions_skipped", since=rows.ms(since))]
