"""One Claude process: reading it, stopping it, and the facts of its end. The only user of the SDK's client.

The client is connected, read and disconnected in one task, which is never cancelled: a raw cancellation skips the SDK's
own escalation. A session is ended through the protocol or through the death of agent-init (architecture 7.5).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    HookMatcher,
    ProcessError,
    ResultError,
    create_sdk_mcp_server,
    tool,
)

from harness.agents.claude.hooks import CompletionHook, Judge, PolicyHook
from harness.agents.claude.normalise import Normaliser
from harness.agents.claude.options import TOOLS, ClaudeOptions
from harness.agents.claude.tools import PREFIX, SERVER, desk_tools
from harness.model.events import AgentExit, SessionEvent, StopReason
from harness.model.session import Brief
from harness.ports import Containment, Desk

ASK_SECONDS = 1.0
WIND_UP_SECONDS = 4.0
SAVE_SECONDS = 5.0
TERM_SECONDS = 4.0
SPAWN_SECONDS = 2.0
HOOK_SECONDS = 10.0
LINE_BYTES = 64 << 20
ERR_TAIL_BYTES = 4096
DETAIL_CHARACTERS = 2000

CONTRACT = """You work unattended: nobody reads along or answers. Your work counts only when you end it with the tool \
complete_work (status done, everything committed; or blocked, with what stands in the way). Use report_progress after \
each step, request_decision when a person must decide, add_work_item for work you find but should not do now. Commit \
your work in this repository; never push. Commands that run for ever must be run with a time limit."""


@dataclass(frozen=True, slots=True)
class Start:
    """All that a session is started with. `spawning` lets only so many CLIs start at once."""

    brief: Brief
    desk: Desk
    options: ClaudeOptions
    environment: Mapping[str, str]
    program: Path
    judge: Judge
    containment: Containment
    spawning: asyncio.Semaphore


class ClaudeSession:
    """Implements ports.AgentSession. Made in the event loop of the main thread (see agent_init on PDEATHSIG)."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._brief = start.brief
        self._queue: asyncio.Queue[SessionEvent | None] = asyncio.Queue()
        self._stderr: deque[str] = deque(maxlen=40)
        self._stopping = False
        self._spawned = False
        self._client: ClaudeSDKClient | None = None
        self._caught: Exception | None = None
        self._normaliser = Normaliser(
            start.brief.limits,
            (
                int(start.environment["BASH_DEFAULT_TIMEOUT_MS"]) / 1000,
                int(start.environment["BASH_MAX_TIMEOUT_MS"]) / 1000,
            ),
            monotonic=time.monotonic,
            now=lambda: datetime.now(UTC),
            resumed=start.brief.resume,
        )
        self._reader = asyncio.create_task(self._read(), name=f"claude {start.brief.session}")
        self._ladder: asyncio.Task[BaseException | None] | None = None

    @property
    def pid(self) -> int | None:
        return self._start.containment.pid(self._brief)

    async def events(self) -> AsyncIterator[SessionEvent]:
        while (event := await self._queue.get()) is not None:
            yield event

    async def stop(self, reason: StopReason, *, before_kill: Callable[[], Awaitable[None]] | None = None) -> None:  # noqa: ARG002 - the CLI takes no reason
        """The ladder of architecture 7.5; the first caller's `before_kill` counts, later ones wait for the same end.

        What `before_kill` raises is raised here, to the first caller, when the tree has ended.
        """
        first = self._ladder is None
        if self._ladder is None:
            self._stopping = True
            self._ladder = asyncio.create_task(self._stop(before_kill))
        failed = await asyncio.shield(self._ladder)
        if first and failed is not None:
            raise failed

    async def exit(self) -> AgentExit:
        await asyncio.shield(self._reader)
        await self._start.containment.end(self._brief, term_seconds=TERM_SECONDS)
        return self._facts()

    # reading

    async def _read(self) -> None:
        """Owns the client from connect to disconnect. What it catches is kept for `exit`; it never raises."""
        client = ClaudeSDKClient(self._sdk_options())
        try:
            async with self._start.spawning:
                if not self._stopping:
                    self._spawned = True
                    await client.connect()
                    self._client = client
            if self._client is not None and not self._stopping:
                await self._converse(client)
        except Exception as exc:
            self._caught = exc
        finally:
            await self._disconnect(client)
            self._queue.put_nowait(None)

    async def _converse(self, client: ClaudeSDKClient) -> None:
        await client.query(self._brief.prompt)
        async for message in client.receive_messages():
            for event in self._normaliser.events(message):
                self._queue.put_nowait(event)
            if self._normaliser.over:
                return

    async def _disconnect(self, client: ClaudeSDKClient) -> None:
        try:
            await client.disconnect()
        except Exception as exc:
            self._caught = self._caught or exc

    # stopping

    async def _stop(self, before_kill: Callable[[], Awaitable[None]] | None) -> BaseException | None:
        if self._reader.done():
            return None
        if self._client is not None:
            if not self._normaliser.over:
                await self._ask(self._client)
            if await self._ended_within(WIND_UP_SECONDS):
                return None
        elif not self._spawned:
            await self._reader
            return None
        saved = asyncio.ensure_future(_nothing() if before_kill is None else before_kill())
        await asyncio.wait([saved], timeout=SAVE_SECONDS)
        await self._await_spawn()
        await self._start.containment.end(self._brief, term_seconds=TERM_SECONDS)
        await self._reader
        return (await asyncio.gather(saved, return_exceptions=True))[0]

    async def _ask(self, client: ClaudeSDKClient) -> None:
        """Background work first, then the turn. A CLI that does not answer is the next rung's business."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                for task in sorted(self._normaliser.tasks):
                    await client.stop_task(task)
                await client.interrupt()
        except Exception as exc:
            self._stderr.append(f"interrupt: {type(exc).__name__}: {exc}")

    async def _ended_within(self, seconds: float) -> bool:
        done, _ = await asyncio.wait([self._reader], timeout=seconds)
        return bool(done)

    async def _await_spawn(self) -> None:
        """Between the fork and agent-init's first word there is no pid yet that could be ended."""
        give_up = time.monotonic() + SPAWN_SECONDS
        while self.pid is None and not self._reader.done() and time.monotonic() < give_up:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.02)

    # the end

    def _facts(self) -> AgentExit:
        """The result frame is the truth; what was caught repeats it, or is all there is."""
        facts = self._normaliser.facts
        caught = self._caught
        if isinstance(caught, ResultError) and facts.subtype is None:
            facts = replace(
                facts,
                subtype=caught.subtype,
                is_error=True,
                terminal_reason=caught.terminal_reason,
                api_status=caught.api_error_status,
                text=caught.result or "\n".join(caught.errors),
            )
        code = self._start.containment.exit_code(self._brief)
        if code is None and isinstance(caught, ProcessError):
            code = caught.exit_code
        return replace(
            facts,
            exception=type(caught).__name__ if caught is not None else None,
            detail=str(caught)[:DETAIL_CHARACTERS] if caught is not None else "",
            exit_code=code,
            stderr_tail=self._tail(),
        )

    def _tail(self) -> str:
        """The end of the agent's stderr, after what agent-init and the ladder said themselves."""
        ours = "\n".join(self._stderr)
        try:
            with self._brief.paths.err.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - ERR_TAIL_BYTES))
                theirs = file.read().decode(errors="replace")
        except FileNotFoundError:
            theirs = ""
        return f"{ours}\n{theirs}".strip()

    # what the SDK is given

    def _sdk_options(self) -> ClaudeAgentOptions:
        start, brief, options = self._start, self._brief, self._start.options
        server = create_sdk_mcp_server(
            SERVER, tools=[tool(t.name, t.description, dict(t.schema))(t) for t in desk_tools(start.desk)]
        )
        allowed = [*(options.allowed_tools or ()), *(PREFIX + t.name for t in desk_tools(start.desk))]
        conversation: dict[str, Any] = (
            {"resume": brief.claude_session_id} if brief.resume else {"session_id": brief.claude_session_id}
        )
        return ClaudeAgentOptions(
            tools=list(TOOLS),
            allowed_tools=allowed,
            disallowed_tools=list(options.disallowed_tools),
            system_prompt={"type": "preset", "preset": "claude_code", "append": CONTRACT},
            # without alwaysLoad the CLI hides the schemas behind its tool search (research/agent-sdk 7)
            mcp_servers={SERVER: {**server, "alwaysLoad": True}},  # type: ignore[dict-item]
            strict_mcp_config=True,
            permission_mode=options.permission_mode,
            hooks=self._hooks(),
            model=options.model,
            max_turns=brief.limits.max_turns,
            max_budget_usd=brief.limits.max_cost_usd,
            cwd=brief.paths.workspace,
            cli_path=start.program,
            env={**start.environment},
            setting_sources=list(options.setting_sources),
            skills=[],
            include_partial_messages=True,
            verbatim_prompts=True,
            max_buffer_size=LINE_BYTES,
            stderr=self._stderr.append,
            **conversation,
        )

    def _hooks(self) -> dict[Any, list[HookMatcher]]:
        """A policy that raises or hangs refuses the call: it fails closed."""
        policy = PolicyHook(self._start.judge, lambda event: self._queue.put_nowait(self._normaliser.denied(event)))
        completion = CompletionHook(self._start.desk, lambda: self._stopping)
        return {
            "PreToolUse": [HookMatcher(hooks=[policy], timeout=HOOK_SECONDS, on_failure="block")],  # type: ignore[list-item]
            "Stop": [HookMatcher(hooks=[completion], timeout=HOOK_SECONDS)],  # type: ignore[list-item]
        }


async def _nothing() -> None:
    """No one wants to save anything."""


@contextlib.asynccontextmanager
async def running(start: Start) -> AsyncIterator[ClaudeSession]:
    """A session from its start to the end of its whole tree, however the block is left."""
    session = ClaudeSession(start)
    try:
        yield session
    finally:
        await session.stop(StopReason.FINISHED)
        await session.exit()
