"""Reading what the CLI sent: which conversation it is, and how far its script has been played.

A conversation is followed by its message history, never by connection or memory, so a resumed session, a restarted
server and a retried request all meet the turn that comes next. Tool calls carry their turn in their id; turns of text
alone are found again by their text; a compacted conversation carries its place in the summary that we wrote for it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.rehearsal.scenario import Session, Turn

Json = dict[str, Any]

_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
_PLACE = re.compile(r"\[rehearsal: session (\d+), turn (\d+)\]")
_TOOL_ID = re.compile(r"toolu_r(\d+)t(\d+)c")
_SIDE_TOKENS = 1024  # a session asks for 32,000 and more
_COMPACTION = "create a detailed summary of"


@dataclass(frozen=True)
class Request:
    """One `POST /v1/messages`: its path and parsed body, and the names of its headers with the few values we use."""

    body: Json
    session_header: str = ""

    @property
    def model(self) -> str:
        return str(self.body.get("model", "unknown"))

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream", False))

    @property
    def messages(self) -> Sequence[Json]:
        return self.body.get("messages") or ()

    @cached_property
    def prompt(self) -> str:
        """The text of the first user message, without what the CLI adds to it."""
        first = next((message for message in self.messages if message.get("role") == "user"), {})
        return _REMINDER.sub("", _text(first)).strip()

    @cached_property
    def last(self) -> str:
        """The text of the newest user message."""
        return next((_text(message) for message in reversed(self.messages) if message.get("role") == "user"), "")

    @property
    def compacting(self) -> bool:
        return _COMPACTION in self.last

    @property
    def titling(self) -> bool:
        """Whether an answer in a given JSON form is wanted; a session gets that through a tool instead."""
        return not self.body.get("tools") and "format" in (self.body.get("output_config") or {})

    @property
    def side(self) -> bool:
        """Whether the CLI asks for itself: a quota probe, a title, a summary. Such requests play no turn."""
        small = "haiku" in self.model or int(self.body.get("max_tokens") or 0) <= _SIDE_TOKENS
        return self.compacting or self.titling or (small and not self.body.get("tools"))

    @cached_property
    def place(self) -> tuple[int, int] | None:
        """Session and turn written into the summary of a compacted conversation, if this is one."""
        found = _PLACE.search(self.prompt)
        return (int(found[1]), int(found[2])) if found else None

    @cached_property
    def conversation(self) -> str:
        """The CLI's session id; for a client that sends none, a digest of the first prompt."""
        return self.session_header or _session_id(self.body) or hashlib.sha256(self.prompt.encode()).hexdigest()[:12]


def tool_id(turn: int, call: int, salt: str) -> str:
    """An id that names its turn, unique in the conversation even when a failed turn is asked for again."""
    return f"toolu_r{call}t{turn}c{salt}"


def place_mark(session: int, turn: int) -> str:
    return f"[rehearsal: session {session}, turn {turn}]"


def played(request: Request, session: Session) -> int:
    """How many turns of `session` the history holds, so the index of the one that comes next."""
    turn = request.place[1] if request.place else 0
    if not session.turns:
        return 0
    for message in request.messages:
        if message.get("role") != "assistant":
            continue
        named = max((int(number) for number in _turns_named(message)), default=-1)
        if named >= 0:
            turn = max(turn, named + 1)
        elif _is_text_of(message, session.turns, turn, repeat=session.repeat):
            turn += 1
    return turn


def _turns_named(message: Json) -> Iterator[str]:
    for block in _blocks(message):
        found = _TOOL_ID.match(str(block.get("id", ""))) if block.get("type") == "tool_use" else None
        if found:
            yield found[2]


def _is_text_of(message: Json, turns: Sequence[Turn], index: int, *, repeat: bool) -> bool:
    if index >= len(turns) and not repeat:
        return False
    text = turns[index % len(turns)].text
    return bool(text) and text in _text(message)


def _blocks(message: Json) -> Sequence[Json]:
    content = message.get("content", "")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)]


def _text(message: Json) -> str:
    return "\n".join(str(block.get("text", "")) for block in _blocks(message) if block.get("type") == "text")


def _session_id(body: Mapping[str, Any]) -> str:
    """`metadata.user_id` is JSON with a `session_id` in it, or in older CLIs a string that ends in one."""
    user = str((body.get("metadata") or {}).get("user_id", ""))
    if user.startswith("{"):
        return str(json.loads(user).get("session_id", ""))
    return user.rpartition("_session_")[2]
