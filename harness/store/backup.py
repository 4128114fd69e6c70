"""Makes a backup: the database as of one moment, with files that belong to it, while others write.

    .making-<id>/ --copied, on disk, read back, manifest last--> <id>/

A backup is whole under its name or not there: a process that is killed, or a disk that is full, leaves at most a
`.making-` folder, which the next one removes. Nothing that was there before is touched.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import __version__, fs
from harness.model.errors import DiskFull, NotFound, Refused, StoreError, Usage
from harness.store.audit import damage
from harness.store.database import translate
from harness.store.schema import version

DATABASE, MANIFEST, SCHEMA = "harness.db", "backup.json", "loop.backup/1"
MAKING, DROPPING = ".making-", ".dropping-"
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PAGES = 4096
"""A step of the copy: between two of them it can be called off."""
_SPARE_BYTES = 100 << 20
"""Stays free beside a backup, so that making one never pauses the loop for want of room (50 MiB)."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """What `backup.json` says. `journal` is the number of the newest entry, `files` the SHA-256 of each by its path."""

    folder: Path
    made_at: datetime
    reason: str
    tag: str | None
    program: str
    commit: str | None
    schema: int
    journal: int
    items: int
    bytes: int
    files: Mapping[str, str]

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def database(self) -> Path:
        return self.folder / DATABASE


def _whatever(_step: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Order:
    """Why a backup is made, and what of it. `files` are kept beside the database under their names, `commit` is the
    program's own. `step` hears of each step; what it raises calls the backup off.
    """

    reason: str
    now: datetime
    tag: str | None = None
    commit: str | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    step: Callable[[str], None] = _whatever


def create(database: Path, shelf: Path, order: Order) -> Backup:
    """Keep a database, of whatever schema, in a new folder of `shelf`; checked before it gets its name.

    Raises NotFound, Usage or Refused for the tag, DiskFull, StoreError (a damaged database), HarnessError.
    """
    if not database.exists():
        raise NotFound(f"there is nothing to keep: no database at {database}", hint="./loop status")
    try:
        with closing(
            sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        ) as open_:
            return keep(open_, database, shelf, order)
    except sqlite3.Error as exc:
        raise translate(exc, database) from exc


def keep(source: sqlite3.Connection, database: Path, shelf: Path, order: Order) -> Backup:
    """The same for a connection to `database` that is open already, without a transaction."""
    try:
        with alone(shelf):
            folder = _free_name(shelf, order)
            making = shelf / f"{MAKING}{folder.name}"
            try:
                making.mkdir(mode=0o700)
                _fill(source, making, order)
                order.step("named")
                making.rename(folder)
                sync(shelf)
            except BaseException:
                fs.discard(making, under=shelf)
                raise
    except OSError as exc:
        raise fs.translate(exc, shelf) from exc
    except sqlite3.Error as exc:
        raise translate(exc, database) from exc
    order.step("done")
    return read(folder)


@contextmanager
def alone(shelf: Path) -> Iterator[None]:
    """One process at a time changes the shelf; what a killed one left half done is removed first."""
    shelf.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(shelf, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for left in (*shelf.glob(f"{MAKING}*"), *shelf.glob(f"{DROPPING}*")):
            fs.discard(left, under=shelf)
        yield
    finally:
        os.close(handle)


def _free_name(shelf: Path, order: Order) -> Path:
    if order.tag is not None:
        check_tag(shelf, order.tag)
    name = f"{order.now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{order.tag or order.reason}"
    names = (name, *(f"{name}-{n}" for n in range(2, 1000)))
    return next(shelf / each for each in names if not (shelf / each).exists())


def check_tag(shelf: Path, tag: str) -> None:
    """Raises Usage for what is no tag, Refused for one that is taken."""
    if not TAG.fullmatch(tag) or ".." in tag or tag.endswith((".", ".lock")):
        raise Usage(f"not a tag: {tag!r}", hint="letters, digits, dots, dashes and underscores, at most 64")
    if taken := next((each.name for each in shelf.glob("*") if _tag_of(each) == tag), None):
        raise Refused(f"the tag {tag} is taken by {taken}", hint="give another one; ./loop backup list")


def _tag_of(folder: Path) -> str | None:
    try:
        return read(folder).tag
    except StoreError:
        return None


def _fill(source: sqlite3.Connection, making: Path, order: Order) -> None:
    target = making / DATABASE
    order.step("begun")
    source.execute("BEGIN")  # one moment, however long the copy takes and whoever writes meanwhile
    try:
        facts = _facts(source)
        _make_room(source, making, order)
        _copy(source, target, order)
    finally:
        source.execute("ROLLBACK")
    order.step("copied")
    sync(target)
    _read_back(target, facts)
    files = {DATABASE: sha256(target)}
    for name, path in order.files.items():
        order.step("file")
        raw = path.read_bytes()
        fs.replace(making / name, raw, durable=True)
        files[name] = hashlib.sha256(raw).hexdigest()
    order.step("manifest")
    _write_manifest(making, facts, files, order)
    sync(making)


def _facts(connection: sqlite3.Connection) -> dict[str, int]:
    journal, items = connection.execute(
        "SELECT (SELECT coalesce(max(seq), 0) FROM journal), (SELECT count(*) FROM items)"
    ).fetchone()
    return {"database_schema": version(connection), "journal": journal, "items": items}


def _make_room(source: sqlite3.Connection, making: Path, order: Order) -> None:
    (pages,), (size,) = (source.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    needed = pages * size + sum(path.stat().st_size for path in order.files.values()) + _SPARE_BYTES
    found = os.statvfs(making)
    free = found.f_bavail * found.f_frsize
    if free < needed:
        raise DiskFull(
            f"a backup needs {needed >> 20} MiB, {free >> 20} MiB are free on the volume of {making.parent}",
            hint="make space there; backups that are there stay as they are",
        )


def _copy(source: sqlite3.Connection, target: Path, order: Order) -> None:
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        # Nobody reads it before it is whole and synced as a whole.
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        source.backup(copy, pages=_PAGES, progress=lambda *_: order.step("copying"))
        # One file, without a log beside it, that can be read where nothing may be written.
        copy.execute("PRAGMA journal_mode = DELETE")


def adopt(folder: Path, order: Order) -> Backup:
    """Make a backup of a folder with a whole database, one file, and nobody at it; `files` are in it already.

    Raises StoreError if the database is not sound; sqlite3.Error, OSError.
    """
    target = folder / DATABASE
    with closing(sqlite3.connect(f"{target.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as whole:
        facts = _facts(whole)
    _read_back(target, facts)
    files = {name: sha256(folder / name) for name in (DATABASE, *order.files)}
    _write_manifest(folder, facts, files, order)
    return read(folder)


def _read_back(target: Path, facts: Mapping[str, int]) -> None:
    with closing(sqlite3.connect(f"{target.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
        found = damage(copy)
        if not found and _facts(copy) != facts:
            found = [f"{_facts(copy)} was read back where {facts} was written"]
    if found:
        raise StoreError(
            "the database was copied, but the copy is not sound; it is not kept",
            hint="./loop audit verify; the newest sound backup: ./loop backup list",
            cause="\n".join(found[:6]),
        )


def _write_manifest(making: Path, facts: Mapping[str, int], files: Mapping[str, str], order: Order) -> None:
    size = sum((making / name).stat().st_size for name in files)
    document = {
        "schema": SCHEMA,
        "made_at": order.now.astimezone(UTC).isoformat(),
        "reason": order.reason,
        "tag": order.tag,
        "program": __version__,
        "commit": order.commit,
        **facts,
        "bytes": size,
        "files": files,
    }
    fs.replace(making / MANIFEST, json.dumps(document, indent=2) + "\n", durable=True)


def read(folder: Path) -> Backup:
    """What a folder says of itself. Raises StoreError if it is no backup, or its manifest cannot be read."""
    try:
        said: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        _check_form(said)
        return Backup(
            folder, datetime.fromisoformat(said["made_at"]), str(said["reason"]), said["tag"], str(said["program"]),
            said["commit"], int(said["database_schema"]), int(said["journal"]), int(said["items"]), int(said["bytes"]),
            {str(name): str(digest) for name, digest in said["files"].items()},
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise StoreError(
            f"{folder} is no backup: its {MANIFEST} cannot be read", hint="./loop backup list", cause=str(exc)
        ) from exc


def _check_form(said: Any) -> None:
    """Raises ValueError; also for names that lead out of the folder: a backup may come from elsewhere."""
    if said["schema"] != SCHEMA or DATABASE not in said["files"]:
        raise ValueError(f"schema {said['schema']!r}, files {list(said['files'])}")
    if datetime.fromisoformat(said["made_at"]).tzinfo is None:
        raise ValueError(f"made_at {said['made_at']} names no time zone")
    for name in said["files"]:
        if name.startswith("/") or ".." in Path(name).parts:
            raise ValueError(f"it names {name!r}, which is outside of it")


def sha256(path: Path) -> str:
    """Of a file that no database connection of this process has open."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """A file, or the names in a folder, on disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
