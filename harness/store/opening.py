"""How the file of the database is opened, and by whom it may be read."""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from harness.model.errors import NotFound
from harness.store import schema

_BUSY_SECONDS = 10.0
_CACHE_KIBIBYTES = 8192
"""Filled for good as the database grows, 10 KB a session; more made no lease faster among 100,000 items."""


def _connect(uri: str) -> sqlite3.Connection:
    # The store thread uses the connection, another thread opens and closes it; never two at a time.
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False, cached_statements=256
    )
    connection.row_factory = sqlite3.Row
    try:
        for pragma in ("foreign_keys = ON", "mmap_size = 0", f"cache_size = -{_CACHE_KIBIBYTES}"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """For looking only. Raises NotFound, StoreError (another schema), sqlite3.Error."""
    if not path.exists():
        raise NotFound(
            f"no database at {path}: nothing has run here yet", hint="./loop init --repo PATH, then ./loop queue add"
        )
    connection = _connect(f"{path.absolute().as_uri()}?mode=ro")
    try:
        connection.execute("PRAGMA query_only = ON")
        schema.check(schema.version(connection), path, exactly=True)
    except BaseException:
        connection.close()
        raise
    return connection


def open_writer(path: Path) -> sqlite3.Connection:
    """Made and brought to this schema if need be, by a caller that holds the gate. Raises StoreError, sqlite3.Error."""
    _create_private(path)
    connection = _connect(f"{path.absolute().as_uri()}?mode=rw")
    try:
        schema.check(schema.version(connection), path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if 0 < schema.version(connection) < schema.VERSION:
            _keep_before(connection, path)
        schema.migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _keep_before(connection: sqlite3.Connection, path: Path) -> None:
    """The way back from a new version of the program; without room for it nothing is migrated (H25)."""
    # Here, not above: needed once in the life of a version.
    from harness.store.backup import Order, keep  # noqa: PLC0415

    keep(connection, path, path.with_name("backups"), Order("migration", datetime.now(UTC)))


def open_gate(path: Path) -> int:
    """A descriptor of the lock file that writers hold while they write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _create_private(path: Path) -> None:
    """An empty file with mode 0600; SQLite gives its companions the same.

    Only if it is missing: closing any descriptor of the database drops all SQLite locks of this process (POSIX).
    """
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
