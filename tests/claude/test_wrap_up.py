"""At 80 % of its time or turns the agent is told to wrap up, once, while it can still save its work (issue 3.6)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.agents.claude.hooks import WrapUpHook
from harness.model.session import Limits
from harness.rehearsal.stage import Rehearsal
from tests.kit.claude_agent import DONE, Stage, bash, scenario

GIVEN = {"hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {}, "tool_response": ""}


@pytest.mark.parametrize(
    ("limits", "seconds", "turns", "used"),
    [
        (Limits(session_timeout_seconds=600, max_turns=10), 479, 7, None),
        (Limits(session_timeout_seconds=600, max_turns=10), 480, 1, "8 of 10 minutes"),
        (Limits(session_timeout_seconds=600, max_turns=10), 1, 8, "8 of 10 turns"),
        (Limits(session_timeout_seconds=600, max_turns=None), 1, 1000, None),
    ],
)
async def test_the_agent_is_told_once_at_four_fifths(
    limits: Limits, seconds: float, turns: int, used: str | None
) -> None:
    clock = [0.0]
    hook = WrapUpHook(limits, lambda: turns, lambda: clock[0])
    clock[0] = seconds
    told = await hook(GIVEN, None, None)
    assert (used in json.dumps(told)) if used else told == {}
    assert await hook(GIVEN, None, None) == {}


@pytest.mark.cli
@pytest.mark.process
async def test_the_real_agent_reads_it_before_its_turns_are_used_up(tmp_path: Path) -> None:
    steps = [bash(f"echo {number}") for number in range(4)]
    with Rehearsal(scenario(*steps, *DONE)) as api:
        stage = Stage(tmp_path, api)
        played = await stage.play(stage.brief(limits=Limits(max_turns=5)))
    assert played.ending() is None
    sent = [json.dumps(request.body["messages"]) for request in api.requests if request.tools]
    assert ["4 of 5 turns of this session" in text for text in sent] == [False] * 4 + [True] * (len(sent) - 4)
    assert sent[-1].count("Wrap up now") == 1
