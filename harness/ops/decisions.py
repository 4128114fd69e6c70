"""Questions of agents to a person: which there are, and the answer (C11). With the loop running or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from harness.model.decision import OPEN, Decision, ended, is_command
from harness.model.decisionform import until
from harness.model.errors import NotFound
from harness.model.home import Home
from harness.ops.answers import Change, Document, Rows
from harness.ops.books import full_id, reading, reading_if_any
from harness.store.asked import decision_known, decisions, decisions_of
from harness.store.reader import StoreReader

if TYPE_CHECKING:
    from harness.ops.queue import Desk

LIST, ONE = "loop.decisions/1", "loop.decision/1"
COLUMNS = ("id", "item", "state", "question", "options", "deadline_at", "on_timeout", "answer")


def list_(home: Home, now: datetime, *, ended_too: bool = False, limit: int = 50) -> Rows:
    """Open questions, oldest first; with `ended_too` all, newest first."""
    with reading_if_any(home) as store:
        found = decisions(store, ended=ended_too, limit=limit + 1) if store is not None else []
    rows = [facts(each) for each in found[:limit]]
    return Rows(LIST, rows, now, COLUMNS, truncated=len(found) > limit, empty="nobody asks anything")


def show(home: Home, given: str) -> Document:
    """A question by its number, or the last one of an item. Raises NotFound."""
    with reading(home) as store:
        found = find(store, given)
    return Document(ONE, {"decision": {**facts(found), "next": next_step(found)}})


def answer(desk: Desk, given: str, text: str) -> Change:
    """Take an answer. Raises NotFound; Usage for none; Refused if it is answered already, naming who and when."""
    from harness.ops.queue import notes_of, order  # noqa: PLC0415 - looking needs nothing that writes

    with order(desk) as (store, absorbed):
        found = find(store, given)
        after = store.answer(found.id, text, by=desk.actor, via="command", now=desk.now)
    detail = f"decision {after.id} of {after.item}: {after.answer}\n{after.item} is ready: its next session is told"
    return Change(str(after.id), applied=True, detail=detail, notes=notes_of(absorbed))


def find(store: StoreReader, given: str) -> Decision:
    """By number; else the last question of an item, by its id or a unique beginning of it. Raises NotFound."""
    if given.isdecimal() and len(given) < 19 and (found := decision_known(store, int(given))) is not None:
        return found
    try:
        item = full_id(store, "item", given)
    except NotFound as exc:
        raise NotFound(f"there is no decision {given}", hint="./loop decision list --all") from exc
    asked = decisions_of(store, item)
    if not asked:
        raise NotFound(f"{item} has asked nothing", hint="./loop decision list")
    return asked[-1]


def facts(found: Decision) -> Mapping[str, Any]:
    """One row, for programs and people."""
    names = ("id", "item", "state", "question", "session", "asked_at", "deadline_at", "on_timeout")
    how = ("answer", "answered_at", "answered_by", "via", "reason")
    return {name: getattr(found, name) for name in (*names, *how)} | {"options": list(found.options)}


def next_step(found: Decision) -> str:
    """What a person can do about it; how it ended, if it has."""
    return "\n".join(ways(found)) if found.state == OPEN else ended(found)


def ways(found: Decision) -> Iterator[str]:
    """How an open question is answered, and what happens if it is not."""
    commands = [option for option in found.options if is_command(option)]
    yield from commands
    yield f"{'or in words' if commands else 'answer'}: ./loop decision answer {found.id} TEXT"
    if found.deadline_at is not None:
        yield f"until {until(found)}"


def open_question(store: StoreReader, item: str) -> Decision | None:
    """What an item waits for a person to say."""
    return next((each for each in reversed(decisions_of(store, item)) if each.state == OPEN), None)
