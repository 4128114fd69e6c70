"""Puts a database back: what stands at its place before is kept, and at no moment is there none, or half of one.

Whoever calls holds the loop's lock: nothing leases meanwhile. Commands that have the old file open are refused by
`Database.check_place` when they write.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness import fs
from harness.model.errors import Busy, StoreError
from harness.store.backup import DATABASE, Backup, Order, adopt, sha256, sync
from harness.store.opening import open_gate
from harness.store.reading import database, gate

PREPARED = ".restoring.db"
_LOGS = ("-wal", "-shm")
_CHUNK = 1 << 20
_READERS_SECONDS = 2.0
"""Commands that only look are done in much less."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """What stood there before. `backup` is None if it was too damaged to be one; `folder` None if there was nothing.

    `mirrors`: what the mirrored files held when we last wrote them was carried over, so that they are not taken for
    edits of the queue that was put back.
    """

    folder: Path | None
    backup: Backup | None
    mirrors: bool


def put_back(backup: Backup, state: Path, now: datetime, step: Callable[[str], None] = lambda _step: None) -> Replaced:
    """Make the database of `backup` that of `state`. Raises StoreError (it is not what was written), Busy,
    DiskFull, HarnessError; then the one that was there is there still.
    """
    target, prepared = database(state), state / PREPARED
    try:
        prepared.unlink(missing_ok=True)
        _prepare(backup, prepared)
        step("prepared")
        with _gated(state):
            mirrors = _carry_mirrors(target, prepared)
            sync(prepared)
            _checkpoint(target)
            step("checkpointed")
            aside = _set_aside(target, state / "backups", now, step)
            prepared.replace(target)
            sync(state)
        step("replaced")
    except OSError as exc:
        raise fs.translate(exc, target) from exc
    finally:
        with suppress(OSError):
            prepared.unlink(missing_ok=True)
    return Replaced(aside, None if aside is None else _kept(aside, now), mirrors)


def _prepare(backup: Backup, prepared: Path) -> None:
    handle = os.open(prepared, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with backup.database.open("rb") as source, os.fdopen(handle, "wb") as out:
        while chunk := source.read(_CHUNK):
            out.write(chunk)
    if sha256(prepared) != backup.files[DATABASE]:
        raise StoreError(f"{backup.database} is not what was written", hint=f"./loop backup verify {backup.id}")


@contextmanager
def _gated(state: Path) -> Iterator[None]:
    handle = open_gate(gate(state))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _carry_mirrors(target: Path, prepared: Path) -> bool:
    """What a file held is a fact of the file, not of the queue: without it our own newer file would be an edit."""
    if not target.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{target.absolute().as_uri()}?mode=ro", uri=True)) as old:
            rows = old.execute("SELECT path, sha256, base, at FROM mirror").fetchall()
        with closing(sqlite3.connect(prepared)) as new, new:
            new.execute("DELETE FROM mirror")
            new.executemany("INSERT INTO mirror (path, sha256, base, at) VALUES (?, ?, ?, ?)", rows)
    except sqlite3.Error:
        return False  # the one that was there is damaged: the caller sets its files aside
    return True


def _checkpoint(target: Path) -> None:
    """Everything into the one file, so that it is whole also between two of the moves that follow. Raises Busy."""
    if not target.exists():
        return
    try:
        with closing(sqlite3.connect(target, timeout=_READERS_SECONDS)) as old:
            busy = old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.DatabaseError:
        return  # damaged: it is kept with its log as both are
    if busy:
        raise Busy(f"another program is reading {target}; nothing was changed", hint="end it, or try again in a moment")


def _set_aside(target: Path, shelf: Path, now: datetime, step: Callable[[str], None]) -> Path | None:
    """The database by a second name, its logs by a move: a log of the old one beside the new one would damage it."""
    if not target.exists():
        return None
    name = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-replaced"
    names = (name, *(f"{name}-{n}" for n in range(2, 1000)))
    aside = next(shelf / each for each in names if not (shelf / each).exists())
    aside.mkdir(mode=0o700, parents=True)
    (aside / DATABASE).hardlink_to(target)
    step("linked")
    for ending in _LOGS:
        log = target.with_name(target.name + ending)
        if log.exists():
            log.rename(aside / log.name)
    sync(aside)
    step("aside")
    return aside


def _kept(aside: Path, now: datetime) -> Backup | None:
    """What was set aside as a backup like any other, so that `restore` takes the restore back; None if damaged."""
    try:
        # One file; where somebody still has it open, its log stays beside it, empty.
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(aside / DATABASE)) as old:
            old.execute("PRAGMA journal_mode = DELETE")
        return adopt(aside, Order("replaced", now))
    except (sqlite3.Error, StoreError):
        return None
