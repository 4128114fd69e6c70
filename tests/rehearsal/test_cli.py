"""The real CLI against the rehearsal: the bill is what it counts, and every row of research/agent-sdk §3 can be produced.

CLI 2.1.329, `claude -p`. What came out otherwise than in the research, run by run:
- An unknown model (404) is asked for once more, with `stream: false`, before the session ends.
- A stream that breaks after a complete block is not asked for again: the CLI keeps the block and goes on. Broken inside its
  first block, it is retried and then asked for with `stream: false`; after an SSE error at once.
- A stream cut by a reset at once is counted by nobody but the server; one that was silent first is counted by the CLI too.
- A stream that stays silent inside its first block is given up after 300.6 s and asked for without streaming, without an
  `api_retry` event, as the research says; the CLI counts the cut answer (1100 in, about 11 out). Too long for a test here.
- 401 with an OAuth token ends in "Not logged in · Please run /login", with one request less than with a key.
- This version sent no title or quota request in `-p` mode, with or without CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC.
"""

from __future__ import annotations

import pytest

from harness.rehearsal.stage import Rehearsal
from tests.kit.cli import bundled_cli, claude, cli_environment, model_usage

pytestmark = pytest.mark.cli

BASH = {"name": "Bash", "input": {"command": "echo hello from the tool"}}
WRITE = {"name": "Write", "input": {"file_path": "made.txt", "content": "made by the script\n"}}
DONE = {"text": "Done."}
OAUTH = {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-rehearsal"}


def script(*turns):
    return {"sessions": [{"match": "do it", "turns": list(turns)}]}


def spoilt(fault):
    """One turn that goes well, one that meets the fault, one to end with."""
    return script({"tools": [BASH]}, {"text": "I look again.", "tools": [BASH], "fault": fault}, DONE)


def billed(stage):
    return {
        "input": sum(row.input for row in stage.bill),
        "output": sum(row.output for row in stage.bill),
        "cache_read": sum(row.cache_read for row in stage.bill),
        "cache_write": sum(row.cache_write_5m + row.cache_write_1h for row in stage.bill),
    }


def answers(stage):
    return [(row.status, row.stream) for row in stage.bill]


def test_the_environment_is_built_not_inherited(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAUDE_CODE_SOMETHING", "1")
    environment = cli_environment(tmp_path / "home", "http://127.0.0.1:1")
    assert "CLAUDE_CODE_SOMETHING" not in environment
    assert bundled_cli().is_file()


def test_tools_run_and_the_bill_equals_the_count_of_the_cli_token_for_token(tmp_path):
    usage = {"input": 31, "output": 17, "cache_read": 1009, "cache_write_5m": 211, "cache_write_1h": 107}
    with Rehearsal(script({"text": "I look.", "tools": [BASH]}, {"tools": [WRITE], "usage": usage}, DONE)) as stage:
        run = claude("please do it", stage.url, tmp_path)
    assert (run.exit_code, run.text, run.result["is_error"]) == (0, "Done.", False)
    assert (tmp_path / "work/made.txt").read_text() == "made by the script\n"
    assert "hello from the tool" in str(run.of("user")[0])
    assert model_usage(run) == billed(stage)
    assert [row.side for row in stage.bill] == [False] * 3


def test_a_resumed_session_sends_the_earlier_conversation_and_plays_on(tmp_path):
    with Rehearsal(script({"tools": [BASH]}, {"text": "First part done."}, {"text": "Second part done."})) as stage:
        first = claude("please do it", stage.url, tmp_path)
        second = claude("and now the rest", stage.url, tmp_path, "--resume", first.result["session_id"])
    assert (first.text, second.text) == ("First part done.", "Second part done.")
    history = str(stage.requests[-1].body["messages"])
    assert all(text in history for text in ("please do it", "hello from the tool", "First part done."))
    assert len({row.conversation for row in stage.bill}) == 1


@pytest.mark.parametrize(
    ("fault", "status", "error", "text", "more"),
    [
        ("unauthorized", 401, "authentication_failed", "Invalid API key", {}),
        ("unauthorized", 401, "authentication_failed", "/login", OAUTH),
        ("forbidden", 403, "authentication_failed", "Failed to authenticate", {}),
        ("billing", 400, "billing_error", "Credit balance is too low", {}),
        ("model_not_found", 404, "model_not_found", "selected model", {}),
        ("rate_limited", 429, "rate_limit", "Request rejected (429)", {}),
        ("usage_limit", 429, "rate_limit", "hit your 5-hour limit", OAUTH),
        ("overloaded", 529, "server_error", "529 Overloaded", {}),
        ("server_error", 500, "server_error", "500 Internal server error", {}),
        ({"status": 502, "body": "<html>Bad gateway</html>"}, 502, "server_error", "502", {}),
    ],
    ids=["401", "401-oauth", "403", "billing", "404", "429", "usage-limit", "529", "500", "502-html"],
)
def test_failures_of_the_api_end_as_the_research_says(tmp_path, fault, status, error, text, more):
    with Rehearsal(spoilt(fault)) as stage:
        run = claude("please do it", stage.url, tmp_path, CLAUDE_CODE_MAX_RETRIES="1", **more)
    assert (run.exit_code, run.result["subtype"], run.result["is_error"]) == (1, "success", True)
    assert (run.result["terminal_reason"], run.result["api_error_status"]) == ("api_error", status)
    assert text in run.text
    assert [event["error"] for event in run.of("assistant") if event.get("error")] == [error]
    assert model_usage(run) == billed(stage)


def test_a_used_up_subscription_names_its_reset(tmp_path):
    with Rehearsal(spoilt("usage_limit")) as stage:
        run = claude("please do it", stage.url, tmp_path, **OAUTH)
    told = [event["rate_limit_info"] for event in run.of("rate_limit_event")]
    assert (told[-1]["status"], told[-1]["rateLimitType"]) == ("rejected", "five_hour")
    assert isinstance(told[-1]["resetsAt"], int)


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        ({"kind": "overloaded", "times": 2}, [(200, True), (529, True), (529, True), (200, True), (200, True)]),
        ({"kind": "rate_limited", "times": 1, "headers": {"retry-after": "1"}}, [(200, True), (429, True), *[(200, True)] * 2]),
        ({"kind": "garbage", "times": 1}, [(200, True), (200, True), (200, False), (200, True)]),
        ({"sse_error": "overloaded_error"}, [(200, True), (200, True), (200, False), (200, True)]),
    ],
    ids=["529 twice", "429 once", "garbage", "error in the stream"],
)  # fmt: skip
def test_what_passes_is_got_over(tmp_path, fault, statuses):
    with Rehearsal(spoilt(fault)) as stage:
        run = claude("please do it", stage.url, tmp_path)
    assert (run.exit_code, run.text) == (0, "Done.")
    assert answers(stage) == statuses


def test_a_stream_that_stops_in_the_middle_is_asked_for_again_without_streaming(tmp_path):
    with Rehearsal(spoilt({"hang_mid": 1, "drop": True})) as stage:
        run = claude("please do it", stage.url, tmp_path, CLAUDE_CODE_MAX_RETRIES="0")
    assert (run.exit_code, run.text) == (0, "Done.")
    assert [(row.stream, row.cut) for row in stage.bill] == [(True, False), (True, True), (False, False), (True, False)]


def test_an_api_that_sends_no_byte_is_given_up_and_tried_again(tmp_path):
    with Rehearsal(spoilt({"hang": "forever", "times": 1})) as stage:
        run = claude("please do it", stage.url, tmp_path, API_TIMEOUT_MS="1500")
    assert (run.exit_code, run.text) == (0, "Done.")
    assert [event["error_status"] for event in run.of("system", "api_retry")] == [None]
    assert (len(stage.requests), len(stage.bill)) == (4, 3)


def test_a_long_prompt_is_compacted_and_the_script_goes_on(tmp_path):
    with Rehearsal(spoilt({"kind": "prompt_too_long", "times": 1})) as stage:
        run = claude("please do it", stage.url, tmp_path)
    assert (run.exit_code, run.text) == (0, "Done.")
    assert len(run.of("system", "compact_boundary")) == 1
    assert [(row.status, row.side) for row in stage.bill] == [
        (200, False), (400, False), (200, True), (200, False), (200, False),
    ]  # fmt: skip
    assert model_usage(run) == billed(stage)


def test_a_long_prompt_that_cannot_be_compacted_ends_the_session(tmp_path):
    with Rehearsal(script({"fault": "prompt_too_long"})) as stage:
        run = claude("please do it", stage.url, tmp_path)
    assert (run.result["terminal_reason"], run.result["api_error_status"]) == ("prompt_too_long", 400)
    assert "cannot be compacted" in run.text


def test_a_refusal_is_tried_once_more_and_then_said(tmp_path):
    with Rehearsal(spoilt("refusal")) as stage:
        run = claude("please do it", stage.url, tmp_path)
    assert (run.exit_code, run.result["stop_reason"], run.result["is_error"]) == (1, "refusal", True)
    assert len(run.of("system", "model_refusal_no_fallback")) == 1
    assert len(stage.bill) == 3


def test_an_empty_answer_is_a_success_that_says_nothing(tmp_path):
    with Rehearsal(spoilt("empty")) as stage:
        run = claude("please do it", stage.url, tmp_path)
    assert (run.exit_code, run.text, run.result["is_error"]) == (0, "", False)
    assert model_usage(run) == billed(stage)


@pytest.mark.parametrize(
    ("turn", "seen"),
    [
        ({"text": "Half a", "stop_reason": "max_tokens"}, "Half a"),
        ({"tools": [{"name": "Bash", "raw": '{"command": '}]}, "InputValidationError"),
    ],
    ids=["max_tokens", "broken tool input"],
)
def test_what_the_cli_mends_by_itself(tmp_path, turn, seen):
    with Rehearsal(script(turn, DONE)) as stage:
        run = claude("please do it", stage.url, tmp_path)
    assert (run.exit_code, run.text) == (0, "Done.")
    assert seen in str(run.events)


@pytest.mark.parametrize(
    ("flags", "subtype", "reason"),
    [
        (("--max-turns", "1"), "error_max_turns", "max_turns"),
        (("--max-budget-usd", "0.0001"), "error_max_budget_usd", "budget_exhausted"),
    ],
)
def test_limits_of_the_session(tmp_path, flags, subtype, reason):
    with Rehearsal(script({"tools": [BASH]}, DONE)) as stage:
        run = claude("please do it", stage.url, tmp_path, *flags)
    assert (run.result["subtype"], run.result["terminal_reason"]) == (subtype, reason)
    assert model_usage(run) == billed(stage)


def test_after_three_overloads_the_fallback_model_is_asked(tmp_path):
    fault = {"kind": "overloaded", "times": 3}
    flags = ("--model", "claude-opus-4-5", "--fallback-model", "claude-sonnet-4-5")
    with Rehearsal(spoilt(fault)) as stage:
        run = claude("please do it", stage.url, tmp_path, *flags, CLAUDE_CODE_MAX_RETRIES="5")
    assert len(run.of("system", "model_fallback")) == 1
    assert stage.bill[-1].model == "claude-sonnet-4-5"


def test_a_subagent_has_a_script_of_its_own(tmp_path):
    agent = {"description": "look", "prompt": "the part of the subagent", "subagent_type": "general-purpose"}
    sessions = [
        {"match": "the part of the subagent", "turns": [{"tools": [BASH]}, {"text": "Looked."}]},
        {"match": "do it", "turns": [{"tools": [{"name": "Agent", "input": agent}]}, DONE]},
    ]
    with Rehearsal({"sessions": sessions}) as stage:
        run = claude("please do it", stage.url, tmp_path, CLAUDE_CODE_DISABLE_BACKGROUND_TASKS="1")
    assert (run.exit_code, run.text) == (0, "Done.")
    assert "Looked." in str(run.events)
    assert model_usage(run) == billed(stage)
