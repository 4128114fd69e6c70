"""Worker processes that live on a home, told by their locks, as the loop is by its own (contract 2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.model.home import Home
from harness.ops.books import running
from harness.proc.lock import is_free

_NAME = re.compile(r"worker-(\d+)-[0-9a-f]+\.lock")


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A process of `./loop worker`; `owner` is what its leases are called."""

    owner: str
    pid: int
    since: datetime


def workers(home: Home) -> tuple[LiveWorker, ...]:
    """Those that live now, by their pid."""
    found = []
    for lock in home.owners.glob("worker-*.lock"):
        name = _NAME.fullmatch(lock.name)
        if name is not None and (since := _held_since(lock)) is not None:
            found.append(LiveWorker(lock.stem, int(name[1]), since))
    return tuple(sorted(found, key=lambda each: each.pid))


def _held_since(lock: Path) -> datetime | None:
    """None for a lock that is free, or gone since it was listed."""
    if is_free(lock):
        return None
    try:
        return datetime.fromtimestamp(lock.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def at_work(home: Home) -> bool:
    """Whether anybody leases items here: the loop, or a worker process."""
    return running(home) or bool(workers(home))
