"""An agent without a model or CLI: plays a script of steps. For unit speed and simulation of thousands of sessions.

Steps are mappings with one key, from the item's own `script` (WorkItem.extra) or else the one given to the agent; a
review plays the item's `reviews`, a list of scripts, one a session, the last of them again and again:

    write: {path, content}    run: [argv]         commit: message     say: text            progress: text
    complete: summary         blocked: summary    ask: {question, options}                 add: {item}
    sleep: seconds            hang: true          limit: seconds      crash: true          exit: ending
    use: tokens

A callable `async (Stage) -> None` is a step too. It writes the frames a CLI would, and obeys `stop()` between and
within steps. A session without a process costs under two milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from harness.agents.frames import Conversation, FrameLog
from harness.agents.steps import ABORTED, SUCCESS, Over, Stage, Step, perform
from harness.clock import SystemClock
from harness.model.brief import Brief
from harness.model.events import AgentExit, Idle, SessionEvent, Started, StopReason, TurnEnded
from harness.model.session import Role
from harness.ports import Clock, Desk, Finding

MODEL = "scripted"


class ScriptedSession:
    """One play of a script; implements ports.AgentSession."""

    pid: int | None = None

    def __init__(self, stage: Stage, steps: Sequence[Step]) -> None:
        self._stage = stage
        self._steps = steps
        self._player = asyncio.ensure_future(self._play())
        self._ladder: asyncio.Future[None] | None = None

    async def events(self) -> AsyncIterator[SessionEvent]:
        while (event := await self._stage.queue.get()) is not None:
            yield event

    async def stop(self, reason: StopReason, *, before_kill: Callable[[], Awaitable[None]] | None = None) -> None:  # noqa: ARG002 - the port's signature; a script has no words for why
        if self._ladder is None:
            self._ladder = asyncio.ensure_future(self._stop(before_kill))
        await asyncio.shield(self._ladder)

    async def exit(self) -> AgentExit:
        return await asyncio.shield(self._player)

    async def _stop(self, before_kill: Callable[[], Awaitable[None]] | None) -> None:
        self._stage.stopping.set()
        if before_kill is not None and not self._player.done():
            await before_kill()
        await asyncio.wait([self._player])

    async def _play(self) -> AgentExit:
        stage = self._stage
        brief, conversation = stage.brief, stage.conversation
        try:
            stage.record(conversation.init(brief.paths.workspace))
            stage.emit(Started(conversation.id, conversation.model))
            facts = await self._perform()
            facts = replace(facts, tools=facts.tools or stage.facts.tools)
            if facts.subtype is not None:
                stage.record(conversation.result(_result_fields(facts)))
                stage.emit(TurnEnded("0"))
                stage.emit(Idle())
        except Exception as exc:
            facts = AgentExit(exception=type(exc).__name__, detail=str(exc), exit_code=1)
        finally:
            stage.frames.close()
            stage.queue.put_nowait(None)
        return facts

    async def _perform(self) -> AgentExit:
        try:
            for step in self._steps:
                if self._stage.stopping.is_set():
                    return ABORTED
                await perform(self._stage, step)
        except Over as over:
            return over.facts
        return ABORTED if self._stage.stopping.is_set() else SUCCESS


class ScriptedAgent:
    """Implements ports.Agent. `script` is played for items without one of their own; a callable makes it by brief."""

    name = "scripted"

    def __init__(
        self, script: Sequence[Step] | Callable[[Brief], Sequence[Step]] = (), *, clock: Clock | None = None
    ) -> None:
        self._script = script
        self._clock: Clock = clock or SystemClock()
        self._reviews: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def session(self, brief: Brief, desk: Desk) -> AsyncIterator[ScriptedSession]:
        stage = Stage(
            brief,
            desk,
            self._clock,
            FrameLog(brief.paths.log),
            Conversation(brief.claude_session_id, str(brief.options.get("model") or brief.item.model or MODEL)),
            asyncio.Queue(),
            asyncio.Event(),
        )
        session = ScriptedSession(stage, self._steps(brief))
        try:
            yield session
        finally:
            try:
                await session.stop(StopReason.FINISHED)
            finally:
                stage.frames.close()

    def warm(self) -> None:
        """Nothing to import."""

    def doctor(self) -> Sequence[Finding]:
        return (Finding("agent", "ok", "scripted agent: no CLI, no account"),)

    def _steps(self, brief: Brief) -> Sequence[Step]:
        if brief.role is Role.REVIEW and (scripts := brief.item.extra.get("reviews")):
            number = self._reviews[brief.item.id]
            self._reviews[brief.item.id] += 1
            return tuple(scripts[min(number, len(scripts) - 1)])
        own = brief.item.extra.get("script")
        if own is not None:
            return tuple(own)
        return self._script(brief) if callable(self._script) else self._script


def _result_fields(facts: AgentExit) -> dict[str, Any]:
    return {
        "subtype": facts.subtype,
        "is_error": facts.is_error,
        "terminal_reason": facts.terminal_reason,
        "api_error_status": facts.api_status,
        "stop_reason": facts.stop_reason,
        "result": facts.text,
    }
