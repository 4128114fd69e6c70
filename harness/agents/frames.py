"""The frames of a Claude session (stream-json), written by agents that have no CLI, so that one decoder reads all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

Frame = dict[str, Any]
INPUT_TOKENS = 100


class FrameLog:
    """`docs/sessions/<id>.log`: one object a line with the time of receipt as `_at` (contract 2)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("ab", buffering=0)

    def write(self, frame: Mapping[str, Any], at: datetime) -> None:
        stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._file.write(json.dumps({"_at": stamp, **frame}, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        self._file.close()


class Conversation:
    """Makes the frames of one session and keeps its token count; costs nothing, because no model was asked."""

    def __init__(self, claude_session_id: str, model: str) -> None:
        self.id = claude_session_id
        self.model = model
        self.requests = 0
        self.output_tokens = 0

    def init(self, cwd: Path) -> Frame:
        return {"type": "system", "subtype": "init", "session_id": self.id, "cwd": str(cwd), "model": self.model}

    def assistant(self, block: Mapping[str, Any]) -> Frame:
        """One request that answered with this block; its usage is final, as in a transcript."""
        self.requests += 1
        tokens = max(1, len(str(block)) // 4)
        self.output_tokens += tokens
        message = {
            "id": f"msg_{self.id[-12:]}_{self.requests}",
            "role": "assistant",
            "model": self.model,
            "content": [dict(block)],
            "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn",
            "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": tokens},
        }
        return {"type": "assistant", "session_id": self.id, "parent_tool_use_id": None, "message": message}

    def tool_result(self, call: str, text: str, *, ok: bool) -> Frame:
        block = {"type": "tool_result", "tool_use_id": call, "is_error": not ok, "content": text}
        message = {"role": "user", "content": [block]}
        return {"type": "user", "session_id": self.id, "parent_tool_use_id": None, "message": message}

    def result(self, fields: Mapping[str, Any]) -> Frame:
        """The last frame; `fields` holds subtype, is_error, terminal_reason and what else an ending shows."""
        usage = {"input_tokens": INPUT_TOKENS * self.requests, "output_tokens": self.output_tokens}
        models = {
            self.model: {
                "inputTokens": usage["input_tokens"],
                "outputTokens": self.output_tokens,
                "cacheReadInputTokens": 0,
                "cacheCreationInputTokens": 0,
                "costUSD": 0,
            }
        }
        frame = {"type": "result", "session_id": self.id, "num_turns": self.requests, "duration_ms": 0}
        return {**frame, "duration_api_ms": 0, "total_cost_usd": 0, "usage": usage, "modelUsage": models, **fields}
