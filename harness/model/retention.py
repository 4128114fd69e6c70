"""How long workspaces and refs of work are kept. Pure; the loop's housekeeping and `worktree prune` share it."""

from __future__ import annotations

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
