"""Reads the database of a loop from outside, with SQL of its own: the store under test is not its own witness."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.model.home import Home

OPEN_ATTEMPTS = """
SELECT a.item, a.fence, a.phase, a.workspace, s.id AS session, s.status
FROM attempts a LEFT JOIN sessions s ON s.item = a.item AND s.fence = a.fence WHERE a.phase <> 'settled'
"""


@dataclass(frozen=True)
class Told:
    """One journal entry; `at` in seconds. `step` also names the phase or status, where a kind has several."""

    seq: int
    at: float
    kind: str
    item: str | None
    data: dict[str, Any]

    @property
    def step(self) -> str:
        more = self.data.get("phase") if self.kind == "attempt.phase" else None
        more = self.data.get("status") if self.kind == "session.updated" else more
        return f"{self.kind} {more}" if more else self.kind


@contextmanager
def reading(home: Home) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"{home.database.as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)
    connection.row_factory = sqlite3.Row
    with closing(connection):
        yield connection


def entries(database: sqlite3.Connection, after: int = 0) -> list[Told]:
    rows = database.execute("SELECT seq, at, kind, item, data FROM journal WHERE seq > ? ORDER BY seq", (after,))
    return [Told(r["seq"], r["at"] / 1000, r["kind"], r["item"], json.loads(r["data"])) for r in rows]


def last_seq(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()[0])


def open_attempts(database: sqlite3.Connection) -> Sequence[sqlite3.Row]:
    return database.execute(OPEN_ATTEMPTS).fetchall()


def states(database: sqlite3.Connection) -> dict[str, sqlite3.Row]:
    return {row["id"]: row for row in database.execute("SELECT * FROM items")}


class Gate:
    """Tells whether a writer is inside a transaction now: every write holds this lock until its COMMIT is done."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        os.close(self._handle)

    def is_held(self) -> bool:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._handle, fcntl.LOCK_UN)
        return False
