"""At 80 % of each of its limits the agent is told to wrap up, once, while it can still save its work (issue 3.6)."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from harness.agents.claude.hooks import WrapUpHook
from harness.agents.claude.options import ClaudeOptions
from harness.agents.claude.spending import Spending
from harness.model.brief import Limits
from harness.model.events import TurnEnded, Used
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
    hook = WrapUpHook(limits, lambda: turns, Spending(), lambda: clock[0])
    clock[0] = seconds
    told = await hook(GIVEN, None, None)
    assert (used in json.dumps(told)) if used else told == {}
    assert await hook(GIVEN, None, None) == {}


def start(name: str, model: str = "claude-sonnet-4-5", **usage: Any) -> dict[str, Any]:
    message = {"id": name, "model": model, "usage": {"input_tokens": 0, "output_tokens": 1, **usage}}
    return {"type": "message_start", "message": message}


def end(**usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "usage": usage}


def test_a_request_counts_once_with_its_last_word_and_reads_of_the_cache_do_not() -> None:
    spent = Spending()
    assert spent.feed(start("m1", input_tokens=1000, cache_read_input_tokens=10_000), None)
    assert spent.tokens == 1001
    assert spent.feed(end(output_tokens=200), None)
    assert spent.tokens == 1200
    assert spent.cost_usd == (1000 * 3 + 200 * 15 + 10_000 * Decimal("0.3")) / Decimal(1_000_000)
    spent.feed(start("m2", "claude-haiku-4-5", input_tokens=10), "toolu_1")
    spent.feed(start("m3", input_tokens=5), None)
    spent.feed(end(output_tokens=50), "toolu_1")
    assert spent.tokens == 1200 + 60 + 6


@pytest.mark.parametrize(
    "event",
    [
        {"type": "content_block_delta"},
        {"type": "message_delta", "usage": {"output_tokens": 5}},
        {"type": "message_start", "message": {"id": "m", "model": "x", "usage": {"input_tokens": "many"}}},
        {"type": "message_start", "message": {"id": 5}},
        {"type": "message_start"},
        {},
    ],
)
def test_what_tells_of_no_tokens_changes_nothing(event: dict[str, Any]) -> None:
    spent = Spending()
    assert not spent.feed(event, None)
    assert (spent.tokens, spent.cost_usd) == (0, 0)


def test_a_model_without_a_price_has_no_estimate() -> None:
    spent = Spending()
    spent.feed(start("m1", "glm-9", input_tokens=10**9), None)
    assert spent.cost_usd is None


@pytest.mark.parametrize(
    ("limits", "used"),
    [
        (Limits(max_cost_usd=3.75, max_turns=None), "about $3.00 of $3.75"),
        (Limits(max_cost_usd=3.76, max_turns=None), None),
        (Limits(max_cost_usd=None, max_turns=None), None),
        (Limits(max_cost_usd=None, max_tokens=1_250_000), "1000000 of 1250000 tokens"),
        (Limits(max_cost_usd=None, max_tokens=1_250_001), None),
    ],
)
async def test_cost_and_tokens_are_told_of_like_time_and_turns(limits: Limits, used: str | None) -> None:
    spent = Spending()
    spent.feed(start("m1", input_tokens=1_000_000, output_tokens=0), None)
    hook = WrapUpHook(limits, lambda: 1, spent, lambda: 0.0)
    told = await hook(GIVEN, None, None)
    assert (used in json.dumps(told)) if used else told == {}
    assert await hook(GIVEN, None, None) == {}


@pytest.mark.cli
@pytest.mark.process
@pytest.mark.parametrize("model", ["sonnet", "opus", "haiku"])
async def test_the_estimate_is_what_the_real_cli_computes(tmp_path: Path, model: str) -> None:
    usage = {"input": 20_000, "output": 3_000, "cache_read": 50_000, "cache_write_5m": 4_000, "cache_write_1h": 2_000}
    turns = [{**bash("echo one"), "usage": usage}, *({**turn, "usage": usage} for turn in DONE)]
    with Rehearsal(scenario(*turns)) as api:
        stage = Stage(tmp_path, api, options=ClaudeOptions(model=model))
        played = await stage.play(stage.brief())
    spent = Spending()
    for line in played.sheet.paths.log.read_text().splitlines():
        frame = json.loads(line)
        if frame["type"] == "stream_event":
            spent.feed(frame["event"], frame.get("parent_tool_use_id"))
    assert str(spent.cost_usd and spent.cost_usd.normalize()) == played.of(TurnEnded)[-1].cost_usd
    assert played.of(Used)[-1].tokens == spent.tokens == 3 * (20_000 + 3_000 + 4_000 + 2_000)


@pytest.mark.cli
@pytest.mark.process
async def test_the_real_agent_is_told_before_its_money_is_spent(tmp_path: Path) -> None:
    """Each turn costs $0.30: at $0.90 of $1.00 the CLI would go on, and end the session after the next."""
    usage = {"input": 150_000, "output": 0}
    steps = [{**bash(f"echo {number}"), "usage": usage} for number in range(3)]
    with Rehearsal(scenario(*steps, *DONE)) as api:
        stage = Stage(tmp_path, api, options=ClaudeOptions(model="sonnet"))
        played = await stage.play(stage.brief(limits=Limits(max_cost_usd=1.0)))
    assert played.ending() is None
    sent = [json.dumps(request.body["messages"]) for request in api.requests if request.tools]
    assert ["about $0.90 of $1.00 of this session" in text for text in sent[:4]] == [False, False, False, True]


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
