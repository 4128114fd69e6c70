"""Tasks: the queue by the words of `tasks/*.md`, with or without those files (R4)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from harness.model.errors import Refused
from harness.model.home import Home
from harness.model.itemform import item_document
from harness.model.taskpage import ACTIVE, BACKLOG, COMPLETED, Scribe, place_of
from harness.model.work import UNFINISHED, WorkItem, WorkState, priority_name
from harness.ops.answers import Change, Document, Rows
from harness.ops.books import full_id, reading, reading_if_any, running

if TYPE_CHECKING:
    from harness.ops.queue import Desk

LIST, ONE = "loop.tasks/1", "loop.task/1"
COLUMNS = ("id", "page", "state", "priority", "type", "repo", "assigned", "title", "summary")
_ORDER = (ACTIVE, BACKLOG, COMPLETED)
_OPEN = (*sorted(UNFINISHED), WorkState.PARKED)


def list_(home: Home, now: datetime, *, finished: bool = False, limit: int = 50) -> Rows:
    """What is to be done and what is being done, in the order of the queue; with `finished` the rest too."""
    with reading_if_any(home) as store:
        states = tuple(WorkState) if finished else _OPEN
        found = store.items(states=states, limit=limit + 1) if store is not None else []
    rows = sorted(map(facts, found[:limit]), key=lambda row: _ORDER.index(row["page"]))
    return Rows(LIST, rows, now, COLUMNS, truncated=len(found) > limit, empty="no tasks; ./loop queue add --title TEXT")


def facts(item: WorkItem) -> Mapping[str, Any]:
    """One row."""
    row: dict[str, Any] = {"id": item.id, "page": place_of(item), "state": item.state.value}
    row |= {"priority": priority_name(item.priority), "type": item.kind, "repo": item.repo, "assigned": item.assigned}
    return row | {"title": item.title, "summary": item.reason}


def show(home: Home, given: str, actor: str) -> Document:
    """One task: its page, its block in the documented shape, and everything about its item. Raises NotFound."""
    with reading(home) as store:
        item = store.item(full_id(store, "item", given))
    assert item is not None
    block = Scribe(actor).new(item).rstrip()
    return Document(ONE, {"page": place_of(item), "block": block, "item": item_document(item)})


def complete(desk: Desk, given: str, summary: str) -> Change:
    """A person says that a task is done: nothing proves it, so it ends claimed. Raises NotFound, Refused if it is
    worked on, with another person, or over.
    """
    from harness.ops.queue import notes_of, order  # noqa: PLC0415 - looking needs nothing that writes

    with order(desk) as (store, absorbed), store.together():
        item = store.item(full_id(store, "item", given))
        assert item is not None
        if place_of(item) == COMPLETED:
            raise Refused(f"{item.id} is over: {item.state}", hint=f"./loop why {item.id}")
        person = item.assigned if item.by_hand and item.assigned else desk.actor
        store.take(item.id, person, actor=desk.actor, now=desk.now)
        reason = f"completed by {person}" + (f": {summary}" if summary else "")
        store.settle_held(item.id, WorkState.DONE, reason, "claimed", desk.now)
    return Change(item.id, applied=True, detail=f"{item.id}: {reason}", notes=notes_of(absorbed))


def sync(desk: Desk) -> Document:
    """Take in what was written into the pages and write them; from the first time on they are kept. Exit 1 if a page
    cannot be taken.
    """
    from harness.ops.books import writing  # noqa: PLC0415
    from harness.store.inbox import Inbox  # noqa: PLC0415

    if desk.form.task_files is False:
        raise Refused("tasks are switched off in config.yaml", hint="tasks: {enabled: true}, or leave it out")
    with writing(desk.home) as store:
        inbox = Inbox(desk.home, store)
        inbox.begin_pages(desk.now)
        taken = inbox.absorb(desk.now, desk.actor, desk.form, at_once=True)
        if not running(desk.home):
            with store.together():
                inbox.export(desk.now, desk.actor, desk.form)
    lists = {name: getattr(taken, name) for name in ("added", "updated", "cancelled", "reported", "problems")}
    facts_ = {"folder": str(desk.home.pages), **lists, "detail": taken.detail}
    return Document("loop.task-sync/1", facts_, exit_code=1 if taken.problems else 0)
