"""Items that people have elsewhere: JSON, JSON Lines, the guide's queue.json, tasks in markdown (H6, H25).

All of a file or none. Whatever is wrong is named with its place, and an id that exists is left as it is, so that the
same file ten times is the same queue.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from harness.model.errors import Usage
from harness.model.itemform import parse_item
from harness.model.work import WorkItem
from harness.ops.answers import Change
from harness.ops.books import reading_if_any
from harness.ops.queue import Desk, notes_of, order

if TYPE_CHECKING:
    from harness.store.sqlite import SqliteStore

MARKDOWN = (".md", ".markdown")
MOST_NAMED = 20
"""Mistakes and known items that are listed; the rest is a number."""
SHAPES = 'a list of objects, {"items": [...]}, one object a line, or tasks in markdown'


class Record(NamedTuple):
    """One item as it was found. `place` is for people: `item 3`, `item 3 on line 5`, `line 12`."""

    place: str
    document: Any


# --- reading ----------------------------------------------------------------------------------------------------------


def records(raw: bytes, name: str) -> Iterator[Record]:
    """What a file holds, told by its name and its first character. Raises Usage with line and column."""
    text = raw.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text:
        raise Usage(f"{name} is empty", hint=SHAPES)
    if name.lower().endswith(MARKDOWN) or text[:1] not in b"[{":
        yield from _of_markdown(raw, name)
    else:
        yield from _of_json(raw)


def _of_json(raw: bytes) -> Iterator[Record]:
    lines = [(number, line) for number, line in enumerate(raw.splitlines(), start=1) if line.strip()]
    first = _object_in(lines[0][1])
    if first is not None and isinstance(first.get("rows"), list) and len(lines) == 1:
        yield from _numbered(first["rows"])
    elif first is not None and not isinstance(first.get("items"), list):
        for count, (number, line) in enumerate(lines, start=1):
            yield Record(f"item {count} on line {number}", _line(number, line))
    else:
        from harness.store.mirror import documents  # noqa: PLC0415 - see `queue.order`

        yield from _numbered(documents(raw))


def results(raw: bytes) -> Iterator[Record]:
    """What a jq expression made, one result a line."""
    for number, line in enumerate(raw.splitlines(), start=1):
        try:
            yield Record(f"result {number}", json.loads(line))
        except (ValueError, RecursionError) as exc:
            shown = line[:60].decode(errors="replace")
            raise Usage(f"result {number} is no object: {shown}", hint="make an object: .[] | {id, title}") from exc


def _numbered(documents: Any) -> Iterator[Record]:
    return (Record(f"item {number}", document) for number, document in enumerate(documents, start=1))


def _object_in(line: bytes) -> dict[str, Any] | None:
    if not line.lstrip(b"\xef\xbb\xbf \t").startswith(b"{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _line(number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise Usage(f"line {number}: {exc}", hint="one JSON object a line") from exc


def _of_markdown(raw: bytes, name: str) -> Iterator[Record]:
    """Tasks that are not done; what is done is no work."""
    from harness.model.taskmd import blocks, document_of  # noqa: PLC0415 - for such files alone

    try:
        page = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise Usage(f"{name} is not UTF-8 at byte {exc.start}", hint="save it as UTF-8") from exc
    found = blocks(page)
    if not found:
        raise Usage(f"{name} has no task and is no JSON", hint="### [task-001] TITLE, or - [ ] TITLE; else " + SHAPES)
    for block in found:
        if not block.done:
            yield Record(f"line {block.line}", document_of(block))


# --- adding -----------------------------------------------------------------------------------------------------------


def import_(desk: Desk, found: Iterator[Record], name: str, *, dry_run: bool = False) -> Change:
    """Add all items, or none if one is wrong. Ids that exist are left as they are and named.

    Exit 1 if every item was known already. Raises Usage naming place and mistake of each that is wrong.
    """
    wished = _parsed(found, desk)
    from harness.store.mirror import MASS  # noqa: PLC0415 - see `queue.order`

    kept = () if dry_run or len(wished) < MASS else _kept_before(desk)
    with order(desk) as (store, absorbed), _tried(store) if dry_run else store.together():
        answers = store.add(wished, actor=desk.actor, now=desk.now, apart=desk.form.apart)
    added = [answer.id for answer in answers if answer.applied]
    known = [answer.detail for answer in answers if not answer.applied]
    word = "would be added" if dry_run else "added"
    detail = "\n".join([f"{len(added)} {word}, {len(known)} left as they are", *_first(known)])
    done = bool(added) and not dry_run
    failed = bool(known) and not added
    return Change(name, done, detail, dry_run, exit_code=1 if failed else 0, notes=(*kept, *notes_of(absorbed)))


def _first(lines: Sequence[str]) -> list[str]:
    more = len(lines) - MOST_NAMED
    return [*lines[:MOST_NAMED], *([f"… and {more} more"] if more > 0 else [])]


def _parsed(found: Iterator[Record], desk: Desk) -> list[WorkItem]:
    wished: list[WorkItem] = []
    wrong: list[Usage] = []
    for record in found:
        try:
            wished.append(parse_item(record.document, desk.form, desk.now))
        except Usage as exc:
            given = record.document.get("id") if isinstance(record.document, Mapping) else None
            where = record.place + (f" ({given})" if given else "")
            wrong.append(Usage(f"{where}: {exc.message}", hint=exc.hint))
    if not wrong:
        return wished
    others = f" ({len(wrong) - 1} more are wrong)" if len(wrong) > 1 else ""
    cause = "\n".join(_first([each.message for each in wrong])) if len(wrong) > 1 else ""
    raise Usage(f"{wrong[0].message}{others}; nothing was imported", hint=wrong[0].hint, cause=cause)


class _Undo(Exception):
    """Ends a transaction that was only tried."""


@contextmanager
def _tried(store: SqliteStore) -> Iterator[None]:
    """Everything inside happens and is taken back."""
    try:
        with store.together():
            yield
            _undo()
    except _Undo:
        return


def _undo() -> NoReturn:
    raise _Undo


def _kept_before(desk: Desk) -> tuple[str, ...]:
    """The way back from a mass import; an empty queue needs none."""
    with reading_if_any(desk.home) as store:
        if store is None or not any(store.counts().values()):
            return ()
    from harness.ops.backups import keep  # noqa: PLC0415 - a look at the queue needs none of it

    return (f"kept before: ./loop backup restore {keep(desk.home, 'import', desk.now).id} --yes",)
