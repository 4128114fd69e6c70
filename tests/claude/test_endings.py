"""Every row of research/agent-sdk §3 that a model, an endpoint or a machine can cause: the real CLI, then `classify`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.agents.claude import ClaudeOptions
from harness.model.brief import Limits
from harness.model.events import Compacting, Limited, Retrying, ToolEnded
from harness.rehearsal.stage import Rehearsal
from tests.kit.claude_agent import DONE, Played, Stage, Turn, assert_nothing_lives, bash, new_uuid, scenario

pytestmark = pytest.mark.cli

# The CLI's own waiting, cut short: it gives up where it would go on for a quarter of an hour.
SHORT = {"CLAUDE_CODE_MAX_RETRIES": "1", "CLAUDE_CODE_RETRY_WATCHDOG_MAX_WAIT_MS": "700"}
SAID = {"text": "Something."}


@dataclass(frozen=True)
class Row:
    """One way to end: what the model does, and what must come of it."""

    ending: str | None
    turns: tuple[Turn, ...]
    api_status: int | None = None
    limits: Limits = field(default_factory=Limits)
    options: ClaudeOptions = field(default_factory=ClaudeOptions)
    env: Mapping[str, str] = field(default_factory=dict)
    settled: bool = False


def fault(kind: str | dict[str, Any]) -> tuple[Turn, ...]:
    return ({"text": "never said", "fault": kind},)


ROWS: dict[str, Row] = {
    "success": Row(None, DONE, settled=True),
    "max_turns": Row("max_turns", tuple(bash(f"echo {n}") for n in range(4)), limits=Limits(max_turns=2)),
    "budget": Row(
        "budget",
        tuple({**bash(f"echo {n}"), "usage": {"input": 100_000, "output": 9_000}} for n in range(3)),
        limits=Limits(max_cost_usd=0.1),
    ),
    "401": Row("auth", fault("unauthorized"), 401),
    "403": Row("auth", fault("forbidden"), 403),
    "credit_balance": Row("billing", fault("billing"), 400),
    "model_unknown": Row("model_unknown", fault("model_not_found"), 404, options=ClaudeOptions(model="claude-none-1")),
    "429": Row("throttled", fault("rate_limited"), 429),
    "529": Row("api_down", fault("overloaded"), 529),
    "500": Row("api_down", fault("server_error"), 500),
    "502_html_body": Row("api_down", fault({"status": 502, "body": "<html>Bad gateway</html>"}), 502),
    "invalid_request": Row("protocol", fault({"status": 400, "message": "messages.1: tool_use ids"}), 400),
    "prompt_too_long": Row("context_full", fault("prompt_too_long"), 400),
    "refusal": Row("refusal", fault("refusal")),
    "empty_reply": Row(None, fault("empty")),
    "malformed_tool_json": Row(None, ({"tools": [{"name": "Bash", "raw": '{"comm'}]}, *DONE), settled=True),
    "all_tools_denied": Row("policy_wall", (bash("git push"), bash("git push -f"), SAID), options=ClaudeOptions(disallowed_tools=("Bash(git push:*)",))),
    "overloaded_then_well": Row(None, ({**DONE[0], "fault": {"kind": "overloaded", "times": 1}}, DONE[1]), settled=True),
    "stream_breaks_off": Row(None, ({**DONE[0], "fault": {"drop": True, "times": 1}}, DONE[1]), settled=True),
    "overloaded_in_the_stream": Row(None, ({**DONE[0], "fault": {"sse_error": "overloaded_error", "times": 1}}, DONE[1]), settled=True),
}  # fmt: skip


async def played(folder: Path, api: Rehearsal, row: Row, **more: Any) -> Played:
    stage = Stage(folder, api, options=row.options)
    ended = await stage.play(stage.brief(limits=row.limits, env={**SHORT, **row.env}, **more))
    assert_nothing_lives(ended.sheet)
    return ended


@pytest.mark.parametrize("name", ROWS)
async def test_each_way_to_end_has_its_ending(tmp_path: Path, name: str) -> None:
    row = ROWS[name]
    with Rehearsal(scenario(*row.turns)) as api:
        ended = await played(tmp_path, api, row)
        assert ended.ending() == row.ending, ended.exit
        assert ended.exit.api_status == row.api_status
        assert ended.stage.desk.settled() is row.settled


async def test_a_subscription_limit_says_until_when(tmp_path: Path) -> None:
    oauth = {"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-rehearsal", "ANTHROPIC_API_KEY": ""}
    with Rehearsal(scenario(*fault("usage_limit"))) as api:
        ended = await played(tmp_path, api, Row("usage_limit", (), env=oauth))
        assert ended.ending() == "usage_limit", ended.exit
        assert ended.of(Limited)[-1].status == "rejected"
        assert ended.exit.limit is not None
        assert ended.exit.limit.resets_at is not None


async def test_an_endpoint_that_is_not_there(tmp_path: Path) -> None:
    with Rehearsal(scenario()) as api:
        row = Row("api_down", (), env={"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"})
        ended = await played(tmp_path, api, row)
        assert ended.ending() == "api_down", ended.exit
        assert all(event.status is None for event in ended.of(Retrying))


async def test_a_bad_key_is_told_before_the_cli_gives_up(tmp_path: Path) -> None:
    """The first retry with 401 is enough for the watchdog (research/agent-sdk 2)."""
    with Rehearsal(scenario(*fault("unauthorized"))) as api:
        ended = await played(tmp_path, api, Row("auth", ()))
        assert ended.of(Retrying)[0].status == 401
        assert ended.exit.error == "authentication_failed"


async def test_a_long_conversation_is_compacted_and_goes_on(tmp_path: Path) -> None:
    too_long = {**DONE[0], "fault": {"kind": "prompt_too_long", "times": 1}}
    with Rehearsal(scenario(bash("echo 1"), bash("echo 2"), too_long, DONE[1])) as api:
        ended = await played(tmp_path, api, Row(None, ()))
        assert ended.of(Compacting)
        assert ended.ending() is None
        assert ended.metrics["unattributed"]["cause"] == "compaction"
        assert ended.metrics["tokens"]["output"] == sum(row.output for row in api.bill)


async def test_a_tool_that_runs_too_long_is_ended_by_its_own_limit(tmp_path: Path) -> None:
    turn = bash("python3 -c 'import time; time.sleep(100)'", timeout=1000)
    with Rehearsal(scenario(turn, *DONE)) as api:
        ended = await played(tmp_path, api, Row(None, ()))
        assert ended.of(ToolEnded)[0].ok is False
        assert ended.metrics["errors"][0]["class"] == "tool_timeout"
        assert ended.ending() is None


async def test_a_cli_that_is_not_there(tmp_path: Path) -> None:
    with Rehearsal(scenario()) as api:
        row = Row("cli_missing", (), options=ClaudeOptions(cli=str(tmp_path / "no-claude")))
        ended = await played(tmp_path, api, row)
        assert ended.ending() == "cli_missing", ended.exit
        assert ended.exit.exit_code == 127


async def test_a_workspace_that_is_gone(tmp_path: Path) -> None:
    with Rehearsal(scenario()) as api:
        stage = Stage(tmp_path, api)
        sheet = stage.brief()
        sheet.paths.workspace.rmdir()
        ended = await stage.play(sheet)
        assert ended.exit.exception == "CLIConnectionError"
        assert ended.ending() == "crashed"


@pytest.mark.skipif(os.getuid() != 0, reason="only root is refused by the CLI")
async def test_root_without_isolation(tmp_path: Path) -> None:
    with Rehearsal(scenario(*DONE)) as api:
        ended = await played(tmp_path, api, Row("cli_missing", (), env={"IS_SANDBOX": ""}))
        assert ended.ending() == "cli_missing", ended.exit
        assert "root" in ended.exit.stderr_tail


async def test_a_session_id_in_use_is_refused_by_the_cli(tmp_path: Path) -> None:
    uuid = new_uuid()
    with Rehearsal(scenario(*DONE)) as api:
        first = await played(tmp_path, api, Row(None, ()), claude_session_id=uuid)
        assert first.ending() is None
        second = await played(tmp_path, api, Row("crashed", ()), claude_session_id=uuid)
        assert second.ending() == "crashed"
        assert "already in use" in second.exit.stderr_tail


async def test_resuming_a_conversation_that_is_gone(tmp_path: Path) -> None:
    with Rehearsal(scenario(*DONE)) as api:
        ended = await played(tmp_path, api, Row("conversation_gone", ()), claude_session_id=new_uuid(), resume=True)
        assert ended.ending() == "conversation_gone", ended.exit
        assert "No conversation found" in ended.exit.text + ended.exit.detail


async def test_a_program_that_does_not_speak_the_protocol(tmp_path: Path) -> None:
    program = tmp_path / "no-claude"
    program.write_text("#!/bin/sh\necho '{\"type\": broken'\nexit 3\n")
    program.chmod(0o755)
    with Rehearsal(scenario()) as api:
        ended = await played(tmp_path, api, Row("protocol", (), options=ClaudeOptions(cli=str(program))))
        assert ended.ending() == "protocol", ended.exit
        assert ended.exit.exit_code == 3
