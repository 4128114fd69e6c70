"""The stop ladder (architecture 7.5) on real processes: whatever the session is doing, ten seconds later nothing lives."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.model.events import AgentExit, Idle, Requesting, SessionEvent, StopReason, ToolStarted
from harness.ports import AgentSession
from harness.rehearsal.stage import Rehearsal
from tests.kit.claude_agent import DONE, Played, Stage, assert_nothing_lives, bash, read_until, scenario

pytestmark = [pytest.mark.cli, pytest.mark.process]

STUBBORN = "trap '' TERM INT HUP; (setsid nohup python3 -c 'import time; time.sleep(300)' >/dev/null 2>&1 &); python3 -c 'import time; time.sleep(300)'"


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def is_tool(event: SessionEvent) -> bool:
    return isinstance(event, ToolStarted)


class Saves:
    """A `before_kill` that remembers."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> None:
        self.count += 1


async def test_a_tool_is_interrupted_and_its_tree_ends(tmp_path: Path) -> None:
    with Rehearsal(scenario(bash(STUBBORN), *DONE)) as api:
        stage = Stage(tmp_path, api)
        sheet = stage.brief()
        async with asyncio.timeout(30), stage.session(sheet) as session:
            seen = await read_until(session, is_tool)
            with within(10):
                await session.stop(StopReason.TIMEOUT)
                left = await session.exit()
            seen += [event async for event in session.events()]
            assert_nothing_lives(sheet)
        assert isinstance(seen[-1], Idle)
        assert left.terminal_reason == "aborted_tools"
        assert Played(stage, sheet, seen, left).ending(StopReason.TIMEOUT) == "timeout"
        assert Played(stage, sheet, seen, left).metrics["complete"] is True


async def test_a_request_that_hangs_is_interrupted(tmp_path: Path) -> None:
    with Rehearsal(scenario({"text": "never", "fault": {"hang": "forever"}})) as api:
        stage = Stage(tmp_path, api)
        sheet = stage.brief()
        async with asyncio.timeout(30), stage.session(sheet) as session:
            await read_until(session, lambda event: isinstance(event, Requesting))
            with within(10):
                await session.stop(StopReason.STALLED_API)
                left = await session.exit()
            assert_nothing_lives(sheet)
        assert left.terminal_reason == "aborted_streaming"


async def test_the_completion_contract_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    with Rehearsal(scenario(bash("python3 -c 'import time; time.sleep(300)'"), {"text": "more"})) as api:
        stage = Stage(tmp_path, api)
        async with asyncio.timeout(30), stage.session(stage.brief()) as session:
            await read_until(session, is_tool)
            await session.stop(StopReason.PAUSE)
        assert len(api.requests) == 1


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.3, 0.5, 0.7, 0.9])
async def test_a_session_that_has_hardly_begun_ends(tmp_path: Path, seconds: float) -> None:
    """Before the fork, before agent-init's first word, before the CLI's; and when the prompt has just been sent."""
    with Rehearsal(scenario(bash(STUBBORN))) as api:
        stage = Stage(tmp_path, api)
        sheet = stage.brief()
        async with asyncio.timeout(30), stage.session(sheet) as session:
            await asyncio.sleep(seconds)
            with within(10):
                await session.stop(StopReason.STOP)
                await session.exit()
            assert_nothing_lives(sheet)


@pytest.mark.slow
async def test_a_cli_that_does_not_answer_is_saved_from_and_killed(tmp_path: Path) -> None:
    """A stopped CLI hears no interrupt: after 1 s and 4 s the workspace is saved, then the tree is ended."""
    with Rehearsal(scenario(bash(STUBBORN), *DONE)) as api:
        stage = Stage(tmp_path, api)
        sheet, saves = stage.brief(), Saves()
        async with asyncio.timeout(40), stage.session(sheet) as session:
            await read_until(session, is_tool)
            os.kill(json.loads(sheet.paths.record.read_text())["agent_pid"], signal.SIGSTOP)
            with within(15):
                await asyncio.gather(*(session.stop(StopReason.STALLED, before_kill=saves) for _ in range(3)))
                left = await session.exit()
            assert_nothing_lives(sheet)
        assert saves.count == 1
        assert left.subtype is None
        assert left.exit_code == 137


async def test_stop_is_idempotent_and_harmless_after_the_end(tmp_path: Path) -> None:
    with Rehearsal(scenario(*DONE)) as api:
        stage = Stage(tmp_path, api)
        saves = Saves()
        async with asyncio.timeout(30), stage.session(stage.brief()) as session:
            async for _ in session.events():
                pass
            with within(2):
                await session.stop(StopReason.FINISHED, before_kill=saves)
                await session.stop(StopReason.FINISHED)
            assert (await session.exit()).subtype == "success"
        assert saves.count == 0


async def test_a_failing_save_does_not_keep_the_tree_alive(tmp_path: Path) -> None:
    async def save() -> None:
        raise OSError("no space left on device")

    with Rehearsal(scenario(*DONE)) as api:
        stage = Stage(tmp_path, api)
        sheet = stage.brief()
        async with asyncio.timeout(30), stage.session(sheet) as session:
            await _alive(session)
            with pytest.raises(OSError, match="no space"):
                await session.stop(StopReason.STOP, before_kill=save)
            assert_nothing_lives(sheet)


async def test_leaving_the_context_ends_the_tree(tmp_path: Path) -> None:
    with Rehearsal(scenario(bash(STUBBORN), *DONE)) as api:
        stage = Stage(tmp_path, api)
        sheet = stage.brief()
        async with asyncio.timeout(30), stage.session(sheet) as session:
            await read_until(session, is_tool)
        assert_nothing_lives(sheet)


async def test_cancelling_whoever_reads_still_ends_the_tree(tmp_path: Path) -> None:
    """The reader of the process is not the reader of the events: its task is never cancelled."""
    with Rehearsal(scenario(bash(STUBBORN), *DONE)) as api:
        stage = Stage(tmp_path, api)
        sheet, working = stage.brief(), asyncio.Event()

        async def run() -> None:
            async with stage.session(sheet) as session:
                await read_until(session, is_tool)
                working.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(run())
        async with asyncio.timeout(30):
            await working.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert_nothing_lives(sheet)


async def test_term_to_the_pid_of_the_session_ends_it(tmp_path: Path) -> None:
    """`pid` is agent-init's: what an operator may TERM (contract 2)."""
    with Rehearsal(scenario(bash(STUBBORN), *DONE)) as api:
        stage = Stage(tmp_path, api)
        sheet = stage.brief()
        async with asyncio.timeout(30), stage.session(sheet) as session:
            await read_until(session, is_tool)
            assert session.pid is not None
            os.kill(session.pid, signal.SIGTERM)
            async for _ in session.events():
                pass
            left = await session.exit()
            assert session.pid is None
            assert_nothing_lives(sheet)
        assert _killed(left)


async def test_the_death_of_the_cli_is_a_crash_and_leaves_nothing(tmp_path: Path) -> None:
    with Rehearsal(scenario(bash(STUBBORN), *DONE)) as api:
        stage = Stage(tmp_path, api)
        sheet = stage.brief()
        async with asyncio.timeout(30), stage.session(sheet) as session:
            seen = await read_until(session, is_tool)
            os.kill(json.loads(sheet.paths.record.read_text())["agent_pid"], signal.SIGKILL)
            seen += [event async for event in session.events()]
            left = await session.exit()
            assert_nothing_lives(sheet)
        played = Played(stage, sheet, seen, left)
        assert played.ending() == "crashed"
        assert left.exit_code == 137
        assert played.metrics["complete"] is False
        assert played.metrics["cost_usd"] is None
        assert played.metrics["tools"][0]["open"] == 1


async def test_the_death_of_agent_init_leaves_nothing(tmp_path: Path) -> None:
    with Rehearsal(scenario(bash(STUBBORN), *DONE)) as api:
        stage = Stage(tmp_path, api)
        sheet = stage.brief()
        async with asyncio.timeout(30), stage.session(sheet) as session:
            await read_until(session, is_tool)
            assert session.pid is not None
            os.kill(session.pid, signal.SIGKILL)
            async for _ in session.events():
                pass
            left = await session.exit()
            assert_nothing_lives(sheet)
        assert left.subtype is None


def _killed(left: AgentExit) -> bool:
    return left.subtype is None and left.exit_code in (137, 143)


async def _alive(session: AgentSession) -> None:
    """Until agent-init has said who it is, so before the CLI has answered."""
    while session.pid is None:  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.01)
