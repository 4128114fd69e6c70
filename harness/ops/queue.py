"""What an operator asks of the queue and orders in it (H6, H47), with the loop up or down.

Every order takes in what was written over `state/queue.json` first and writes the mirror anew afterwards, unless a loop
runs: then that loop does both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from harness.model.errors import HarnessError, Refused, Usage
from harness.model.home import Home
from harness.model.itemform import Form, item_document, item_row, mirror_row, parse_item, shown_priority
from harness.model.work import UNFINISHED, WorkItem, WorkState, priority
from harness.ops.answers import Change, Document, Rows
from harness.ops.books import edits_waiting, full_id, reading, reading_if_any, running, writing
from harness.ops.decisions import facts, next_step, open_question
from harness.ops.dossiers import dossier

if TYPE_CHECKING:
    from harness.store.mirror import Absorbed
    from harness.store.sqlite import SqliteStore

COLUMNS = ("id", "state", "priority", "kind", "lane", "repo", "attempts", "title", "reason")
EXPORTED = 100_000


@dataclass(frozen=True, slots=True)
class Desk:
    """Where and for whom the queue is worked on; `form` is what the configuration allows."""

    home: Home
    form: Form
    actor: str
    now: datetime


# --- looking ----------------------------------------------------------------------------------------------------------


def edited(home: Home) -> bool:
    """Whether there is something to be taken in that a person wrote, which a running loop does by itself."""
    with reading_if_any(home) as store:
        return not running(home) and edits_waiting(home, store)


def show(home: Home, now: datetime, *, finished: bool = False, limit: int = 50) -> Rows:
    """Items in the order of the queue; finished ones last, if wanted."""
    states = () if finished else sorted(UNFINISHED)
    with reading_if_any(home) as store:
        found = store.items(states=states, limit=limit + 1) if store is not None else []
    rows = [item_row(item) for item in found[:limit]]
    empty = "no items" if finished else "the queue is empty; finished items: ./loop queue show --all"
    return Rows("loop.queue/1", rows, now, COLUMNS, truncated=len(found) > limit, empty=empty)


def show_one(home: Home, given: str) -> Document:
    """Everything about one item. Raises NotFound."""
    with reading(home) as store:
        item = store.item(full_id(store, "item", given))
        assert item is not None
        asked = open_question(store, item.id) if item.state is WorkState.WAITING else None
    named: dict[str, Any] = {}
    if asked is not None:
        named["decision"] = {**facts(asked), "next": next_step(asked)}
    named |= {"dossier": str(home.dossiers / f"{item.id}.md")} if dossier(home, item) is not None else {}
    return Document("loop.item/1", {"item": item_document(item) | named})


def export(home: Home, now: datetime, *, finished: bool = False) -> Rows:
    """Items as they can be imported again."""
    states = () if finished else sorted(UNFINISHED)
    with reading_if_any(home) as store:
        found = store.items(states=states, limit=EXPORTED + 1) if store is not None else []
    rows = [mirror_row(item) for item in found[:EXPORTED]]
    return Rows("loop.queue-export/1", rows, now, truncated=len(found) > EXPORTED)


# --- orders -----------------------------------------------------------------------------------------------------------


@contextmanager
def order(desk: Desk) -> Iterator[tuple[SqliteStore, Absorbed]]:
    """The store for one order, with what people wrote into files taken in before, and the files written after."""
    # Here, not above: what writes loads the page of ports, which costs `queue show` a third of its CPU.
    from harness.store.inbox import Inbox  # noqa: PLC0415
    from harness.store.mirror import Absorbed  # noqa: PLC0415

    with writing(desk.home) as store:
        inbox = Inbox(desk.home, store)
        idle = not running(desk.home)
        absorbed = inbox.absorb(desk.now, desk.actor, desk.form) if idle else Absorbed()
        yield store, absorbed
        if idle:
            # Under the gate: of two commands at once, the later one writes the later queue.
            with store.together():
                inbox.export(desk.now, desk.actor, desk.form)


def notes_of(absorbed: Absorbed) -> tuple[str, ...]:
    """What the edits of the file came to, said beside the answer."""
    parts = {"added": absorbed.added, "updated": absorbed.updated, "cancelled": absorbed.cancelled}
    done = ", ".join(f"{len(ids)} {word} ({', '.join(ids[:5])})" for word, ids in parts.items() if ids)
    taken = (f"taken from what was edited: {done}",) if done else ()
    detail = (absorbed.detail,) if absorbed.detail else ()
    return (*taken, *detail, *absorbed.reported, *absorbed.problems)


def check(desk: Desk) -> Document:
    """Take in edits of the file, and name everything in the queue that could not be worked on (exit 1); beside it, what
    waits for another item though nothing is wrong with it: overlapping scopes, dependencies that failed.
    """
    from harness.ops.room import held_up, overlaps  # noqa: PLC0415 - looking needs none of it

    with order(desk) as (store, absorbed):
        items = store.items(states=sorted(UNFINISHED), limit=EXPORTED)
        counts = {state.value: number for state, number in store.counts().items()}
        waits = {"overlaps": overlaps(items, desk.form), "held": held_up(store)}
    taken = {name: getattr(absorbed, name) for name in ("added", "updated", "cancelled", "reported")}
    problems = [*absorbed.problems, *_unworkable(items, desk.form)]
    facts = {**taken, "detail": absorbed.detail, "problems": problems, **waits, "counts": counts}
    return Document("loop.queue-check/1", facts, exit_code=1 if problems else 0)


def _unworkable(items: Sequence[WorkItem], form: Form) -> Iterator[str]:
    for item in items:
        if item.repo is not None and form.repositories is not None and item.repo not in form.repositories:
            known = ", ".join(form.repositories) or "none"
            yield f"{item.id}: repository {item.repo!r} is not configured (known: {known})"
        if form.lanes is not None and item.lane not in form.lanes:
            yield f"{item.id}: lane {item.lane!r} is not configured (known: {', '.join(form.lanes)})"


def take_edits(desk: Desk) -> tuple[str, ...]:
    """Take in what was written over the file; what became of it, in sentences."""
    with order(desk) as (_store, absorbed):
        return notes_of(absorbed)


def add(desk: Desk, document: Mapping[str, Any]) -> Change:
    """Add one item. An id that exists: not applied, exit 1, naming its state (contract 3). The same as an open one: not
    applied, exit 0, naming that one. Raises Usage.
    """
    form = desk.form
    item = parse_item(document, form, desk.now)
    with order(desk) as (store, absorbed):
        (answer,) = store.add([item], actor=desk.actor, now=desk.now, apart=form.apart)
    detail = f"{answer.id} added: {answer.detail}" if answer.applied else answer.detail
    # Another id: it was found once more, and that is on record as asked.
    taken = answer.applied or answer.id != item.id
    return Change(answer.id, answer.applied, detail, exit_code=0 if taken else 1, notes=notes_of(absorbed))


def remove(desk: Desk, given: str) -> Change:
    """Cancel an item; its record stays. Raises NotFound, IllegalMove, Refused if it is being worked on."""
    return _move(desk, given, WorkState.CANCELLED, "removed")


def retry(desk: Desk, given: str) -> Change:
    """Make an item ready again, with at least one attempt left. Raises NotFound, Refused if it is being worked on."""
    return _move(desk, given, WorkState.READY, "retried")


def park(desk: Desk, given: str, reason: str) -> Change:
    """Set an item aside: nothing leases it until `unpark`. Raises NotFound, IllegalMove, Refused if it is worked on."""
    return _move(desk, given, WorkState.PARKED, "parked", reason)


def unpark(desk: Desk, given: str) -> Change:
    """Make a parked item ready again; its attempts stay counted, it gets one more. Raises NotFound, Refused."""
    with reading(desk.home) as store:
        item = store.item(full_id(store, "item", given))
    assert item is not None
    if item.state is not WorkState.PARKED:
        raise Refused(f"{item.id} is not parked, it is {item.state}", hint=f"./loop why {item.id}")
    return _move(desk, item.id, WorkState.READY, "unparked")


def _move(desk: Desk, given: str, state: WorkState, word: str, why: str = "") -> Change:
    with order(desk) as (store, absorbed):
        before = store.item(full_id(store, "item", given))
        assert before is not None
        notes = notes_of(absorbed)
        if before.state is state:
            return Change(before.id, applied=False, detail=f"{before.id} is {state} already", notes=notes)
        reason = f"{word} by {desk.actor}" + (f": {why}" if why else "")
        after = store.move(before.id, state, reason, actor=desk.actor, now=desk.now)
    left = f", attempt {after.attempts + 1} of {after.max_attempts}" if state is WorkState.READY else ""
    return Change(after.id, applied=True, detail=f"{after.id}: {before.state} -> {after.state}{left}", notes=notes)


def prioritise(desk: Desk, given: str, wished: str) -> Change:
    """Give an item another priority; its place in time moves by the difference. Raises NotFound, Usage, Refused."""
    number = priority(wished)
    with order(desk) as (store, absorbed):
        before = store.item(full_id(store, "item", given))
        assert before is not None
        notes = notes_of(absorbed)
        if before.priority == number:
            detail = f"{before.id} has priority {shown_priority(number)} already"
            return Change(before.id, applied=False, detail=detail, notes=notes)
        store.update(before.id, {"priority": number}, actor=desk.actor, now=desk.now)
    detail = f"{before.id}: priority {shown_priority(before.priority)} -> {shown_priority(number)}"
    return Change(before.id, applied=True, detail=detail, notes=notes)


def parsed(text: str, origin: str) -> Mapping[str, Any]:
    """An operator's JSON object. Raises Usage naming the place of the mistake."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise Usage(f"{origin} is not JSON: {exc}", hint='{"title": "…", "priority": "high"}') from exc
    if not isinstance(document, dict):
        raise Usage(f"{origin} is no JSON object", hint="several items: ./loop queue import FILE")
    return document


def problem_of(exc: HarnessError) -> str:
    """An error as a note beside an answer that is still worth having."""
    return f"{exc.message}" + (f" ({exc.hint})" if exc.hint else "")
