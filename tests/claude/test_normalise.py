"""From SDK messages to events, without a process."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk._internal.message_parser import parse_message

from harness.agents.claude.cli import credentials, doctor, environment, find_cli
from harness.agents.claude.normalise import Normaliser
from harness.agents.claude.options import ClaudeOptions
from harness.model.brief import Limits
from harness.model.events import (
    Alive,
    Idle,
    Limited,
    Requesting,
    Retrying,
    SessionEvent,
    Streaming,
    ToolStarted,
    TurnEnded,
)
from tests.kit.briefs import brief

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
IDS = {"uuid": "u", "session_id": "s"}


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Reader:
    """Feeds frames as the CLI writes them."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.time = Time()
        self.normaliser = Normaliser(limits or Limits(), (600, 3600), monotonic=self.time, now=lambda: NOW)

    def __call__(self, **frame: Any) -> list[SessionEvent]:
        message = parse_message({**IDS, **frame})
        assert message is not None
        return list(self.normaliser.events(message))

    def system(self, subtype: str, **more: Any) -> list[SessionEvent]:
        return self(type="system", subtype=subtype, **more)

    def delta(self, kind: str = "content_block_delta") -> list[SessionEvent]:
        return self(type="stream_event", event={"type": kind})

    def tool(self, name: str, **arguments: Any) -> ToolStarted:
        block = {"type": "tool_use", "id": "t", "name": name, "input": arguments}
        (event,) = self(type="assistant", message={"content": [block], "model": "m"})
        assert isinstance(event, ToolStarted)
        return event

    def result(self) -> list[SessionEvent]:
        numbers = {"duration_ms": 1, "duration_api_ms": 1, "num_turns": 1, "total_cost_usd": 0.1 + 0.2}
        return self(type="result", subtype="success", is_error=False, **numbers)


def test_deltas_are_one_sign_of_life_in_half_a_second() -> None:
    read = Reader()
    assert read.delta() == [Streaming()]
    read.time.now = 0.4
    assert read.delta() == []
    read.time.now = 0.6
    assert read.delta() == [Streaming()]
    assert read.delta("message_delta") == [Alive()]
    assert read.delta("ping") == []


def test_the_end_of_a_message_does_not_look_like_streaming_while_its_tool_runs() -> None:
    read = Reader()
    read.tool("Bash", command="make")
    read.time.now = 10
    assert read.delta() == []
    assert read.system("status", status="requesting") == [Alive()]
    block = {"type": "tool_result", "tool_use_id": "t", "content": "ok"}
    read(type="user", message={"content": [block]})
    assert read.delta() == [Streaming()]
    assert read.system("status", status="requesting") == [Requesting()]


@pytest.mark.parametrize(
    ("name", "arguments", "limit"),
    [
        ("Bash", {"command": "x"}, 600),
        ("Bash", {"command": "x", "timeout": 5000}, 5),
        ("Bash", {"command": "x", "timeout": 9e9}, 3600),
        ("Bash", {"command": "x", "timeout": "soon"}, 600),
        ("Agent", {"prompt": "x"}, math.inf),
        ("Read", {"file_path": "x"}, 420),
        ("mcp__harness__complete_work", {"summary": "x"}, 60),
    ],
)
def test_a_tool_has_its_own_limit(name: str, arguments: dict[str, Any], limit: float) -> None:
    assert Reader(Limits(session_timeout_seconds=7200)).tool(name, **arguments).limit_seconds == limit


def test_equal_calls_have_equal_digests() -> None:
    read = Reader()
    assert read.tool("Bash", command="a", timeout=1).digest == read.tool("Bash", timeout=1, command="a").digest
    assert read.tool("Bash", command="a").digest != read.tool("Bash", command="b").digest


@pytest.mark.parametrize(
    ("epoch", "hours"),
    [
        (NOW.timestamp() + 3600, 1),
        ((NOW.timestamp() + 3600) * 1000, 1),
        (NOW.timestamp() - 60, None),
        (NOW.timestamp() + 90 * 86400, None),
        (1e30, None),
        (None, None),
    ],
)
def test_a_reset_time_that_cannot_be_meant_is_unknown(epoch: float | None, hours: int | None) -> None:
    info = {"status": "rejected", "resetsAt": epoch, "rateLimitType": "five_hour"}
    (event,) = Reader()(type="rate_limit_event", rate_limit_info=info)
    assert isinstance(event, Limited)
    assert event.resets_at == (None if hours is None else NOW + timedelta(hours=hours))


@pytest.mark.parametrize(
    ("overage", "status"), [("allowed", "allowed_warning"), ("rejected", "rejected"), (None, "rejected")]
)
def test_a_limit_beyond_which_requests_are_billed_is_not_reached(overage: str | None, status: str) -> None:
    read = Reader()
    info = {"status": "rejected", "rateLimitType": "five_hour", "overageStatus": overage}
    (event,) = read(type="rate_limit_event", rate_limit_info=info)
    assert isinstance(event, Limited)
    assert event.status == status
    assert (read.normaliser.facts.limit is None) is (status != "rejected")


def test_a_long_wait_that_the_api_asks_for_is_a_limit_with_its_end() -> None:
    read = Reader()
    first, limit = read.system("api_retry", error_status=429, error="rate_limit", retry_delay_ms=100_000, attempt=1)
    assert isinstance(first, Retrying)
    assert limit == Limited("throttled", "", NOW + timedelta(seconds=100), None)
    assert read.normaliser.facts.limit == limit
    again = read.system("api_retry", error_status=429, error="rate_limit", retry_delay_ms=70_000, attempt=1)
    assert [type(event) for event in again] == [Retrying]


def test_only_idle_after_a_result_without_live_tasks_is_the_end() -> None:
    read = Reader()
    task = {"task_id": "a", "description": "build"}
    assert read.system("session_state_changed", state="idle") == [Alive()]
    read.system("task_started", **task)
    assert read.result() == [TurnEnded("0.3")]
    assert read.system("session_state_changed", state="idle") == [Alive()]
    assert not read.normaliser.over
    read.system("task_updated", task_id="a", patch={"status": "completed"})
    assert read.system("session_state_changed", state="idle") == [Idle()]
    assert read.normaliser.over


def test_messages_of_a_newer_cli_are_signs_of_life() -> None:
    assert Reader().system("hologram", depth=3) == [Alive()]


def test_the_environment_keeps_what_the_operator_set_and_fixes_what_our_reading_needs(tmp_path: Path) -> None:
    own = {
        "CLAUDE_CODE_MAX_RETRIES": "9",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "0",
        "CLAUDE_CONFIG_DIR": "/elsewhere",
    }
    limits = Limits(session_timeout_seconds=100, stall_threshold_seconds=50)
    sheet = brief(tmp_path, environment=own, limits=limits)
    got = environment(sheet)
    assert got["CLAUDE_CODE_MAX_RETRIES"] == "9"
    assert got["CLAUDE_CODE_DISABLE_BACKGROUND_TASKS"] == "1"
    assert got["CLAUDE_CONFIG_DIR"] == str(sheet.paths.claude)
    assert got["API_TIMEOUT_MS"] == "40000"
    assert got["CLAUDE_CODE_RETRY_WATCHDOG_MAX_WAIT_MS"] == "100000"
    assert got["BASH_DEFAULT_TIMEOUT_MS"] == "100000"


def test_what_a_brief_leaves_open_is_as_the_agent_has_it() -> None:
    agent = ClaudeOptions(model="sonnet", disallowed_tools=("Bash",))
    assert agent.over({"model": None, "permission_mode": "dontAsk"}) == ClaudeOptions(
        model="sonnet", permission_mode="dontAsk", disallowed_tools=("Bash",)
    )


def test_doctor_names_what_is_missing(tmp_path: Path) -> None:
    cli, account = doctor(tmp_path / "claude", {"IS_SANDBOX": "1"}, tmp_path)
    assert (cli.level, cli.ending) == ("fail", "cli_missing")
    assert (account.level, account.mend) == ("fail", "./loop auth login")


def test_credentials_are_found_in_the_order_of_the_cli(tmp_path: Path) -> None:
    (tmp_path / ".credentials.json").write_text("{}")
    given = {"CLAUDE_CODE_OAUTH_TOKEN": "t", "ANTHROPIC_API_KEY": "k"}
    assert credentials(given, tmp_path) == ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "login"]
    assert credentials({"CLAUDE_CODE_USE_BEDROCK": "1"}, tmp_path / "none") == ["Bedrock"]


def test_the_cli_is_bundled_on_the_path_or_a_file(tmp_path: Path) -> None:
    program = tmp_path / "claude"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_cli("bundled", "").is_file()
    assert find_cli("path", str(tmp_path)) == program
    assert find_cli("/opt/claude", "") == Path("/opt/claude")


def test_importing_the_adapter_does_not_import_the_sdk() -> None:
    code = "import sys, harness.agents.claude; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "claude_agent_sdk" not in loaded
