from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.agents.scripted import ScriptedAgent
from harness.agents.steps import FACTS, Step
from harness.model.classify import classify
from harness.model.events import AgentExit, Idle, Said, SessionEvent, Started, StopReason, ToolEnded, ToolStarted
from harness.ports import Agent
from tests.kit.briefs import RecordingDesk, brief


async def play(
    folder: Path, script: Sequence[Step], desk: RecordingDesk | None = None
) -> tuple[list[SessionEvent], AgentExit]:
    agent: Agent = ScriptedAgent(script)
    async with agent.session(brief(folder), desk or RecordingDesk()) as session:
        events = [event async for event in session.events()]
        return events, await session.exit()


async def test_a_script_works_and_reports_through_the_desk(tmp_path: Path) -> None:
    desk = RecordingDesk()
    script: list[Step] = [
        {"say": "I begin"},
        {"write": {"path": "src/a.txt", "content": "hello"}},
        {"run": ["cat", "src/a.txt"]},
        {"progress": "half"},
        {"complete": "all"},
    ]
    events, facts = await play(tmp_path, script, desk)
    assert (tmp_path / "workspace/src/a.txt").read_text() == "hello"
    assert desk.calls == [("report_progress", "half"), ("complete_work", ("done", "all"))]
    assert isinstance(events[0], Started)
    assert Said("I begin") in events
    assert isinstance(events[-1], Idle)
    assert [e.name for e in events if isinstance(e, ToolStarted)] == [
        "Write",
        "Bash",
        "report_progress",
        "complete_work",
    ]
    assert facts.tools == 4
    assert classify(facts, stopped=None, settled=desk.settled()) is None


async def test_its_log_is_a_stream_of_frames_with_times(tmp_path: Path) -> None:
    await play(tmp_path, [{"say": "x"}, {"run": ["false"]}])
    (log,) = (tmp_path / "docs").glob("ses_*.log")
    frames = [json.loads(line) for line in log.read_text().splitlines()]
    assert [f["type"] for f in frames] == ["system", "assistant", "assistant", "user", "result"]
    assert all(f["_at"].endswith("Z") for f in frames)
    assert frames[3]["message"]["content"][0]["is_error"] is True


async def test_the_items_own_script_comes_first(tmp_path: Path) -> None:
    desk = RecordingDesk()
    async with ScriptedAgent([{"crash": True}]).session(
        brief(tmp_path, extra={"script": [{"blocked": "no access"}]}), desk
    ) as session:
        facts = await session.exit()
    assert desk.calls == [("complete_work", ("blocked", "no access"))]
    assert facts.subtype == "success"


async def test_a_callable_is_a_step(tmp_path: Path) -> None:
    async def work(stage: Any) -> None:
        stage.say(stage.brief.prompt)

    events, _ = await play(tmp_path, [work])
    assert Said("Do the work.") in events


@pytest.mark.parametrize("ending", FACTS)
async def test_exit_plays_the_facts_of_an_ending(tmp_path: Path, ending: str) -> None:
    _, facts = await play(tmp_path, [{"exit": ending}])
    assert classify(facts, stopped=None, settled=False) == (None if ending == "unreported" else ending)


async def test_a_limit_says_until_when(tmp_path: Path) -> None:
    _, facts = await play(tmp_path, [{"limit": 60}])
    assert facts.limit is not None
    assert facts.limit.resets_at is not None
    assert classify(facts, stopped=None, settled=False) == "usage_limit"


async def test_a_crash_leaves_no_result(tmp_path: Path) -> None:
    events, facts = await play(tmp_path, [{"crash": True}])
    assert [type(e) for e in events] == [Started]
    assert classify(facts, stopped=None, settled=False) == "crashed"


async def test_an_unknown_step_ends_the_session_with_its_name(tmp_path: Path) -> None:
    _, facts = await play(tmp_path, [{"dance": 1}])
    assert facts.exception == "Usage"
    assert "dance" in facts.detail


@pytest.mark.parametrize(
    "step", [{"hang": True}, {"sleep": 3600}, {"run": ["sh", "-c", "trap '' TERM; echo $$ > pid; sleep 60"]}]
)
async def test_stop_ends_any_step_and_saves_first(tmp_path: Path, step: Step) -> None:
    saved: list[bool] = []

    async def save() -> None:
        saved.append(True)

    async with ScriptedAgent([step]).session(brief(tmp_path), RecordingDesk()) as session:
        events = session.events()
        await anext(events)
        while "run" in step and not (tmp_path / "workspace/pid").exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
        await asyncio.gather(*(session.stop(StopReason.TIMEOUT, before_kill=save) for _ in range(3)))
        facts = await session.exit()
    assert saved == [True]
    assert classify(facts, stopped=StopReason.TIMEOUT, settled=False) == "timeout"
    if "run" in step:
        pid = int((tmp_path / "workspace/pid").read_text())
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_leaving_the_context_ends_a_session(tmp_path: Path) -> None:
    async with ScriptedAgent([{"hang": True}]).session(brief(tmp_path), RecordingDesk()) as session:
        pass
    assert (await session.exit()).is_error


async def test_a_refused_completion_does_not_settle(tmp_path: Path) -> None:
    desk = RecordingDesk(refusals=1)
    events, _ = await play(tmp_path, [{"complete": "all"}], desk)
    assert [e.ok for e in events if isinstance(e, ToolEnded)] == [False]
    assert not desk.settled()


async def test_a_session_is_cheap(tmp_path: Path) -> None:
    agent, sheet = ScriptedAgent([{"say": "x"}, {"complete": "y"}]), brief(tmp_path)
    began = time.process_time()
    for _ in range(50):
        async with agent.session(sheet, RecordingDesk()) as session:
            await session.exit()
    assert (time.process_time() - began) / 50 < 0.004
