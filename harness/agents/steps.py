"""The steps of a script and the stage they are played on (see scripted.py for the verbs)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from harness.agents.frames import Conversation, FrameLog
from harness.model.brief import Brief
from harness.model.errors import Usage
from harness.model.events import AgentExit, Limited, Said, SessionEvent, ToolEnded, ToolStarted, Used
from harness.ports import Clock, Desk, Reply

RUN_SECONDS = 600.0

_API = AgentExit(subtype="success", is_error=True, terminal_reason="api_error")
SUCCESS = AgentExit(subtype="success", terminal_reason="completed", exit_code=0)
ABORTED = AgentExit(subtype="error_during_execution", is_error=True, terminal_reason="aborted_streaming", exit_code=0)
CRASHED = AgentExit(exception="ProcessError", detail="the script says crash", exit_code=137)

FACTS: Mapping[str, AgentExit] = MappingProxyType(
    {
        "unreported": SUCCESS,
        "max_turns": AgentExit(subtype="error_max_turns", is_error=True, terminal_reason="max_turns"),
        "budget": AgentExit(subtype="error_max_budget_usd", is_error=True, terminal_reason="budget_exhausted"),
        "refusal": replace(_API, stop_reason="refusal"),
        "context_full": AgentExit(subtype="success", is_error=True, terminal_reason="prompt_too_long", api_status=400),
        "usage_limit": replace(_API, api_status=429, limit=Limited("rejected", "five_hour", None, 1.0)),
        "throttled": replace(_API, api_status=429, error="rate_limit"),
        "api_down": replace(_API, api_status=529, error="server_error"),
        "auth": replace(_API, api_status=401, error="authentication_failed"),
        "billing": replace(_API, api_status=400, error="billing_error"),
        "model_unknown": replace(_API, api_status=404, error="model_not_found"),
        "cli_missing": AgentExit(exception="CLINotFoundError"),
        "sandbox_missing": AgentExit(exception="ProcessError", exit_code=78),
        "policy_wall": replace(SUCCESS, tools=1, denials=1),
        "crashed": CRASHED,
        "protocol": AgentExit(exception="CLIJSONDecodeError"),
        "stalled_start": AgentExit(exception="Exception", detail="Control request timeout: initialize"),
        "disk_full": AgentExit(exit_code=1, stderr_tail="ENOSPC: no space left on device, write"),
        "memory": AgentExit(exit_code=1, stderr_tail="fork: Cannot allocate memory"),
    }
)
"""What a real CLI shows for an ending; `exit: ENDING` plays it."""

Step = Mapping[str, Any] | Callable[["Stage"], Awaitable[None]]


class Over(Exception):
    """The script ends the session here, with these facts."""

    def __init__(self, facts: AgentExit) -> None:
        super().__init__()
        self.facts = facts


@dataclass
class Stage:
    """What a step may use: the brief, the Desk, and ways to be seen working."""

    brief: Brief
    desk: Desk
    clock: Clock
    frames: FrameLog
    conversation: Conversation
    queue: asyncio.Queue[SessionEvent | None]
    stopping: asyncio.Event
    facts: AgentExit = field(default_factory=AgentExit)

    def emit(self, event: SessionEvent) -> None:
        self.queue.put_nowait(event)

    def record(self, frame: Mapping[str, Any]) -> None:
        self.frames.write(frame, self.clock.now())

    def say(self, text: str) -> None:
        self.record(self.conversation.assistant({"type": "text", "text": text}))
        self.emit(Said(text))

    async def tool(self, name: str, arguments: Mapping[str, Any], work: Awaitable[tuple[bool, str]]) -> None:
        """One tool call round `work`, which gives (ok, what the agent reads)."""
        call = f"toolu_{self.conversation.id[-12:]}_{self.conversation.requests}"
        self.record(self.conversation.assistant({"type": "tool_use", "id": call, "name": name, "input": arguments}))
        digest = _digest(name, arguments)
        self.emit(ToolStarted(call, name, str(next(iter(arguments.values()), ""))[:120], digest, RUN_SECONDS))
        ok, text = await work
        self.record(self.conversation.tool_result(call, text, ok=ok))
        self.emit(ToolEnded(call, ok, _digest(text)))
        self.facts = replace(self.facts, tools=self.facts.tools + 1)

    async def wait(self, seconds: float | None) -> None:
        """Sleep, or for ever; a stop ends it."""
        stop = asyncio.ensure_future(self.stopping.wait())
        waits = [stop] if seconds is None else [stop, asyncio.ensure_future(self.clock.sleep(seconds))]
        _, open_ones = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for waiting in open_ones:
            waiting.cancel()


async def perform(stage: Stage, step: Step) -> None:  # noqa: C901, PLR0912 - one case a verb reads best
    if not isinstance(step, Mapping):
        await step(stage)
        return
    verb, value = next(iter(step.items()))
    match verb:
        case "say":
            stage.say(str(value))
        case "write":
            await stage.tool("Write", {"file_path": value["path"], "content": value["content"]}, _write(stage, value))
        case "run":
            await stage.tool("Bash", {"command": " ".join(value)}, _run(stage, value))
        case "commit":
            await stage.tool("Bash", {"command": f"git commit -m {value!r}"}, _commit(stage, str(value)))
        case "progress":
            await stage.tool("report_progress", {"text": value}, _said(stage.desk.report_progress(str(value))))
        case "complete" | "blocked":
            status = "done" if verb == "complete" else "blocked"
            answer = stage.desk.complete_work(status, str(value))
            await stage.tool("complete_work", {"status": status, "summary": value}, _said(answer))
        case "ask":
            answer = stage.desk.request_decision(str(value["question"]), tuple(value.get("options", ())))
            await stage.tool("request_decision", value, _said(answer))
        case "add":
            await stage.tool("add_work_item", value, _said(stage.desk.add_work_item(value)))
        case "use":
            stage.emit(Used(int(value)))
        case "sleep":
            await stage.wait(float(value))
        case "hang":
            await stage.wait(None)
        case "limit":
            raise Over(_limited(stage, float(value)))
        case "crash":
            raise Over(CRASHED)
        case "exit":
            raise Over(FACTS[str(value)])
        case _:
            raise Usage(f"no such step in a script: {verb!r}", hint="see harness/agents/scripted.py for the verbs")


def _limited(stage: Stage, seconds: float) -> AgentExit:
    limit = Limited("rejected", "five_hour", stage.clock.now() + timedelta(seconds=seconds), 1.0)
    stage.emit(limit)
    return replace(FACTS["usage_limit"], limit=limit)


async def _write(stage: Stage, value: Mapping[str, Any]) -> tuple[bool, str]:
    path = stage.brief.paths.workspace / value["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value["content"], encoding="utf-8")
    return True, "written"


async def _commit(stage: Stage, message: str) -> tuple[bool, str]:
    ok, text = await _run(stage, ["git", "add", "-A"])
    return await _run(stage, ["git", "commit", "-q", "-m", message]) if ok else (ok, text)


async def _said(reply: Awaitable[Reply]) -> tuple[bool, str]:
    answer = await reply
    return answer.accepted, answer.text


async def _run(stage: Stage, argv: Sequence[str]) -> tuple[bool, str]:
    """A program in the workspace, in a process group of its own; a stop ends the group."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=stage.brief.paths.workspace,
        env=dict(stage.brief.environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    output = asyncio.ensure_future(process.communicate())
    stop = asyncio.ensure_future(stage.stopping.wait())
    await asyncio.wait([output, stop], return_when=asyncio.FIRST_COMPLETED)
    if not output.done():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    stop.cancel()
    text, _ = await output
    return process.returncode == 0, text.decode(errors="replace")[-4000:]


def _digest(*parts: Any) -> str:
    return blake2b(repr(parts).encode(errors="replace"), digest_size=8).hexdigest()
