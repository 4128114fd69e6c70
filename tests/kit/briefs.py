"""Briefs and a Desk for tests of agents."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.model.brief import Brief, Limits, Paths
from harness.model.session import new_session_id
from harness.model.work import WorkItem
from harness.ports import Reply


def paths(folder: Path, session: str) -> Paths:
    """The files of one session under `folder`, as the loop lays them out; the folders exist."""
    made = Paths(
        workspace=folder / "workspace",
        log=folder / "docs" / f"{session}.log",
        err=folder / "docs" / f"{session}.err",
        home=folder / "home",
        tmp=folder / "tmp",
        claude=folder / "claude",
        folder=folder / "sessions" / session,
        lock=folder / "sessions" / session / "lock",
        record=folder / "sessions" / session / "agent.json",
    )
    for path in (made.workspace, made.log.parent, made.home, made.tmp, made.claude, made.folder):
        path.mkdir(parents=True, exist_ok=True)
    return made


def brief(
    folder: Path,
    *,
    prompt: str = "Do the work.",
    environment: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    extra: Mapping[str, Any] | None = None,
    **more: Any,
) -> Brief:
    session = new_session_id()
    return Brief(
        session=session,
        item=WorkItem(id="item-1", title="An item", extra=dict(extra or {})),
        prompt=prompt,
        paths=paths(folder, session),
        environment={"PATH": os.environ["PATH"], **(environment or {})},
        limits=limits or Limits(),
        claude_session_id=more.pop("claude_session_id", str(uuid.uuid4())),
        **more,
    )


class RecordingDesk:
    """A Desk that accepts everything, except `complete_work` as often as `refusals` says; `calls` is what it heard."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._refusals = refusals
        self._settled = False

    async def report_progress(self, text: str) -> Reply:
        return self._heard("report_progress", text)

    async def complete_work(self, status: str, summary: str) -> Reply:
        self._heard("complete_work", (status, summary))
        if self._refusals > 0:
            self._refusals -= 1
            return Reply(accepted=False, text="uncommitted changes: a.txt; commit first")
        self._settled = True
        return Reply(accepted=True, text="accepted")

    async def request_decision(self, question: str, options: Sequence[str]) -> Reply:
        self._settled = True
        return self._heard("request_decision", (question, tuple(options)))

    async def add_work_item(self, item: Mapping[str, Any]) -> Reply:
        return self._heard("add_work_item", dict(item))

    def settled(self) -> bool:
        return self._settled

    def _heard(self, name: str, value: Any) -> Reply:
        self.calls.append((name, value))
        return Reply(accepted=True, text="noted")
