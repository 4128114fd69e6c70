"""Agents: what turns a brief into a session, what it may say, and what contains it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.model.brief import Brief
from harness.model.events import AgentExit, SessionEvent, StopReason
from harness.ports.surroundings import Finding


@dataclass(frozen=True, slots=True)
class Reply:
    """The Desk's answer to an agent: accepted or not, and what the agent reads."""

    accepted: bool
    text: str


class Desk(Protocol):
    """What the agent can say to us in words and be answered at once (contract 9)."""

    async def report_progress(self, text: str) -> Reply: ...
    async def complete_work(self, status: str, summary: str) -> Reply: ...
    async def request_decision(self, question: str, options: Sequence[str]) -> Reply: ...
    async def add_work_item(self, item: Mapping[str, Any]) -> Reply: ...

    def settled(self) -> bool:
        """True when the agent has said how its work ended (complete_work or request_decision was accepted)."""
        ...


class AgentSession(Protocol):
    """One running agent process. Iterating never blocks the process; the stream ends when the session has ended."""

    @property
    def pid(self) -> int | None:
        """agent-init's pid: TERM to it ends the tree (contract 2); None before the start or without a process."""
        ...

    def events(self) -> AsyncIterator[SessionEvent]: ...
    async def stop(self, reason: StopReason, *, before_kill: Callable[[], Awaitable[None]] | None = None) -> None:
        """Run the stop ladder, 10 s in all; `before_kill` is awaited before TERM (autosave). Idempotent."""
        ...

    async def exit(self) -> AgentExit:
        """The facts of the end; waits for it. After this returns no process of the session lives."""
        ...


class Agent(Protocol):
    """Turns a brief into a session. Leaving the context ends the whole process tree."""

    name: str

    def session(self, brief: Brief, desk: Desk) -> AbstractAsyncContextManager[AgentSession]: ...
    def warm(self) -> None:
        """Begin what makes the first session start sooner, without waiting for it. Idempotent."""
        ...

    def doctor(self) -> Sequence[Finding]:
        """What stands in the way of starting sessions: program, version, account. Never starts a session."""
        ...


class Containment(Protocol):
    """agent-init as an adapter needs it: how to start one for a brief, who it is, and its end (architecture 2)."""

    @property
    def launcher(self) -> Path:
        """The program to start in place of the agent's own; its arguments are the agent's."""
        ...

    def arm(self, brief: Brief, program: Path) -> Mapping[str, str]:
        """Write the session's spec for `program`; the variables agent-init needs. Raises HarnessError."""
        ...

    def pid(self, brief: Brief) -> int | None:
        """agent-init's pid while it lives and has said so."""
        ...

    async def end(self, brief: Brief, *, term_seconds: float) -> None:
        """TERM, then KILL of the whole tree; nothing to do for one that has ended. Returns when nobody lives."""
        ...

    def exit_code(self, brief: Brief) -> int | None:
        """agent-init's record of the end (128 + n for signal n); None if it never started or was killed itself."""
        ...
