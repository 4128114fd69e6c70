"""Is the loop alive and well? Five lines for cron (H20, H36)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from harness.model.home import Home
from harness.ops.answers import Document
from harness.ops.books import reading_if_any, running
from harness.ops.snapshot import loop_pid, paused_by
from harness.proc.resources import disk

LOOKED_AT_LINES = 100
NOT_RUNNING = 3


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is still healthy: seconds of silence, errors in the last 100 lines of the log, percent of disk free."""

    silent_seconds: float = 300
    errors: int = 5
    disk_percent: float = 10


@dataclass(frozen=True, slots=True)
class Sign:
    """One line of a health check. `level` ok, warn or fail."""

    check: str
    level: str
    found: str


def health(home: Home, now: datetime, limits: Thresholds) -> Document:
    """Exit 0 healthy (warnings allowed), 1 not, 3 when no loop runs."""
    alive = running(home)
    checks = (_process(home, alive), _activity(home, now, limits, alive=alive), _pause(home))
    signs = tuple(chain(*checks, _errors(home, limits), _disk(home, limits)))
    failed = any(sign.level == "fail" for sign in signs)
    code = 0 if not failed else 1 if alive else NOT_RUNNING
    return Document("loop.health/1", {"healthy": not failed, "running": alive, "checks": signs}, code)


def _process(home: Home, alive: bool) -> Iterator[Sign]:
    if alive:
        yield Sign("process", "ok", f"running, pid {loop_pid(home) or 'unknown'}")
    else:
        yield Sign("process", "fail", "not running")


def _activity(home: Home, now: datetime, limits: Thresholds, *, alive: bool) -> Iterator[Sign]:
    """The loop touches current-session.json at least every 30 s, idle or not (contract 2)."""
    try:
        touched = datetime.fromtimestamp(home.current_session.stat().st_mtime, UTC)
    except FileNotFoundError:
        yield Sign("activity", "ok", "no session yet")
        return
    age = max(0, int((now - touched).total_seconds()))
    if age < limits.silent_seconds:
        yield Sign("activity", "ok", f"recent ({age}s ago)")
    elif alive:
        yield Sign("activity", "fail", f"none for {age}s (limit {limits.silent_seconds:g}s)")


def _pause(home: Home) -> Iterator[Sign]:
    with reading_if_any(home) as store:
        reasons = paused_by(home, store.pauses() if store is not None else ())
    yield from (Sign("pause", "warn", f"paused: {reason}") for reason in reasons)
    if not reasons:
        yield Sign("pause", "ok", "not paused")


def _errors(home: Home, limits: Thresholds) -> Iterator[Sign]:
    count = recent_errors(home)
    level = "ok" if count < limits.errors else "warn"
    yield Sign("errors", level, f"{count} in the last {LOOKED_AT_LINES} lines of iteration.log")


def recent_errors(home: Home) -> int:
    """Lines of level ERROR among the last hundred of iteration.log, and of the one before it where it is shorter."""
    last = _tail(home.iteration_log, LOOKED_AT_LINES)
    if len(last) < LOOKED_AT_LINES:
        before = home.iteration_log.with_name(f"{home.iteration_log.name}.1")
        last = [*_tail(before, LOOKED_AT_LINES - len(last)), *last]
    return sum(line.split(" ", 2)[1:2] == ["ERROR"] for line in last)


def _tail(path: Path, lines: int) -> list[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as log:
            return list(deque(log, maxlen=lines))
    except FileNotFoundError:
        return []


def _disk(home: Home, limits: Thresholds) -> Iterator[Sign]:
    free = disk(home.state).percent_free
    level = "ok" if free >= limits.disk_percent else "fail"
    yield Sign("disk", level, f"{free:.0f} % free (limit {limits.disk_percent:g} %)")
