"""The backups that are kept: which there are, whether one is whole, and which may go."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness import fs
from harness.model.errors import NotFound, StoreError
from harness.model.retention import Kept, Shelf, backups_to_drop
from harness.store import schema
from harness.store.audit import audit, damage
from harness.store.backup import DATABASE, DROPPING, Backup, alone, read, sha256

LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A folder on the shelf that is no backup, or no more."""

    folder: Path
    problem: str


def listed(shelf: Path) -> tuple[Sequence[Backup], Sequence[Unreadable]]:
    """Backups, newest first, and folders that are none."""
    found: list[Backup] = []
    broken: list[Unreadable] = []
    for folder in sorted(shelf.iterdir()) if shelf.is_dir() else ():
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        try:
            found.append(read(folder))
        except StoreError as exc:
            broken.append(Unreadable(folder, f"{exc.message}: {exc.cause}"))
    return sorted(found, key=lambda backup: (backup.made_at, backup.id), reverse=True), broken


def find(shelf: Path, given: str) -> Backup:
    """By id, its beginning, a tag, `latest`, or the path of a backup's folder anywhere. Raises NotFound, StoreError."""
    if "/" in given:
        return read(Path(given))
    found, _broken = listed(shelf)
    if given == LATEST:
        if not found:
            raise NotFound(f"there is no backup in {shelf}", hint="./loop backup create")
        return found[0]
    like = [each for each in found if given in (each.id, each.tag)] or [e for e in found if e.id.startswith(given)]
    if len(like) == 1:
        return like[0]
    if (shelf / given).is_dir() and not given.startswith("."):
        return read(shelf / given)
    what = f"{given} begins several: {', '.join(each.id for each in like)}" if like else f"there is no backup {given}"
    raise NotFound(what, hint="./loop backup list")


def faults(backup: Backup) -> list[str]:
    """What is wrong with a backup; empty if it is whole. All of it is read, and audited if its schema is ours."""
    found = [text for name, digest in backup.files.items() if (text := _changed(backup.folder / name, digest))]
    if any(text.startswith(DATABASE) for text in found):
        return found
    try:
        with closing(sqlite3.connect(f"{backup.database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
            found += [f"{DATABASE}: {text}" for text in damage(copy)]
            if (told := schema.version(copy)) != backup.schema:
                found.append(f"{DATABASE} has schema {told}, not {backup.schema}")
        if not found and backup.schema == schema.VERSION:
            found += [f"{DATABASE}: {text}" for text in audit(backup.database).violations]
    except sqlite3.Error as exc:
        found.append(f"{DATABASE}: {exc}")
    return found


def _changed(path: Path, digest: str) -> str:
    try:
        return "" if sha256(path) == digest else f"{path.name} is not what was written: its SHA-256 differs"
    except OSError as exc:
        return f"{path.name} cannot be read: {exc.strerror}"


def drop_old(shelf: Path, limits: Shelf, now: datetime) -> Sequence[str]:
    """Remove what the limits do not keep; their ids. Raises HarnessError."""
    found, _broken = listed(shelf)
    rows = [Kept(each.id, each.made_at, each.bytes, each.reason, each.tag) for each in found]
    gone = backups_to_drop(rows, limits, now)
    if gone:
        try:
            with alone(shelf):
                for name in gone:
                    # Half a backup must never stand under its name.
                    aside = shelf / f"{DROPPING}{name}"
                    (shelf / name).rename(aside)
                    fs.discard(aside, under=shelf)
        except OSError as exc:
            raise fs.translate(exc, shelf) from exc
    return gone
