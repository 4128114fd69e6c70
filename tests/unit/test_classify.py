"""Every row of research/agent-sdk §3, by name, as bare facts; tests/claude has the same rows with the real CLI."""

from __future__ import annotations

from typing import Any

import pytest

from harness.model.classify import classify
from harness.model.events import AgentExit, Limited, StopReason
from harness.model.outcome import ENDINGS

API = {"subtype": "success", "is_error": True, "terminal_reason": "api_error"}
REJECTED = Limited("rejected", "five_hour", None, None)
ROOT = "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons"

ROWS: dict[str, tuple[dict[str, Any], str | None]] = {
    "success": ({"subtype": "success", "terminal_reason": "completed", "text": "done"}, None),
    "max_turns": ({"subtype": "error_max_turns", "is_error": True, "terminal_reason": "max_turns"}, "max_turns"),
    "budget": ({"subtype": "error_max_budget_usd", "is_error": True, "terminal_reason": "budget_exhausted"}, "budget"),
    "401": (API | {"api_status": 401, "error": "authentication_failed"}, "auth"),
    "oauth_401": (API | {"api_status": 401, "text": "Failed to authenticate. API Error: 401 OAuth token"}, "auth"),
    "403": (API | {"api_status": 403, "error": "authentication_failed"}, "auth"),
    "credit_balance": (API | {"api_status": 400, "error": "billing_error"}, "billing"),
    "model_unknown": (API | {"api_status": 404, "error": "model_not_found"}, "model_unknown"),
    "429": (API | {"api_status": 429, "error": "rate_limit"}, "throttled"),
    "subscription_limit": (API | {"api_status": 429, "error": "rate_limit", "limit": REJECTED}, "usage_limit"),
    "529": (API | {"api_status": 529, "error": "server_error"}, "api_down"),
    "500_html_body": (API | {"api_status": 500, "error": "server_error", "text": "<html>"}, "api_down"),
    "502_without_word": (API | {"api_status": 502}, "api_down"),
    "no_http_answer": (API | {"text": "Unable to connect to API (ConnectionRefused)"}, "api_down"),
    "request_rejected": (API | {"api_status": 400, "error": "invalid_request"}, "protocol"),
    "prompt_too_long": (API | {"terminal_reason": "prompt_too_long", "api_status": 400}, "context_full"),
    "refusal": (API | {"stop_reason": "refusal"}, "refusal"),
    "max_tokens": ({"subtype": "success", "stop_reason": "max_tokens", "text": "and so on"}, None),
    "empty_reply": ({"subtype": "success", "text": ""}, None),
    "malformed_tool_json": ({"subtype": "success", "text": "I could not", "tools": 1}, None),
    "some_tools_denied": ({"subtype": "success", "tools": 3, "denials": 2}, None),
    "all_tools_denied": ({"subtype": "success", "tools": 2, "denials": 2}, "policy_wall"),
    "interrupted_by_nobody": (
        {"subtype": "error_during_execution", "is_error": True, "terminal_reason": "aborted_tools"},
        "crashed",
    ),
    "sandbox_unavailable": (
        {"subtype": "error_during_execution", "is_error": True, "text": "Sandbox required but unavailable: no bwrap"},
        "sandbox_missing",
    ),
    "cli_sigkill": ({"exception": "ProcessError", "exit_code": 137}, "crashed"),
    "cli_sigterm": ({"exception": "ProcessError", "exit_code": 143}, "crashed"),
    "cli_sigint_exits_zero": ({"exit_code": 0}, "crashed"),
    "line_too_long": ({"exception": "CLIJSONDecodeError", "detail": "exceeded maximum buffer size"}, "protocol"),
    "frame_not_understood": ({"exception": "MessageParseError"}, "protocol"),
    "cli_missing": ({"exception": "CLINotFoundError"}, "cli_missing"),
    "cli_missing_behind_agent_init": ({"exception": "ProcessError", "exit_code": 127}, "cli_missing"),
    "cli_not_executable": ({"exception": "ProcessError", "exit_code": 126}, "cli_missing"),
    "isolation_missing": ({"exception": "ProcessError", "exit_code": 78}, "sandbox_missing"),
    "cwd_missing": ({"exception": "CLIConnectionError", "detail": "Working directory does not exist"}, "crashed"),
    "bad_flag": (
        {"exception": "ProcessError", "exit_code": 1, "stderr_tail": "error: unknown option '--x'"},
        "cli_missing",
    ),
    "root_without_sandbox": ({"exception": "ProcessError", "exit_code": 1, "stderr_tail": ROOT}, "cli_missing"),
    "session_id_in_use": (
        {"exception": "ProcessError", "exit_code": 1, "stderr_tail": "Error: Session ID 1 is already in use."},
        "crashed",
    ),
    "resume_of_unknown_id": (
        {
            "subtype": "error_during_execution",
            "is_error": True,
            "exception": "ResultError",
            "detail": "No conversation found with session ID: 1",
        },
        "conversation_gone",
    ),
    "agent_init_killed": ({"exception": "ProcessError", "exit_code": -9}, "agent_init_killed"),
    "initialize_timeout": (
        {"exception": "Exception", "detail": "Control request timeout: initialize"},
        "stalled_start",
    ),
    "disk_full": ({"exit_code": 1, "stderr_tail": "ENOSPC: no space left on device, write"}, "disk_full"),
}


@pytest.mark.parametrize("row", ROWS)
def test_each_way_a_session_ends_has_its_ending(row: str) -> None:
    facts, ending = ROWS[row]
    assert classify(AgentExit(**facts), stopped=None, settled=False) == ending


@pytest.mark.parametrize("row", ROWS)
def test_every_ending_is_in_the_table(row: str) -> None:
    ending = ROWS[row][1]
    assert ending is None or ending in ENDINGS


ABORTED = AgentExit(subtype="error_during_execution", is_error=True, terminal_reason="aborted_streaming")


@pytest.mark.parametrize(
    "reason", ["timeout", "stalled", "stalled_api", "stalled_start", "spinning", "budget", "runaway", "auth"]
)
def test_what_we_stop_for_is_the_ending(reason: str) -> None:
    assert classify(ABORTED, stopped=StopReason(reason), settled=False) == reason
    assert reason in ENDINGS


@pytest.mark.parametrize("reason", [StopReason.PAUSE, StopReason.STOP])
def test_an_operators_stop_is_no_ending(reason: StopReason) -> None:
    assert classify(ABORTED, stopped=reason, settled=False) is None


def test_a_finished_session_that_we_closed_is_judged_by_its_result() -> None:
    over = AgentExit(subtype="error_max_turns", is_error=True, terminal_reason="max_turns")
    assert classify(over, stopped=StopReason.FINISHED, settled=False) == "max_turns"


@pytest.mark.parametrize("stopped", [None, StopReason.TIMEOUT, StopReason.STALLED_API])
def test_what_the_agent_settled_stands_whatever_came_after(stopped: StopReason | None) -> None:
    died = AgentExit(exception="ProcessError", exit_code=137)
    assert classify(died, stopped=stopped, settled=True) is None
