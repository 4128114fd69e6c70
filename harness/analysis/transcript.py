"""The CLI's own transcript (`state/claude/projects/…/<uuid>.jsonl`): its ledger, and usage the stream does not show.

Most of a transcript is bookkeeping, so lines are looked at as bytes first: inside a JSON string quotes are escaped, and
`"type":"assistant"` cannot occur in text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.analysis.frames import Message, ModelUsage
from harness.analysis.usage import Ledger, Tokens, models_of, tokens_of


class _CostState(msgspec.Struct, frozen=True):
    type: str
    model_usage: dict[str, ModelUsage] = msgspec.field(name="modelUsage", default_factory=dict)
    api_ms: float | None = msgspec.field(name="totalAPIDuration", default=None)
    tool_ms: float | None = msgspec.field(name="totalToolDuration", default=None)


class _Assistant(msgspec.Struct, frozen=True):
    type: str
    message: Message


class _Subagent(msgspec.Struct, frozen=True):
    agent_type: str | None = msgspec.field(name="agentType", default=None)
    tool_use_id: str | None = msgspec.field(name="toolUseId", default=None)


_subagent = msgspec.json.Decoder(_Subagent)
_cost_state = msgspec.json.Decoder(_CostState)
_assistant = msgspec.json.Decoder(_Assistant)


def transcript_path(config: Path, claude_session_id: str) -> Path | None:
    """The transcript of a conversation under a CLAUDE_CONFIG_DIR; its folder depends on the CLI's way to name one."""
    found = sorted(config.glob(f"projects/*/{claude_session_id}.jsonl"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def ledger(transcript: Path | None) -> Ledger | None:
    """The last `cost-state` in a transcript, so a session's baseline when read at its spawn; None if there is none."""
    last = None
    if transcript is not None and transcript.exists():
        for line in _lines(transcript, b'"type":"cost-state"'):
            last = line
    if last is None:
        return None
    try:
        state = _cost_state.decode(last)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Ledger(models_of(state.model_usage), state.api_ms, state.tool_ms)


@dataclass(frozen=True, slots=True)
class Final:
    """Final usage of one request. `call` is the tool call that began its subagent, None in the main conversation."""

    id: str
    model: str
    tokens: Tokens
    call: str | None
    subagent: str | None


def final_usage(transcript: Path) -> Iterator[Final]:
    """Every request in a transcript and in those of its subagents, which nothing in the main file names (C2, C3)."""
    yield from _requests(transcript, None, None)
    folder = transcript.with_suffix("") / "subagents"
    for path in sorted(folder.glob("**/agent-*.jsonl")):
        about = _about(path.with_suffix(".meta.json"))
        yield from _requests(path, about.tool_use_id, about.agent_type)


def _requests(path: Path, call: str | None, subagent: str | None) -> Iterator[Final]:
    for line in _lines(path, b'"type":"assistant"'):
        try:
            message = _assistant.decode(line).message
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if message.usage is not None and message.stop_reason is not None and message.model != "<synthetic>":
            yield Final(message.id, message.model, tokens_of(message.usage), call, subagent)


def _about(path: Path) -> _Subagent:
    try:
        return _subagent.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Subagent()


def _lines(path: Path, wanted: bytes) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if wanted in line:
                yield line
