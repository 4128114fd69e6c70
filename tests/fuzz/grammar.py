"""Frames as the CLI writes them, and what can become of them: odd values, lost keys, torn and foreign bytes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

RECORDED = Path(__file__).parents[1] / "data" / "replay"
IDS = {"uuid": "u-1", "session_id": "s-1"}
MODELS = {"m": {"inputTokens": 5, "outputTokens": 7, "cacheReadInputTokens": 0, "cacheCreationInputTokens": 0, "costUSD": 0.01}}  # fmt: skip
USAGE = {"input_tokens": 5, "output_tokens": 7, "cache_creation": {"ephemeral_5m_input_tokens": 1}}


def _message(kind: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    message = {"id": "msg_1", "role": kind, "model": "m", "content": list(blocks), "stop_reason": None, "usage": USAGE}
    return {"type": kind, "message": message, "parent_tool_use_id": None, **IDS}


def _system(subtype: str, **more: Any) -> dict[str, Any]:
    return {"type": "system", "subtype": subtype, **IDS, **more}


def _stream(**event: Any) -> dict[str, Any]:
    return {"type": "stream_event", "event": event, "parent_tool_use_id": None, **IDS}


FRAMES: tuple[dict[str, Any], ...] = (
    _system("init", model="m", claude_code_version="2.1.329"),
    _system("status", status="requesting"),
    _system("status", status="compacting"),
    _system("compact_boundary"),
    _system("api_retry", error="overloaded", error_status=529, retry_delay_ms=1200.5, attempt=2),
    _system("permission_denied", tool_name="Bash", reason="rules"),
    _system("session_state_changed", state="idle"),
    _system("task_started", task_id="t-1", description="a task", tool_use_id="c-1"),
    _system("task_updated", task_id="t-1", patch={"status": "completed"}),
    _system("task_notification", task_id="t-1", status="completed", output_file="f", summary="s"),
    _stream(type="message_start", message={"id": "msg_1", "model": "m", "usage": USAGE}),
    _stream(type="content_block_delta", delta={"type": "text_delta", "text": "a"}),
    _stream(type="message_delta", usage={"output_tokens": 9}),
    _message("assistant", {"type": "text", "text": "I begin."}),
    _message("assistant", {"type": "thinking", "thinking": "so", "signature": "x"}),
    _message("assistant", {"type": "tool_use", "id": "c-1", "name": "Bash", "input": {"command": "make", "timeout": 9}}),
    _message("user", {"type": "tool_result", "tool_use_id": "c-1", "content": "Exit code 1", "is_error": True}),
    _message("user", {"type": "tool_result", "tool_use_id": "c-1", "content": [{"type": "text", "text": "ok"}]}),
    {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1e9, "rateLimitType": "five_hour", "utilization": 1}, **IDS},
    {"type": "result", "subtype": "success", "is_error": False, "duration_ms": 1, "duration_api_ms": 1, "num_turns": 1, "result": "ok",
     "total_cost_usd": 0.01, "modelUsage": MODELS, "model_usage_since_last_result": MODELS, "terminal_reason": "completed", **IDS},
    {"type": "conversation_reset", "new_conversation_id": "n", **IDS},
    {"type": "control_response", "response": {"subtype": "success"}},
    {"type": "of_a_newer_cli", "field": [1]},
)  # fmt: skip

WORDS = st.sampled_from(["", "requesting", "idle", "tool_use", "tool_result", "text", "Bash", "Agent", "<synthetic>", "c-1", "msg_1", "NaN",
                         "Infinity", "1e999", "2026-01-01T00:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "\ud800", "\udfff!", "\0", "é☃🙂"])  # fmt: skip
NUMBERS = st.sampled_from(
    [
        0,
        -1,
        2**31,
        2**63,
        -(2**64),
        10**30,
        10**400,
        0.0,
        -0.0,
        1e308,
        1e-320,
        float("nan"),
        float("inf"),
        float("-inf"),
    ]
)
SCALARS = st.none() | st.booleans() | WORDS | NUMBERS | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
"""Whatever JSON can say, and what Python's `json` writes and reads beyond it."""


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, each in inner for path in ((*at, key), *places(each, (*at, key)))]


def changed(value: Any, place: tuple[Any, ...], new: Any, *, lost: bool) -> Any:
    """A copy with another value, or none, at a place that it has."""
    whole = copy.deepcopy(value)
    inner = whole
    for key in place[:-1]:
        inner = inner[key]
    if lost:
        del inner[place[-1]]
    else:
        inner[place[-1]] = new
    return whole


def recorded() -> list[dict[str, Any]]:
    """One frame of each shape in the recorded sessions, so that real ones are mutated too."""
    shapes: dict[str, dict[str, Any]] = {}
    for log in sorted(RECORDED.glob("*.log")):
        for line in log.read_bytes().splitlines():
            frame = json.loads(line)
            shapes.setdefault(str(sorted(map(str, places(frame)))[:60]), frame)
    return list(shapes.values())


SEEDS = (*FRAMES, *recorded())


@st.composite
def frames(draw: st.DrawFn, most: int = 2) -> dict[str, Any]:
    """A frame with up to `most` mutations."""
    frame: Any = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, most))):
        inside = places(frame)
        if inside:
            frame = changed(frame, draw(st.sampled_from(inside)), draw(VALUES), lost=draw(st.integers(0, 4)) == 0)
    return frame


STAMP = '{"_at":"2026-11-21T04:00:0%d.000Z",'


@st.composite
def logs(draw: st.DrawFn) -> bytes:
    """A session log: stamped frames, foreign bytes between them, and perhaps torn at the end."""
    lines = []
    for n in range(draw(st.integers(0, 6))):
        frame = json.dumps(draw(frames()))
        lines.append(frame if draw(st.booleans()) else STAMP % n + frame[1:])
    raw = bytearray("\n".join(lines).encode() + b"\n")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=6) | st.sampled_from([b"\n", b"\\ud83d", b"\xff", b"[" * 50])
        )
    return bytes(raw[: draw(st.integers(0, len(raw)))] if draw(st.booleans()) else raw)


BOMBS = {
    "deep lists": b"[" * 25_000 + b"]" * 25_000,
    "deep objects": b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
    "never closed": b"[" * 50_000,
    "long number": b"9" * 50_000,
    "long exponent": b"1e" + b"9" * 5_000,
    "half a pair": b'"\\ud83d"',
    "not a number": b"NaN",
}
"""Values that parsers choke on."""
