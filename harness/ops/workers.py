"""Worker processes that live on a home, told by their locks, as the loop is by its own (contract 2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.model.home import Home
from harness.ops.books import running
from harness.proc.identity import stopped
from harness.proc.lock import is_free

_NEXT_START = "the next start saves and resumes it: ./loop run"
_PID = re.compile(r"-(\d+)-")
_NAME = re.compile(r"worker-(\d+)-[0-9a-f]+\.lock")


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A process of `./loop worker`; `owner` is what its leases are called. `frozen`: it was stopped and lives on."""

    owner: str
    pid: int
    since: datetime
    frozen: bool = False


def workers(home: Home) -> tuple[LiveWorker, ...]:
    """Those that live now, by their pid."""
    found = []
    for lock in home.owners.glob("worker-*.lock"):
        name = _NAME.fullmatch(lock.name)
        if name is not None and (since := _held_since(lock)) is not None:
            found.append(LiveWorker(lock.stem, int(name[1]), since, stopped(int(name[1]))))
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


def trouble(home: Home, owner: str) -> str:
    """Why whoever has leased an item does not go on with it; empty if nothing is known that keeps it."""
    name = "worker" if owner.startswith("worker-") else "loop"
    lock = home.owners / f"{owner}.lock"
    if not at_work(home) or (lock.exists() and is_free(lock)):
        saves = "the loop saves and resumes it within a minute" if running(home) else _NEXT_START
        return f"its {name} was killed; {saves}"
    pid = _PID.search(owner)
    if pid is None or not stopped(int(pid[1])):
        return ""
    return f"its {name} is frozen; it goes on after kill -CONT {pid[1]}, and kill -9 {pid[1]} gives its work to others"
