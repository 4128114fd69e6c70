"""One connection to the database: how a transaction is made, what its errors mean.

Every write runs under one `flock` gate that is held until COMMIT has returned, so that checkpoints happen inside it
too. The gate makes waiting fair and takes away the precondition of the WAL-reset bug of SQLite before 3.51.3: a commit
that resets the log during another process's checkpoint (research/queue-store 2.4, 3.2). Readers never take it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from harness.model.errors import DiskFull, HarnessError, IllegalMove, LeaseLost, NotFound, StoreError
from harness.model.journal import Entry
from harness.store import rows, schema
from harness.store.opening import open_gate, open_reader, open_writer
from harness.store.statements import SQL

T = TypeVar("T")


class Database:
    """Statements by name, nested transactions, and the journal entries that belong to them.

    Used by one thread at a time. After any error the transaction is rolled back and the object usable.
    """

    def __init__(self, path: Path, *, gate: Path | None = None, read_only: bool = False) -> None:
        """Open `path`; a writer creates what is missing. `gate` is the lock file, by default `gate.lock` beside it.

        Raises NotFound for a reader without a database, StoreError for a newer schema or an unusable file.
        """
        self.path = path
        self.read_only = read_only
        self._pending: list[Entry] = []
        self._committed: list[Entry] = []
        self._gate = -1
        self._acts_as: str | None = None
        try:
            with self._translated():
                if read_only:
                    self._connection = open_reader(path)
                else:
                    self._gate = open_gate(gate or path.with_name("gate.lock"))
                    with self._gated():
                        self._connection = open_writer(path)
            self._file = _identity(path)
            self._version = self._data_version()
        except OSError as exc:
            hint = f"check owner and mode of {path.parent}"
            raise StoreError(f"cannot open {path}: {exc.strerror}", hint=hint) from exc
        finally:
            if not hasattr(self, "_version"):
                self._close_gate()

    def close(self) -> None:
        """Idempotent; a transaction that is open is rolled back."""
        if self._gate >= 0:
            # The last connection to close makes a checkpoint, and those happen under the gate only.
            with self._gated():
                self._connection.close()
        self._connection.close()
        self._close_gate()

    def _close_gate(self) -> None:
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1

    @contextmanager
    def together(self) -> Iterator[None]:
        """One write transaction around everything inside, or a part of it that can fail alone if one is open."""
        if self._connection.in_transaction:
            with self._savepoint():
                yield
            return
        with self._translated(), self._gated():
            self.check_place()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._check_right()
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._pending.clear()
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        self._committed += self._pending
        self._pending.clear()

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        noted = len(self._pending)
        self._connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            del self._pending[noted:]
            # A full disk has rolled back everything already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO part")
                self._connection.execute("RELEASE part")
            raise
        self._connection.execute("RELEASE part")

    @contextmanager
    def _gated(self) -> Iterator[None]:
        if self._gate < 0:
            raise StoreError(f"{self.path} was opened for reading only", hint="this is a bug: please report it")
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def check_place(self) -> None:
        """Raises StoreError if the path leads to another file than the open one, or to none: somebody moved the state
        folder or put another database there. SQLite itself would go on writing to the file that was moved.
        """
        if _identity(self.path) != self._file:
            raise StoreError(
                f"{self.path} was moved or replaced while it was in use; nothing more is written to either",
                hint="one that was moved is whole where it is now; ./loop run goes on with what is at its place",
            )

    def act_as(self, owner: str) -> None:
        """From here on every write is that of a registered owner: refused (LeaseLost) once it has ended on record,
        because whoever settled its leases took it for dead. A process that was frozen meanwhile changes nothing.
        """
        self._acts_as = owner

    def _check_right(self) -> None:
        """Also that no newer program has migrated the database under a process that goes on with the older one."""
        if self._acts_as is None:
            return
        schema.check(schema.version(self._connection), self.path)
        if self.one("owner_has_ended", owner=self._acts_as) is None:
            return
        raise LeaseLost(
            f"{self._acts_as} was taken for dead, and its work is somebody else's now; nothing was written",
            hint="./loop status; start it anew",
        )

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several reads of one moment."""
        if self._connection.in_transaction:
            yield
            return
        with self._translated():
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise translate(exc, self.path) from exc

    def run(self, name: str, **values: Any) -> int:
        """Execute a writing statement; how many rows it touched. Only inside `together`."""
        return self._connection.execute(SQL[name], values).rowcount

    def insert(self, name: str, values: Mapping[str, Any]) -> int:
        """Execute an INSERT; the row's number."""
        return self._connection.execute(SQL[name], values).lastrowid or 0

    def run_many(self, name: str, values: Sequence[Mapping[str, Any]]) -> int:
        """Execute a writing statement for each; how many rows all touched. Only inside `together`."""
        return self._connection.executemany(SQL[name], values).rowcount

    def stream(self, name: str, **values: Any) -> Iterator[sqlite3.Row]:
        """Rows one by one. Only inside `together` or `snapshot`."""
        return iter(self._connection.execute(SQL[name], values))

    def all(self, name: str, **values: Any) -> Sequence[sqlite3.Row]:
        try:
            return self._connection.execute(SQL[name], values).fetchall()
        except sqlite3.Error as exc:
            raise translate(exc, self.path) from exc

    def one(self, name: str, **values: Any) -> sqlite3.Row | None:
        """The only row or None; also for a statement with RETURNING, which must be read to its end."""
        found = self.all(name, **values)
        return found[0] if found else None

    def record(self, entry: Entry) -> None:
        """Write an entry into the transaction that is open."""
        self._pending.append(_numbered(entry, self.insert("journal_insert", rows.entry_row(entry))))

    def record_many(self, entries: Sequence[Entry]) -> None:
        """The same for many: the journal numbers them one after the other."""
        before = self.all("journal_head")[0]["seq"]
        self.run_many("journal_insert", [rows.entry_row(entry) for entry in entries])
        self._pending += [_numbered(entry, number) for number, entry in enumerate(entries, start=before + 1)]

    def written(self) -> Sequence[Entry]:
        """Entries committed through this object since the last call."""
        taken, self._committed = self._committed, []
        return taken

    def changed(self) -> bool:
        """Whether another connection has committed since the last call."""
        before, self._version = self._version, self._data_version()
        return self._version != before

    def _data_version(self) -> int:
        with self._translated():
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file a path leads to. By `stat` alone: opening a database beside SQLite drops its locks."""
    try:
        found = os.stat(path)  # noqa: PTH116 - at each write: half the time
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _numbered(entry: Entry, seq: int) -> Entry:
    return Entry(entry.at, entry.kind, entry.actor, entry.item, entry.session, entry.data, seq)


def known(value: T | None, what: str, name: str) -> T:
    """The value, or NotFound."""
    if value is None:
        raise NotFound(f"no such {what}: {name}", hint=_LISTED.get(what, "./loop status"))
    return value


_LISTED = {"item": "./loop queue show --all", "session": "./loop session list"}


_DAMAGED = "./loop stop; ./loop backup restore latest --yes, or the path of a copy of yours; what is replaced is kept"
_MEANINGS: Mapping[str, tuple[str, str]] = {
    "SQLITE_BUSY": ("is locked by a program that does not use our gate", "end other programs that have it open"),
    "SQLITE_LOCKED": ("is locked by a program that does not use our gate", "end other programs that have it open"),
    "SQLITE_CORRUPT": ("is damaged", _DAMAGED),
    "SQLITE_NOTADB": ("is not a database, or damaged", _DAMAGED),
    "SQLITE_CANTOPEN": ("cannot be opened", "check owner and mode of the file and its folder"),
    "SQLITE_PERM": ("cannot be opened", "check owner and mode of the file and its folder"),
    "SQLITE_READONLY": ("cannot be written", "check owner and mode of the file and its folder"),
    "SQLITE_IOERR": ("cannot be read or written: the disk reports an error", "check the disk, then ./loop doctor"),
}


def translate(exc: sqlite3.Error, path: Path) -> HarnessError:
    """What an error of SQLite means for an operator."""
    name: str = getattr(exc, "sqlite_errorname", "")
    text = str(exc)
    if name == "SQLITE_FULL":
        return DiskFull(f"no space left writing {path}", hint="make space on that volume; the loop goes on by itself")
    if text == "illegal move":
        return IllegalMove("the transition table does not have this move", hint="./loop queue show ITEM")
    for prefix, (meaning, hint) in _MEANINGS.items():
        if name == prefix or name.startswith(f"{prefix}_"):
            return StoreError(f"{path} {meaning}", hint=hint, cause=f"{name}: {text}")
    return StoreError(f"{path}: {text}", hint="./loop doctor", cause=name)
