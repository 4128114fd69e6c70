"""How long workspaces and refs of work are kept. Pure; the loop's housekeeping and `worktree prune` share it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from harness.model.work import WorkItem, WorkState

OVER = frozenset({WorkState.DONE, WorkState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Retention:
    """`parked_days` a parked item keeps its folder; `refs_days` a finished one its refs."""

    parked_days: float = 14
    refs_days: float = 30


def why_not_needed(item: WorkItem | None, now: datetime, keep: Retention) -> str:
    """Why nobody needs the workspace of an item, empty if somebody does. `item` None: nobody knows it."""
    if item is None:
        return "no item of this name is known"
    if item.state in OVER:
        return f"its item is {item.state}"
    if item.state is WorkState.PARKED and _older(item, now, keep.parked_days):
        return f"its item has been parked for {keep.parked_days:g} days"
    return ""


def refs_are_old(item: WorkItem, now: datetime, keep: Retention) -> bool:
    """Whether the refs of a finished item may go."""
    return item.state in OVER and _older(item, now, keep.refs_days)


def _older(item: WorkItem, now: datetime, days: float) -> bool:
    return item.updated_at is not None and item.updated_at < now - timedelta(days=days)


@dataclass(frozen=True, slots=True)
class Quota:
    """Most workspaces, and most bytes in all of them; None = no limit."""

    max_count: int | None = None
    max_bytes: int | None = None

    def exceeded(self, count: int, size_bytes: int) -> str:
        """What there is too much of to begin another one, empty if there is room."""
        if self.max_count is not None and count >= self.max_count:
            return f"{count} of workspaces.max_count {self.max_count} are there"
        if self.max_bytes is not None and size_bytes >= self.max_bytes:
            return f"they hold {size_bytes / (1 << 30):.1f} GiB of workspaces.max_gib {self.max_bytes / (1 << 30):g}"
        return ""


_S = WorkState
_IDLE = (_S.CANCELLED, _S.DONE, _S.PARKED, _S.WAITING, _S.BLOCKED, _S.DELAYED, _S.READY)


def by_dispensability(items: Iterable[WorkItem]) -> list[WorkItem]:
    """Items whose workspace may be saved and removed for room, least needed first; never one in somebody's hands."""
    idle = [item for item in items if item.state in _IDLE and not item.by_hand]
    return sorted(idle, key=lambda item: (_IDLE.index(item.state), str(item.updated_at or "")))


@dataclass(frozen=True, slots=True)
class Shelf:
    """How many backups are kept beside those with a tag and the newest one, which always stay."""

    all_hours: float = 24
    daily: int = 7
    weekly: int = 4
    max_count: int = 100
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup as the rules see it; `reason` hourly = made by the clock alone."""

    id: str
    made_at: datetime
    bytes: int
    reason: str
    tag: str | None = None


def backups_to_drop(backups: Iterable[Kept], limits: Shelf, now: datetime) -> list[str]:
    """Ids of those that may go, oldest first.

    Everything of the last hours stays, then the newest of each day and of each week; what was made before a change, or
    by a person, as long as the oldest week. Count and bytes come last: the oldest go first.
    """
    newest_first = sorted(backups, key=lambda each: (each.made_at, each.id), reverse=True)
    kept: list[Kept] = []
    days: set[str] = set()
    weeks: set[str] = set()
    for each in newest_first:
        age = now - each.made_at
        day, week = f"{each.made_at:%Y-%j}", f"{each.made_at:%G-%V}"
        within_weeks = age < timedelta(weeks=limits.weekly)
        if (
            each.tag is not None
            or not kept
            or age < timedelta(hours=limits.all_hours)
            or (within_weeks and (each.reason != "hourly" or week not in weeks))
            or (day not in days and age < timedelta(days=limits.daily))
        ):
            kept.append(each)
            days.add(day)
            weeks.add(week)
    stay = _within(kept, limits)
    return [each.id for each in reversed(newest_first) if each.id not in stay]


def _within(newest_first: Iterable[Kept], limits: Shelf) -> set[str]:
    stay: set[str] = set()
    count = total = 0
    for each in newest_first:
        count += each.tag is None
        total += each.bytes
        too_many = count > limits.max_count or (limits.max_bytes is not None and total > limits.max_bytes)
        if each.tag is not None or not stay or not too_many:
            stay.add(each.id)
    return stay
