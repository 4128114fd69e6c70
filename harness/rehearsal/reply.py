"""The Messages API's answers as bytes: a JSON body, or the events of a stream."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from harness.rehearsal.conversation import tool_id
from harness.rehearsal.director import Cue
from harness.rehearsal.scenario import ERROR_TYPES, Fault, Usage

_DELTA_CHARACTERS = 40


def stop_reason(cue: Cue) -> str:
    return cue.turn.stop_reason or ("tool_use" if cue.turn.tools else "end_turn")


def message(cue: Cue, model: str) -> dict[str, Any]:
    """The whole answer, as `stream: false` gets it."""
    return {
        **_envelope(cue, model),
        "content": [_whole(block) for block in _blocks(cue)],
        "stop_reason": stop_reason(cue),
        "usage": billed_usage(cue.usage),
    }


def events(cue: Cue, model: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The answer as the stream tells it: name and data of each event, output tokens final only in `message_delta`."""
    start = billed_usage(cue.usage) | {"output_tokens": 1}
    yield "message_start", {"message": {**_envelope(cue, model), "content": [], "stop_reason": None, "usage": start}}
    for index, block in enumerate(_blocks(cue)):
        yield "content_block_start", {"index": index, "content_block": _opened(block)}
        for delta in _deltas(block):
            yield "content_block_delta", {"index": index, "delta": delta}
        yield "content_block_stop", {"index": index}
    final = {"stop_reason": stop_reason(cue), "stop_sequence": None}
    yield "message_delta", {"delta": final, "usage": billed_usage(cue.usage)}
    yield "message_stop", {}


def frame(name: str, data: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


def error(kind: str, text: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": text}}


def failure(fault: Fault, model: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer that fails before the model speaks."""
    status = fault.status or 500
    headers = {**_limit_headers(fault), **fault.headers}
    if fault.body is not None:
        return status, {"content-type": "text/html", **headers}, fault.body.encode()
    kind = fault.error_type or ERROR_TYPES.get(status, "api_error")
    body = json.dumps(error(kind, fault.message.replace("{model}", model)))
    return status, {"content-type": "application/json", **headers}, body.encode()


def billed_usage(usage: Usage) -> dict[str, Any]:
    """The API's names for the numbers of a scenario."""
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output,
        "service_tier": "standard",
    }


def _limit_headers(fault: Fault) -> dict[str, str]:
    """What the API adds when a subscription's window is used up."""
    if fault.resets_in_seconds is None:
        return {}
    reset = str(int(time.time()) + fault.resets_in_seconds)
    unified = {"status": "rejected", "reset": reset, "representative-claim": "five_hour", "5h-reset": reset}
    return {f"anthropic-ratelimit-unified-{name}": value for name, value in unified.items()} | {
        "retry-after": str(fault.resets_in_seconds)
    }


def _envelope(cue: Cue, model: str) -> dict[str, Any]:
    identity = f"msg_r{cue.index}_{uuid.uuid4().hex[:12]}"
    return {"id": identity, "type": "message", "role": "assistant", "model": model, "stop_sequence": None}


def _blocks(cue: Cue) -> list[dict[str, Any]]:
    salt = uuid.uuid4().hex[:10]
    texts = [{"type": "text", "text": cue.turn.text}] if cue.turn.text else []
    calls = [
        {
            "type": "tool_use",
            "id": tool_id(cue.index, number, salt),
            "name": tool.name,
            "input": tool.input,
            "raw": tool.raw if tool.raw is not None else json.dumps(tool.input),
        }
        for number, tool in enumerate(cue.turn.tools)
    ]
    return [*texts, *calls]


def _whole(block: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key != "raw"}


def _opened(block: Mapping[str, Any]) -> dict[str, Any]:
    return {**_whole(block), **({"text": ""} if block["type"] == "text" else {"input": {}})}


def _deltas(block: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    kind, key = ("text_delta", "text") if block["type"] == "text" else ("input_json_delta", "partial_json")
    whole = block["text"] if block["type"] == "text" else block["raw"]
    for start in range(0, len(whole), _DELTA_CHARACTERS):
        yield {"type": kind, key: whole[start : start + _DELTA_CHARACTERS]}
