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
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

from claude_agent_sdk import ClaudeSDKClient, ProcessError, ResultError, StreamEvent

from harness.agents.claude.normalise import Normaliser
from harness.agents.claude.spending import Spending
from harness.agents.claude.start import Start, sdk_options
from harness.model.events import AgentExit, Denied, SessionEvent, StopReason, Used

ASK_SECONDS = 1.0
WIND_UP_SECONDS = 4.0
SAVE_SECONDS = 5.0
TERM_SECONDS = 4.0
SPAWN_SECONDS = 2.0
ERR_TAIL_BYTES = 4096
DETAIL_CHARACTERS = 2000


class ClaudeSession:
    """Implements ports.AgentSession. Made in the event loop of the main thread (see agent_init on PDEATHSIG)."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._brief = start.brief
        self._queue: asyncio.Queue[SessionEvent | None] = asyncio.Queue()
        self._stderr: deque[str] = deque(maxlen=40)
        self._spending = Spending()
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
        client = ClaudeSDKClient(
            sdk_options(
                self._start,
                denied=self._denied,
                stopping=lambda: self._stopping,
                turns=lambda: self._normaliser.turns,
                spending=self._spending,
                stderr=self._stderr.append,
            )
        )
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
            if isinstance(message, StreamEvent) and self._spending.feed(message.event, message.parent_tool_use_id):
                self._queue.put_nowait(Used(self._spending.tokens))
            if self._normaliser.over:
                return

    async def _disconnect(self, client: ClaudeSDKClient) -> None:
        """A process that nobody understands any more is ended first: the SDK would let it work on for 5 s."""
        try:
            if self._caught is not None and not isinstance(self._caught, ProcessError):
                await self._start.containment.end(self._brief, term_seconds=TERM_SECONDS)
            await client.disconnect()
        except Exception as exc:
            self._caught = self._caught or exc

    def _denied(self, event: Denied) -> None:
        self._queue.put_nowait(self._normaliser.denied(event))

    # stopping

    async def _stop(self, before_kill: Callable[[], Awaitable[None]] | None) -> BaseException | None:
        if self._reader.done():
            return None
        if self._client is not None:
            if await self._wound_up(self._client):
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

    async def _wound_up(self, client: ClaudeSDKClient) -> bool:
        """Whether the session ended when asked. Asked again each second: an interrupt that overtakes the prompt on its
        way into the CLI finds nothing to interrupt.
        """
        give_up = time.monotonic() + ASK_SECONDS + WIND_UP_SECONDS
        while (left := give_up - time.monotonic()) > 0:
            if not self._normaliser.over:
                await self._ask(client)
            done, _ = await asyncio.wait([self._reader], timeout=min(ASK_SECONDS, left))
            if done:
                return True
        return False

    async def _ask(self, client: ClaudeSDKClient) -> None:
        """Background work first, then the turn. A CLI that does not answer is the next rung's business."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                for task in sorted(self._normaliser.tasks):
                    await client.stop_task(task)
                await client.interrupt()
        except Exception as exc:
            self._stderr.append(f"interrupt: {type(exc).__name__}: {exc}")

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
        odd = self._normaliser.odd
        ours = "\n".join([*self._stderr, *([f"{odd} message(s) of an unknown shape"] if odd else [])])
        try:
            with self._brief.paths.err.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - ERR_TAIL_BYTES))
                theirs = file.read().decode(errors="replace")
        except FileNotFoundError:
            theirs = ""
        return f"{ours}\n{theirs}".strip()


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
