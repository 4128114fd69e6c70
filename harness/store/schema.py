"""From an empty file or an older schema to this one, in one transaction a step; a newer schema is refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from harness.model.errors import StoreError
from harness.model.work import TRANSITIONS

MIGRATIONS = tuple(sorted((Path(__file__).parent / "migrations").glob("[0-9]*.sql")))
VERSION = len(MIGRATIONS)


def version(connection: sqlite3.Connection) -> int:
    """The schema of the open database, 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check(found: int, path: Path, *, exactly: bool = False) -> None:
    """Raises StoreError if the database was written by a newer program; `exactly`, by an older one too."""
    if found > VERSION:
        raise StoreError(
            f"{path} has schema {found}, this program knows {VERSION}: a newer version of the harness wrote it",
            hint="run the newer version again, or go back to a copy of before the upgrade: ./loop backup list",
        )
    if exactly and found < VERSION:
        raise StoreError(
            f"{path} has schema {found}, this program needs {VERSION}", hint="./loop run brings it up to date"
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to VERSION. The caller holds the gate and no transaction is open."""
    for number in range(version(connection), VERSION):
        script = MIGRATIONS[number].read_text(encoding="utf-8")
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n")
        _fill_transitions(connection)
        connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")


def _fill_transitions(connection: sqlite3.Connection) -> None:
    """The database refuses what the model's table does not have, also for somebody with a SQL shell."""
    connection.execute("DELETE FROM transitions")
    moves = [(old, new) for old, targets in TRANSITIONS.items() for new in targets]
    connection.executemany("INSERT INTO transitions (old, new) VALUES (?, ?)", moves)
