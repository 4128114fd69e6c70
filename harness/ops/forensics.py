"""What a bad version left, in one folder, before it is rolled back: for whoever asks later what went wrong (H25)."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness import fs
from harness.model.errors import HarnessError
from harness.model.home import Home
from harness.ops.backups import files_of
from harness.ops.versions import version
from harness.store.audit import audit
from harness.store.reading import database

MAKING = ".making-"
MOST_BYTES = 256 << 20
"""Of the logs of sessions, newest first; the rest stays where it is and is named."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """`left_out` counts the files of sessions that had no room in it; they are where they were."""

    folder: Path
    files: int
    left_out: int


def collect(home: Home, now: datetime, why: str, most_bytes: int = MOST_BYTES) -> Bundle:
    """Copy state, logs, configuration and the newest sessions into `state/forensics/<time>/`, whole or not at all.

    A damaged database is copied as it is, with its logs. Raises DiskFull, HarnessError.
    """
    name = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    folder, making = home.forensics / name, home.forensics / f"{MAKING}{name}"
    try:
        making.mkdir(mode=0o700, parents=True)
        plain = [*_of_state(home), *files_of(home).values()]
        recent, left_out = _recent(home, most_bytes)
        for path in (*plain, *recent):
            target = making / path.relative_to(home.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        _copy_database(home, making)
        said = {"why": why, "at": now.isoformat(), "versions": version().facts, "audit": _audited(home)}
        said |= {"left_out": [str(path) for path in left_out]}
        fs.replace(making / "forensics.json", json.dumps(said, indent=2) + "\n", durable=True)
        making.rename(folder)
    except OSError as exc:
        raise fs.translate(exc, home.forensics) from exc
    finally:
        fs.discard(making, under=home.state)
    return Bundle(folder, len(plain) + len(recent) + 2, len(left_out))


def _of_state(home: Home) -> Iterator[Path]:
    for name in ("queue.json", "current-session.json", "interrupt-request.txt", "loop.lock"):
        if (home.state / name).is_file():
            yield home.state / name
    yield from home.state.glob("iteration.log*")
    for folder in (home.state / "logs", home.dossiers):
        yield from (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _recent(home: Home, most_bytes: int) -> tuple[Sequence[Path], Sequence[Path]]:
    """Files of sessions, newest first, as many as fit; and the others."""
    found = [path for folder in (home.session_logs, home.sessions) for path in folder.rglob("*")]
    sized = [(path.stat(), path) for path in found if path.is_file() and not path.is_symlink()]
    taken: list[Path] = []
    left: list[Path] = []
    for stat, path in sorted(sized, key=lambda each: each[0].st_mtime, reverse=True):
        most_bytes -= stat.st_size
        (taken if most_bytes >= 0 else left).append(path)
    return taken, left


def _copy_database(home: Home, making: Path) -> None:
    """As SQLite reads it; if it cannot, byte by byte: nobody of this process has it open."""
    source, target = database(home.state), making / "state" / "harness.db"
    if not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(target)) as copy,
        ):
            old.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error:
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                shutil.copy2(f"{source}{ending}", f"{target}{ending}")


def _audited(home: Home) -> list[str]:
    try:
        return list(audit(home.database).violations)
    except HarnessError as exc:
        return [exc.message]
