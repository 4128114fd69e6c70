"""The Desk as tools of the agent (contract 9): names, schemas, and what a call does."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.model.errors import HarnessError
from harness.ports import Desk, Reply

SERVER = "harness"
PREFIX = f"mcp__{SERVER}__"
Schema = Mapping[str, Any]

_ITEM: Schema = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "description": "one line"},
        "description": {"type": "string", "description": "what is wrong, where, and how to see it"},
        "kind": {"type": "string"},
        "priority": {"type": "string", "enum": ["critical", "high", "medium", "low"]},
    },
    "required": ["title"],
}


@dataclass(frozen=True, slots=True)
class DeskTool:
    name: str
    description: str
    schema: Schema
    call: Callable[[Mapping[str, Any]], Awaitable[Reply]]

    async def __call__(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What the model reads. An error of ours is an answer too: the agent can act on it."""
        try:
            reply = await self.call(_encodable(arguments))
        except HarnessError as exc:
            reply = Reply(accepted=False, text=f"{exc.message} {exc.hint}".strip())
        return {"content": [{"type": "text", "text": reply.text}], "is_error": not reply.accepted}


def desk_tools(desk: Desk) -> list[DeskTool]:
    """The four tools of contract 9, each answered at once by the Desk."""
    return [
        DeskTool(
            "report_progress",
            "Say in one or two sentences what you have done and what comes next. Call it after each step of the work; "
            "it is kept, and a later session goes on from it.",
            _object({"text": _text("what is done, what comes next")}, "text"),
            lambda given: desk.report_progress(str(given["text"])),
        ),
        DeskTool(
            "complete_work",
            "Say that the work has ended, as the last thing you do. done: everything is committed and ready to be "
            "judged by the gates. blocked: it cannot be done; the summary says what stands in the way. "
            "Uncommitted changes are refused: commit them first.",
            _object(
                {
                    "status": {"type": "string", "enum": ["done", "blocked"]},
                    "summary": _text("what was done and how it was checked, or what stands in the way"),
                },
                "status",
                "summary",
            ),
            lambda given: desk.complete_work(str(given["status"]), str(given["summary"])),
        ),
        DeskTool(
            "request_decision",
            "Put a question to a person when you must not decide yourself. It may take hours: afterwards commit what "
            "you have and end. The conversation goes on with the answer.",
            _object(
                {
                    "question": _text("one question with what is needed to answer it"),
                    "options": {"type": "array", "items": {"type": "string"}, "description": "the possible answers"},
                },
                "question",
            ),
            lambda given: desk.request_decision(str(given["question"]), tuple(map(str, given.get("options") or ()))),
        ),
        DeskTool(
            "add_work_item",
            "Put work that you found but that is not yours to do now into the queue.",
            _object({"item": _ITEM}, "item"),
            lambda given: desk.add_work_item(given["item"]),
        ),
    ]


def _encodable(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same with halves of surrogate pairs replaced, which a model can write and no database takes."""
    clean: dict[str, Any] = json.loads(json.dumps(arguments, ensure_ascii=False).encode(errors="replace"))
    return clean


def _object(properties: Schema, *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _text(what: str) -> Schema:
    return {"type": "string", "description": what}
