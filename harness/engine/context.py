"""The preserved context of contract 2: what a person or a next session needs of one that has ended (H44)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.model.session import SessionRow
from harness.ports import Workspace, WorkspaceState

SCHEMA = "loop.session-context/1"
MOST_PROGRESS = 5


@dataclass(frozen=True, slots=True)
class Remains:
    """What is known of the end: the workspace as it stands, the words of the agent, what it was doing."""

    workspace: Workspace
    state: WorkspaceState
    told: Mapping[str, Any]
    progress: Sequence[str] = ()
    wip_ref: str | None = None
    stopped_while: str | None = None
    detail: str = ""


def preserved(row: SessionRow, left: Remains) -> Mapping[str, Any]:
    """One document, from our events and git; nothing of it was asked of the dying agent (H55)."""
    state = left.state
    return {
        "schema": SCHEMA,
        "session_id": row.id,
        "claude_session_id": row.claude_session_id,
        "work_item": row.item,
        "why": row.ending or (row.status if row.ended_by == "agent" else row.ended_by),
        "at": row.ended_at.isoformat() if row.ended_at else None,
        "status": row.status,
        **left.told,
        "progress": list(left.progress[-MOST_PROGRESS:]),
        "branch": left.workspace.repo.branch,
        "base": left.workspace.base,
        "head": state.head,
        "commits": list(state.commits),
        "dirty": list(state.dirty),
        "diffstat": state.diffstat,
        "wip_ref": left.wip_ref,
        "tokens": row.metrics.get("tokens"),
        "stopped_while": left.stopped_while,
        "detail": left.detail[-2000:],
        "resume": f"./loop queue retry {row.item}",
    }
