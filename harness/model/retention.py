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
