"""The decoder over frames in the shapes of CLI 2.1.329; tests/claude compares it with what the endpoint billed."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.analysis import timeline
from harness.analysis.metrics import SCHEMA, last_texts, metrics
from harness.analysis.transcript import ledger, transcript_path

CONTRACT_KEYS = set(
    """session_id claude_session_id parent work_item kind repo attempt model outcome ending ended_by
started_at ended_at wall_seconds api_seconds tool_seconds turns requests tokens by_model cost_usd cost_basis unattributed
complete tools errors retries stalls subagents prompt commits gates""".split()  # noqa: SIM905 - as the contract has them
)

Frame = dict[str, Any]


def at(seconds: float) -> str:
    return f"2026-11-21T04:{int(seconds) // 60:02d}:{seconds % 60:06.3f}Z"


def write(path: Path, frames: Iterable[Frame | bytes]) -> Path:
    lines = [f if isinstance(f, bytes) else json.dumps(f).encode() for f in frames]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def usage(i: int = 0, o: int = 0, read: int = 0, five: int = 0, hour: int = 0) -> Frame:
    return {
        "input_tokens": i,
        "output_tokens": o,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": five + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
    }


def start(name: str, tokens: Frame, parent: str | None = None) -> Frame:
    message = {"id": name, "model": "m", "content": [], "usage": {**tokens, "output_tokens": 1}}
    return {
        "type": "stream_event",
        "parent_tool_use_id": parent,
        "event": {"type": "message_start", "message": message},
    }


def delta(tokens: Frame, parent: str | None = None) -> Frame:
    event = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": tokens}
    return {"type": "stream_event", "parent_tool_use_id": parent, "event": event}


def assistant(name: str, block: Frame, when: float = 1, parent: str | None = None, **more: Any) -> Frame:
    message = {"id": name, "model": "m", "content": [block], "stop_reason": None, "usage": usage(o=2)}
    return {"_at": at(when), "type": "assistant", "parent_tool_use_id": parent, "message": message} | more


def call(tool_id: str, name: str = "Bash", **arguments: Any) -> Frame:
    return {"type": "tool_use", "id": tool_id, "name": name, "input": arguments or {"command": "make"}}


def answer(tool_id: str, when: float, text: Any = "ok", *, error: bool | None = False) -> Frame:
    block = {"type": "tool_result", "tool_use_id": tool_id, "is_error": error, "content": text}
    return {
        "_at": at(when),
        "type": "user",
        "parent_tool_use_id": None,
        "message": {"role": "user", "content": [block]},
    }


def models(i: int, o: int, cost: float = 0.1, **more: Any) -> Frame:
    row = {"inputTokens": i, "outputTokens": o, "cacheReadInputTokens": 0, "cacheCreationInputTokens": 0}
    return {"m": {**row, "costUSD": cost, "costBasis": "list", **more}}


def result(ledger: Frame, when: float = 9, **more: Any) -> Frame:
    frame = {
        "_at": at(when),
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "num_turns": 2,
        "result": "Done.",
    }
    return {**frame, "duration_api_ms": 1500, "modelUsage": ledger} | more


INIT = {
    "_at": at(0),
    "type": "system",
    "subtype": "init",
    "session_id": "uuid",
    "model": "m",
    "claude_code_version": "2",
}


def test_every_key_of_the_contract_is_there_and_unknown_is_null(tmp_path: Path) -> None:
    got = metrics(write(tmp_path / "ses_1.log", [INIT]))
    assert got["schema"] == SCHEMA
    assert set(got) >= CONTRACT_KEYS
    assert got["session_id"] == "ses_1"
    assert got["claude_session_id"] == "uuid"
    assert got["cost_usd"] is None
    assert got["outcome"] is None
    assert got["complete"] is False


def test_a_request_counts_once_with_its_final_usage(tmp_path: Path) -> None:
    frames = [
        start("a", usage(100, read=5, five=7, hour=9)),
        assistant("a", {"type": "text", "text": "I look"}),
        assistant("a", call("t")),
        delta({"output_tokens": 40}),
    ]
    got = metrics(write(tmp_path / "ses_1.log", frames))
    assert got["requests"] == 1
    assert got["tokens"] == {"input": 100, "output": 40, "cache_read": 5, "cache_write_5m": 7, "cache_write_1h": 9}


def test_the_last_ledger_counts_not_the_sum_of_results(tmp_path: Path) -> None:
    got = metrics(write(tmp_path / "ses_1.log", [result(models(10, 5, 0.25)), result(models(30, 9, 0.75))]))
    assert (got["tokens"]["input"], got["tokens"]["output"]) == (30, 9)
    assert got["cost_usd"] == "0.75"
    assert got["cost_basis"] == "list"
    assert got["complete"] is True


def test_results_that_tell_what_came_since_the_last_one_are_added(tmp_path: Path) -> None:
    """A resumed CLI goes on from the ledger of the transcript (2.1.329), whatever the baseline."""
    first = result(models(110, 15, 1.1), model_usage_since_last_result=models(10, 5, 0.1))
    second = result(models(130, 19, 1.3), model_usage_since_last_result=models(20, 4, 0.2))
    got = metrics(write(tmp_path / "ses_1.log", [first, second]))
    assert (got["tokens"]["input"], got["tokens"]["output"], got["cost_usd"]) == (30, 9, "0.3")


@pytest.mark.parametrize(("before", "tokens", "cost"), [((10, 5, 0.1), 20, "0.2"), ((90, 90, 0.9), 30, "0.3")])
def test_the_baseline_is_taken_off_unless_the_counter_began_anew(
    tmp_path: Path, before: tuple[int, int, float], tokens: int, cost: str
) -> None:
    state = {"type": "cost-state", "totalAPIDuration": 1000, "totalToolDuration": 0, "modelUsage": models(*before)}
    transcript = tmp_path / "uuid.jsonl"
    transcript.write_text(json.dumps(state, separators=(",", ":")) + "\n")
    got = metrics(write(tmp_path / "ses_1.log", [result(models(30, 9, 0.3))]), baseline=ledger(transcript))
    assert got["tokens"]["input"] == tokens
    assert got["cost_usd"] == cost
    assert got["api_seconds"] == 0.5


def test_cost_is_exact_and_null_for_a_price_the_cli_does_not_know(tmp_path: Path) -> None:
    two = {**models(1, 1, 0.1), "n": models(1, 1, 0.2)["m"]}
    assert metrics(write(tmp_path / "a.log", [result(two)]))["cost_usd"] == "0.3"
    unknown = models(1, 1, 0.2, costBasis="unknown")
    assert metrics(write(tmp_path / "b.log", [result(unknown)]))["cost_usd"] is None


def test_what_came_after_the_last_result_is_added_and_the_record_is_incomplete(tmp_path: Path) -> None:
    frames = [assistant("a", call("t")), result(models(30, 9)), start("b", usage(7)), delta({"output_tokens": 3})]
    got = metrics(write(tmp_path / "ses_1.log", frames))
    assert (got["tokens"]["input"], got["tokens"]["output"]) == (37, 12)
    assert got["complete"] is False
    assert got["cost_basis"] == "partial"


def test_what_the_ledger_has_and_no_message_shows_is_unattributed(tmp_path: Path) -> None:
    frames = [
        start("a", usage(100)),
        delta({"output_tokens": 40}),
        {"type": "system", "subtype": "compact_boundary"},
        result(models(2100, 740)),
    ]
    rest = metrics(write(tmp_path / "ses_1.log", frames))["unattributed"]
    assert (rest["tokens"]["input"], rest["tokens"]["output"], rest["cause"]) == (2000, 700, "compaction")


def test_a_synthetic_message_is_no_request(tmp_path: Path) -> None:
    frame = assistant("x", {"type": "text", "text": "API Error: 529"}, error="server_error")
    frame["message"]["model"] = "<synthetic>"
    got = metrics(write(tmp_path / "ses_1.log", [frame, result({}, is_error=True, api_error_status=529)]))
    assert got["requests"] == 0
    assert [error["class"] for error in got["errors"]] == ["api_server_error", "api_529"]


def test_subagents_are_completed_from_their_own_files(tmp_path: Path) -> None:
    agent = call("t", "Agent", description="look", subagent_type="Explore")
    inner = assistant("s1", call("u"), parent="t", subagent_type="Explore")
    log = write(tmp_path / "ses_1.log", [assistant("a", agent), inner, answer("t", 5), result(models(50, 20))])
    transcript = tmp_path / "uuid.jsonl"
    transcript.write_text("")
    folder = tmp_path / "uuid" / "subagents"
    folder.mkdir(parents=True)
    for name, tool in (("agent-1", "t"), ("agent-2", "a call of an earlier session")):
        (folder / f"{name}.meta.json").write_text(json.dumps({"agentType": "Explore", "toolUseId": tool}))
        messages = [
            {"type": "assistant", "message": {"id": f"s{n}", "model": "m", "stop_reason": "x", "usage": usage(10, n)}}
            for n in ((1, 2) if tool == "t" else (8, 9))
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(m, separators=(",", ":")) for m in messages))
    assert metrics(log)["subagents"] == [{"type": "Explore", "requests": 1, "tokens": None}]
    got = metrics(log, transcript=transcript)
    assert got["requests"] == 3
    assert got["subagents"][0]["requests"] == 2
    assert got["subagents"][0]["tokens"]["output"] == 3


def test_tools_have_counts_and_latencies(tmp_path: Path) -> None:
    frames = [
        assistant("a", call("t1"), 1),
        assistant("a", call("t2"), 2),
        assistant("a", call("t3", "Read", file_path="x"), 2),
        answer("t1", 5),
        answer("t2", 3, "Exit code 2", error=True),
    ]
    got = metrics(write(tmp_path / "ses_1.log", frames))
    bash, read = got["tools"]
    assert bash == {
        "name": "Bash", "calls": 2, "errors": 1, "open": 0,
        "latency_seconds": {"p50": 1.0, "p95": 4.0, "max": 4.0, "total": 5.0},
    }  # fmt: skip
    assert read["open"] == 1
    assert read["latency_seconds"] is None
    assert got["tool_seconds"] == 4.0
    assert got["wall_seconds"] == 4.0
    assert got["errors"] == [{"class": "exit_code", "evidence": "line 5: Exit code 2"}]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Exit code 143\nCommand timed out after 2m", "tool_timeout"),
        ("<tool_use_error>InputValidationError: Bash failed", "invalid_input"),
        ([{"type": "text", "text": "denied by policy: no push"}], "denied"),
        ("no idea", "tool_error"),
    ],
)
def test_a_failed_tool_has_a_class(tmp_path: Path, text: Any, kind: str) -> None:
    log = write(tmp_path / "ses_1.log", [assistant("a", call("t")), answer("t", 2, text, error=True)])
    (failure,) = timeline.errors(log)
    assert (failure.kind, failure.line, failure.tool) == (kind, 2, "Bash")


def test_a_missing_flag_is_no_error(tmp_path: Path) -> None:
    log = write(tmp_path / "ses_1.log", [assistant("a", call("t")), answer("t", 2, error=None)])
    assert list(timeline.errors(log)) == []


def test_retries_are_counted_and_are_no_failures(tmp_path: Path) -> None:
    retry = {
        "_at": at(2),
        "type": "system",
        "subtype": "api_retry",
        "attempt": 1,
        "retry_delay_ms": 500,
        "error_status": 529,
        "error": "overloaded",
    }
    log = write(tmp_path / "ses_1.log", [retry, retry | {"error_status": None}])
    got = metrics(log)
    assert (got["retries"], got["errors"]) == (2, [])
    assert [row.what for row in timeline.timeline(log)] == [
        "overloaded (529), attempt 1",
        "overloaded (no answer), attempt 1",
    ]


TORN = b'{"_at":"2026-11-21T04:00:01.000Z","type":"assistant","message":{"id":"z'
BAD_LINES = {
    "torn": TORN,
    "garbage": b"\xff\xfe\x00garbage",
    "not an object": b"[1, 2]",
    "wrapped": b'{"_at":"2026-11-21T04:00:01.000Z","_raw":"[SandboxDebug] x"}',
    "deep": b"[" * 50_000,
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_counted_and_the_rest_is_read(tmp_path: Path, name: str) -> None:
    got = metrics(write(tmp_path / "ses_1.log", [INIT, BAD_LINES[name], result(models(1, 2))]))
    assert got["unreadable_lines"] == 1
    assert got["tokens"]["output"] == 2


def test_nul_padding_and_carriage_returns_are_not_errors(tmp_path: Path) -> None:
    got = metrics(write(tmp_path / "ses_1.log", [json.dumps(INIT).encode() + b"\r", b"\0\0\0", b"", TORN]))
    assert got["unreadable_lines"] == 1
    assert got["claude_session_id"] == "uuid"


def test_types_of_a_newer_cli_are_counted_not_fatal(tmp_path: Path) -> None:
    strange = {"type": "assistant", "message": "a string now"}
    got = metrics(write(tmp_path / "ses_1.log", [{"type": "hologram"}, strange, result(models(1, 2))]))
    assert got["unknown_types"] == {"hologram": 1}
    assert got["unreadable_lines"] == 0
    assert got["tokens"]["output"] == 2


def test_a_line_of_60_megabytes_is_read(tmp_path: Path) -> None:
    big = answer("t", 2, "x" * 60_000_000)
    got = metrics(write(tmp_path / "ses_1.log", [assistant("a", call("t")), big, result(models(1, 2))]))
    assert got["tools"][0]["open"] == 0


def test_a_capped_log_is_not_complete(tmp_path: Path) -> None:
    cut = b'{"_at":"2026-11-21T04:00:01.000Z","_truncated":true}'
    got = metrics(write(tmp_path / "ses_1.log", [result(models(1, 2)), cut]))
    assert got["complete"] is False
    assert got["unreadable_lines"] == 0


def test_a_packed_log_reads_the_same(tmp_path: Path) -> None:
    plain = write(tmp_path / "ses_1.log", [INIT, assistant("a", call("t")), result(models(1, 2))])
    before = metrics(plain)
    (tmp_path / "ses_1.log.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert metrics(plain) == before
    assert metrics(tmp_path / "ses_1.log.gz") == before


def test_timeline_and_transcript_tell_the_session(tmp_path: Path) -> None:
    log = write(
        tmp_path / "ses_1.log",
        [
            INIT,
            assistant("a", {"type": "text", "text": "I look"}),
            assistant("a", call("t"), 2),
            answer("t", 3.5),
            result({}),
        ],
    )
    rows = list(timeline.timeline(log))
    assert [row.kind for row in rows] == ["start", "text", "tool", "tool_end", "result"]
    assert (rows[3].what, rows[3].ok, rows[3].seconds) == ("make", True, 1.5)
    assert [(u.role, u.text) for u in timeline.transcript(log)] == [
        ("agent", "I look"),
        ("tool", '{"command": "make"}'),
        ("result", "ok"),
    ]
    assert last_texts(log) == ["I look"]
    (tool,) = timeline.tools(log)
    assert (tool.name, tool.seconds) == ("Bash", 1.5)


def test_follow_gives_rows_as_lines_are_completed(tmp_path: Path) -> None:
    """The writer is the injected sleep: half a line, then its rest, then the end."""
    log = tmp_path / "ses_1.log"
    line = json.dumps(INIT).encode()
    steps = iter([line[:20], line[20:] + b"\n", json.dumps(result({})).encode() + b"\n"])
    waits: list[float] = []
    over: list[bool] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        step = next(steps, None)
        if step is None:
            over.append(True)
        else:
            with log.open("ab") as file:
                file.write(step)

    rows = list(timeline.follow(log, lambda: bool(over), sleep=sleep))
    assert [row.kind for row in rows] == ["start", "result"]
    assert max(waits) <= timeline.IDLE_POLL_SECONDS


def test_follow_gives_up_when_the_log_never_comes(tmp_path: Path) -> None:
    assert list(timeline.follow(tmp_path / "none.log", lambda: True)) == []


def test_the_transcript_is_found_whatever_the_cli_calls_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "projects" / "-some-where" / "uuid.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"type":"cost-state","modelUsage":{}\n')
    assert transcript_path(tmp_path, "uuid") == path
    assert transcript_path(tmp_path, "other") is None
    assert ledger(path) is None
    assert ledger(None) is None


def test_reading_commands_import_nothing_slow() -> None:
    code = "import sys, harness.analysis.metrics, harness.analysis.timeline; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"asyncio", "pydantic", "claude_agent_sdk", "structlog", "sqlite3", "gzip"}
