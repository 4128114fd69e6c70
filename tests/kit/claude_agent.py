"""The Claude agent with the real CLI against a rehearsal: what tests/claude and others start sessions with."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.agents.claude import ClaudeAgent, ClaudeOptions
from harness.agents.claude.hooks import Judge
from harness.analysis.metrics import metrics
from harness.analysis.transcript import ledger, transcript_path
from harness.analysis.usage import Ledger
from harness.app.containment import AgentInitContainment
from harness.model.brief import Brief, Limits
from harness.model.classify import classify
from harness.model.events import AgentExit, SessionEvent, StopReason
from harness.ports import AgentSession
from harness.proc.contain import read_record
from harness.proc.lock import is_free
from harness.proc.tree import marked
from harness.rehearsal.stage import Rehearsal
from tests.kit.briefs import RecordingDesk, brief
from tests.kit.cli import cli_environment, cli_slot_async

Turn = Mapping[str, Any]
DONE: tuple[Turn, ...] = (
    {"tools": [{"name": "mcp__harness__complete_work", "input": {"status": "done", "summary": "all of it"}}]},
    {"text": "Done."},
)


def bash(command: str, **more: Any) -> Turn:
    return {"tools": [{"name": "Bash", "input": {"command": command, **more}}]}


def scenario(*turns: Turn, **session: Any) -> dict[str, Any]:
    return {"sessions": [{"default": True, "turns": list(turns), **session}]}


def allow(_tool: str, _arguments: Mapping[str, Any]) -> None:
    return None


@dataclass
class Stage:
    """One home for sessions: a rehearsal that answers, an agent, and what they left."""

    folder: Path
    api: Rehearsal
    judge: Judge = allow
    options: ClaudeOptions = field(default_factory=ClaudeOptions)
    desk: RecordingDesk = field(default_factory=RecordingDesk)

    def environment(self, **more: str) -> dict[str, str]:
        return cli_environment(self.folder / "home", self.api.url, **more)

    def agent(self, environment: Mapping[str, str]) -> ClaudeAgent:
        return ClaudeAgent(
            self.options,
            policy=lambda _brief: self.judge,
            containment=AgentInitContainment(self.folder),
            environ=environment,
            config=self.folder / "claude",
        )

    def brief(self, *, limits: Limits | None = None, env: Mapping[str, str] | None = None, **more: Any) -> Brief:
        return brief(self.folder, environment=self.environment(**(env or {})), limits=limits, **more)

    @asynccontextmanager
    async def session(self, sheet: Brief) -> AsyncIterator[AgentSession]:
        async with cli_slot_async(), self.agent(sheet.environment).session(sheet, self.desk) as session:
            yield session

    async def play(self, sheet: Brief) -> Played:
        """A whole session, bounded in time."""
        baseline = ledger(self._transcript(sheet))
        async with asyncio.timeout(60), self.session(sheet) as session:
            events = [event async for event in session.events()]
            return Played(self, sheet, events, await session.exit(), baseline)

    def _transcript(self, sheet: Brief) -> Path | None:
        return transcript_path(sheet.paths.claude, sheet.claude_session_id)


@dataclass
class Played:
    """A session that has ended."""

    stage: Stage
    sheet: Brief
    events: Sequence[SessionEvent]
    exit: AgentExit
    baseline: Ledger | None = None

    def ending(self, stopped: StopReason | None = None) -> str | None:
        return classify(self.exit, stopped=stopped, settled=self.stage.desk.settled())

    def of(self, *kinds: type[SessionEvent]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    @property
    def metrics(self) -> dict[str, Any]:
        return metrics(
            self.sheet.paths.log,
            transcript=transcript_path(self.sheet.paths.claude, self.sheet.claude_session_id),
            baseline=self.baseline,
        )


def billed(api: Rehearsal, conversation: str) -> dict[str, int]:
    """What the endpoint billed a conversation, in the names of metrics.json."""
    names = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
    rows = [row for row in api.bill if row.conversation == conversation]
    return {name: sum(getattr(row, name) for row in rows) for name in names}


def assert_nothing_lives(sheet: Brief) -> None:
    """No process of the session, by its mark and by the lock that all of them inherit."""
    assert marked({sheet.session}) == []
    if sheet.paths.lock.exists():
        assert is_free(sheet.paths.lock)
    record = read_record(sheet.paths.record)
    assert record is None or record.ended_at is None or record.contained == "exact"


def new_uuid() -> str:
    return str(uuid.uuid4())


Until = Callable[[SessionEvent], bool]


async def read_until(session: AgentSession, wanted: Until) -> list[SessionEvent]:
    """Events up to the first that is wanted, itself included."""
    seen: list[SessionEvent] = []
    async for event in session.events():
        seen.append(event)
        if wanted(event):
            break
    return seen
