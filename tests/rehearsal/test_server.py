"""The endpoint over the wire, and the program that serves it."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness.model.errors import HarnessError
from harness.rehearsal.stage import Rehearsal

ROOT = Path(__file__).parents[2]
TOOL = {"name": "Bash", "input": {"command": "true"}}
USAGE = {"input": 3, "output": 5, "cache_read": 7, "cache_write_5m": 11, "cache_write_1h": 13}


def scenario(turn=None, **fault):
    return {
        "sessions": [
            {"default": True, "turns": [{"text": "Hello you.", **(turn or {}), **({"fault": fault} if fault else {})}]}
        ]
    }


def connect(url):
    return contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=5))


def ask(client, *, stream=True, path="/v1/messages?beta=true", **more):
    body = {
        "model": "m", "max_tokens": 32000, "stream": stream, "system": "be good",
        "tools": [{"name": "Bash"}], "messages": [{"role": "user", "content": "hi"}], **more,
    }  # fmt: skip
    client.request("POST", path, json.dumps(body), {"content-type": "application/json", "x-api-key": "sk-secret"})
    return client.getresponse()


def events(response):
    return [json.loads(line[6:]) for line in response.read().decode().splitlines() if line.startswith("data: ")]


def test_a_stream_tells_the_turn_in_the_order_of_the_api():
    with Rehearsal(scenario({"tools": [TOOL], "usage": USAGE})) as stage, connect(stage.url) as client:
        told = events(ask(client))
    kinds = [event["type"] for event in told]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert kinds == ["message_start", *block, *block, "message_delta", "message_stop"]
    assert told[0]["message"]["usage"]["output_tokens"] == 1
    assert json.loads(told[5]["delta"]["partial_json"]) == TOOL["input"]
    assert told[-2]["delta"]["stop_reason"] == "tool_use"
    assert told[-2]["usage"]["output_tokens"] == 5


def test_without_stream_the_answer_is_one_message():
    with Rehearsal(scenario({"usage": USAGE})) as stage, connect(stage.url) as client:
        answer = json.loads(ask(client, stream=False).read())
    assert answer["content"] == [{"type": "text", "text": "Hello you."}]
    assert answer["stop_reason"] == "end_turn"
    assert answer["usage"]["cache_creation"] == {"ephemeral_5m_input_tokens": 11, "ephemeral_1h_input_tokens": 13}
    assert answer["usage"]["cache_creation_input_tokens"] == 24


def test_what_was_answered_is_on_the_bill_in_memory_and_in_the_file(tmp_path):
    with serving(tmp_path, scenario({"usage": USAGE})) as (_process, url), connect(url) as client:
        events(ask(client))
        ask(client, stream=False).read()
    rows = [json.loads(line) for line in (tmp_path / "bill.jsonl").read_text().splitlines()]
    assert [{key: row[key] for key in USAGE} for row in rows] == [USAGE, USAGE]
    assert [(row["stream"], row["status"], row["side"], row["cut"]) for row in rows] == [
        (True, 200, False, False),
        (False, 200, False, False),
    ]


def test_requests_are_recorded_without_a_credential(tmp_path):
    with serving(tmp_path, scenario()) as (_process, url), connect(url) as client:
        ask(client).read()
    text = (tmp_path / "requests.jsonl").read_text()
    row = json.loads(text)
    assert "sk-secret" not in text
    assert "x-api-key" in row["headers"]
    assert (row["messages"], row["tools"], row["system_characters"], row["prompt"]) == (1, ["Bash"], 7, "hi")


def test_one_connection_serves_many_requests_and_unknown_ones_politely():
    with Rehearsal(scenario()) as stage, connect(stage.url) as client:
        for method in ("HEAD", "GET"):
            client.request(method, "/api/hello")
            response = client.getresponse()
            assert (response.status, bool(response.read())) == (404, method == "GET")
        counted = json.loads(ask(client, path="/v1/messages/count_tokens?beta=true").read())
        assert counted["input_tokens"] > 0
        assert events(ask(client))[-1]["type"] == "message_stop"
        assert len(stage.bill) == 1


def test_a_body_that_is_not_json_is_told_so():
    with Rehearsal(scenario()) as stage, connect(stage.url) as client:
        client.request("POST", "/v1/messages", "{")
        response = client.getresponse()
        assert (response.status, b"not JSON" in response.read()) == (400, True)


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("unauthorized", 401, "authentication_error"),
        ("forbidden", 403, "permission_error"),
        ("billing", 400, "invalid_request_error"),
        ("model_not_found", 404, "not_found_error"),
        ("rate_limited", 429, "rate_limit_error"),
        ("usage_limit", 429, "rate_limit_error"),
        ("overloaded", 529, "overloaded_error"),
        ("server_error", 500, "api_error"),
        ("prompt_too_long", 400, "invalid_request_error"),
    ],
)
def test_errors_have_the_status_and_type_of_the_api_and_cost_nothing(kind, status, error):
    with Rehearsal(scenario(kind=kind, headers={"x-mine": "1"})) as stage, connect(stage.url) as client:
        response = ask(client)
        told = json.loads(response.read())
    assert (response.status, told["error"]["type"], response.headers["x-mine"]) == (status, error, "1")
    assert [(row.status, row.input, row.output) for row in stage.bill] == [(status, 0, 0)]


def test_a_used_up_window_says_when_it_resets():
    with Rehearsal(scenario(kind="usage_limit", resets_in_seconds=600)) as stage, connect(stage.url) as client:
        headers = ask(client).headers
    assert headers["retry-after"] == "600"
    assert headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert abs(int(headers["anthropic-ratelimit-unified-reset"]) - time.time() - 600) < 30


def test_garbage_is_not_json():
    with Rehearsal(scenario(kind="garbage")) as stage, connect(stage.url) as client:
        response = ask(client)
        assert (response.status, response.read()[:6]) == (200, b"<html>")


def test_tool_input_may_be_broken_json():
    with (
        Rehearsal(scenario({"text": "", "tools": [{"name": "Bash", "raw": '{"command": '}]})) as stage,
        connect(stage.url) as client,
    ):
        told = events(ask(client))
    assert told[2]["delta"]["partial_json"] == '{"command": '


def test_hang_sends_no_byte_and_ends_with_the_client():
    with Rehearsal(scenario(hang="forever")) as stage:
        client = socket.create_connection(urlsplit(stage.url).netloc.split(":"), timeout=5)
        body = json.dumps({"model": "m", "max_tokens": 32000, "tools": [{}], "messages": []}).encode()
        client.sendall(b"POST /v1/messages HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        assert select.select([client], [], [], 0.3)[0] == []
        client.close()
    assert stage.bill == []


def test_a_hang_that_ends_is_followed_by_the_answer():
    with Rehearsal(scenario(hang=0.2)) as stage, connect(stage.url) as client:
        began = time.monotonic()
        told = events(ask(client))
        assert time.monotonic() - began >= 0.2
    assert told[-1]["type"] == "message_stop"


def test_a_dropped_stream_ends_inside_its_first_block_and_is_billed_as_cut():
    with Rehearsal(scenario(drop=True)) as stage, connect(stage.url) as client:
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            ask(client).read()
        with connect(stage.url) as again:
            assert json.loads(ask(again, stream=False).read())["stop_reason"] == "end_turn"
    assert [(row.stream, row.cut) for row in stage.bill] == [(True, True), (False, False)]


def test_a_stream_may_end_in_an_error_event():
    with Rehearsal(scenario(sse_error="overloaded_error")) as stage, connect(stage.url) as client:
        told = events(ask(client))
    assert [event["type"] for event in told][-1] == "error"
    assert told[-1]["error"]["type"] == "overloaded_error"


def test_hang_mid_goes_on_after_its_time():
    with Rehearsal(scenario(hang_mid=0.2)) as stage, connect(stage.url) as client:
        began = time.monotonic()
        assert events(ask(client))[-1]["type"] == "message_stop"
        assert time.monotonic() - began >= 0.2


def test_slow_waits_before_each_delta():
    with Rehearsal(scenario({"text": "x" * 100}, slow=0.1)) as stage, connect(stage.url) as client:
        began = time.monotonic()
        told = events(ask(client))
        assert time.monotonic() - began >= 0.3
    assert [event["type"] for event in told].count("content_block_delta") == 3


def test_leaving_ends_a_connection_that_hangs():
    with Rehearsal(scenario(hang="forever")) as stage:
        client = http.client.HTTPConnection(urlsplit(stage.url).netloc, timeout=5)
        client.request("POST", "/v1/messages", json.dumps({"max_tokens": 32000, "tools": [{}], "messages": []}))
        began = time.monotonic()
    assert time.monotonic() - began < 1
    client.close()


def test_a_port_that_is_taken_is_an_error_at_once():
    with Rehearsal(scenario()) as stage, pytest.raises(HarnessError, match="did not start"):
        Rehearsal(scenario(), port=urlsplit(stage.url).port).__enter__()


@contextlib.contextmanager
def serving(folder, played, *flags):
    """The program itself, with all its files in `folder`."""
    (folder / "scenario.yaml").write_text(json.dumps(played))
    command = [
        sys.executable, "-m", "harness.rehearsal", "--scenario", folder / "scenario.yaml", "--ready", folder / "url",
        "--bill", folder / "bill.jsonl", "--requests", folder / "requests.jsonl", *flags,
    ]  # fmt: skip
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.process
def test_the_program_says_its_url_and_ends_on_term_within_a_second(tmp_path):
    with serving(tmp_path, scenario(hang="forever")) as (process, url), connect(url) as client:
        assert (tmp_path / "url").read_text().strip() == url
        client.request("POST", "/v1/messages", json.dumps({"max_tokens": 32000, "tools": [{}], "messages": []}))
        process.send_signal(signal.SIGTERM)
        assert process.wait(1) == 0


@pytest.mark.process
def test_waiting_for_the_end_of_stdin_does_not_hinder_a_signal(tmp_path):
    with serving(tmp_path, scenario(), "--until-eof") as (process, _url):
        process.send_signal(signal.SIGTERM)
        assert process.wait(1) == 0
        assert process.stderr.read() == ""


@pytest.mark.process
def test_the_program_ends_with_whoever_started_it(tmp_path):
    with serving(tmp_path, scenario(), "--until-eof") as (process, _url):
        process.stdin.close()
        assert process.wait(1) == 0


@pytest.mark.process
def test_a_wrong_scenario_is_exit_78_and_names_the_key(tmp_path):
    with serving(tmp_path, {"sesions": []}) as (process, _url):
        assert process.wait(5) == 78
        assert "sesions: unknown key" in process.stderr.read()
