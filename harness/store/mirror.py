"""`state/queue.json`: the queue to look at, and what is written over it is the wished queue (contract 2, H6, H47).

    our export --(an operator writes)--> edited --absorb--> applied, and exported anew
                                            `--> does not parse: left alone, named, never written over

What the file held when we last wrote it is kept in the database: only against that base can a missing item be told from
one that was not there yet. A file is taken as a whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from harness import fs
from harness.model.errors import HarnessError, Usage
from harness.model.itemform import WISHED, Form, mirror_row, new_item, parse_fields, rank_after
from harness.model.journal import Entry
from harness.model.work import UNFINISHED, WorkItem, WorkState
from harness.ports import Store

MIRRORED = 10_000
MOST_BYTES = 256 << 20
MASS = 1000
"""Items that one edit changes before which a backup is made."""
REMOVED = "removed from queue.json"
_BATCH = 5_000
_TOLD = 20
_EVERY = timedelta(seconds=1)
_SPACES = " \t\r\n"


class MirrorStore(Store, Protocol):
    """What a mirror needs besides the port: one transaction around several calls, and a place for the base."""

    def together(self) -> AbstractContextManager[None]: ...
    def journal_head(self) -> int: ...
    def mirror_base(self, path: str) -> tuple[str, str] | None: ...
    def keep_mirror_base(self, path: str, sha256: str, base: str, now: datetime) -> None: ...


@dataclass(slots=True)
class Absorbed:
    """What became of an edited file: ids, sentences about what was not done, and how to undo."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    detail: str = ""

    def told(self) -> dict[str, Any]:
        """What the journal keeps: numbers, the first of each list, and the way back."""
        lists = {"added": self.added, "updated": self.updated, "cancelled": self.cancelled, "reported": self.reported}
        first = {name: found[:_TOLD] for name, found in lists.items() if found}
        return {"counts": {name: len(found) for name, found in lists.items()}, **first, "detail": self.detail}

    def __bool__(self) -> bool:
        return bool(self.added or self.updated or self.cancelled or self.reported or self.problems)


class QueueMirror:
    """Both directions of one file. Blocking; used where the store is used."""

    def __init__(self, path: Path, store: MirrorStore) -> None:
        self.path = path
        self.problem = path.with_name(f"{path.name}.problem.txt")
        self._store = store
        self._head = -1
        self._due_at: datetime | None = None
        self._looked: tuple[tuple[int, int, int] | None, str | None] = (None, None)
        self._named: str | None = None

    # --- out ----------------------------------------------------------------------------------------------------------

    def export(self, now: datetime, *, last: bool = False) -> bool:
        """Write the first 10,000 unfinished items in order, if anything changed; whether it wrote.

        At most once a second and a tenth of the time, but for the `last` time of a loop. Never over something that is
        not ours: absorb that first.
        """
        head = self._store.journal_head()
        early = self._due_at is not None and now < self._due_at and not last
        if early or (head == self._head and self.path.exists()):
            return False
        began = time.perf_counter()
        kept, current = self._store.mirror_base(self.path.name), self._digest()
        if current is not None and (kept is None or current not in kept[0].split()):
            return False
        items = self._store.items(states=sorted(UNFINISHED), limit=MIRRORED)
        text = json.dumps([mirror_row(item) for item in items], indent=2, ensure_ascii=False, default=str) + "\n"
        wrote = self._write(text, current, now)
        self._head = self._store.journal_head() if wrote else head
        self._due_at = now + max(_EVERY, 10 * timedelta(seconds=time.perf_counter() - began))
        return wrote

    def _write(self, text: str, current: str | None, now: datetime) -> bool:
        digest = _sha256(text.encode())
        if digest == current:
            return False
        aside = self.path.with_name(f".{self.path.name}.aside")
        aside.unlink(missing_ok=True)
        if current is not None:
            aside.hardlink_to(self.path)
        # Both count as ours while we write: a crash in between must not look like an operator's edit.
        self._store.keep_mirror_base(self.path.name, f"{digest} {current or ''}".strip(), text, now)
        fs.replace(self.path, text)
        self._store.keep_mirror_base(self.path.name, digest, text, now)
        return not self._edited_meanwhile(aside, current)

    def _edited_meanwhile(self, aside: Path, current: str | None) -> bool:
        """An operator's write that met ours in the same instant is put back, to be absorbed."""
        edited = current is not None and _sha256(aside.read_bytes()) != current
        if edited:
            aside.replace(self.path)
        else:
            aside.unlink(missing_ok=True)
        return edited

    def _digest(self) -> str | None:
        """Of the file as it is; read only when its name, size or time changed. What is no file to read is not ours."""
        try:
            found = self.path.stat()
            seen = (found.st_ino, found.st_size, found.st_mtime_ns)
            if seen != self._looked[0]:
                self._looked = (seen, _unfit(found) or _sha256(self.path.read_bytes()))
        except FileNotFoundError:
            self._looked = (None, None)
        return self._looked[1]

    # --- in -----------------------------------------------------------------------------------------------------------

    def absorb(self, now: datetime, actor: str, form: Form | None = None) -> Absorbed:
        """Take what an operator wrote as the wished queue, in one transaction; nothing if the file is ours.

        `form` tells the known repositories and lanes. A file that cannot be taken is in `problems`, once as long as
        it stays the same, and in `queue.json.problem.txt`; the queue is as it was.
        """
        digest = self._digest()
        kept = self._store.mirror_base(self.path.name)
        if digest is None or digest == self._named or (kept is not None and digest in kept[0].split()):
            return Absorbed()
        try:
            # The gate is held from here: two programs that absorb at once must not add a list twice.
            with self._store.together():
                return self._apply(now, actor, form or Form())
        except Usage as exc:
            return self._name(digest, exc)

    def _name(self, digest: str, exc: HarnessError) -> Absorbed:
        self._named = digest
        sentence = f"{self.path.name}: {exc.message}" + (f" ({exc.hint})" if exc.hint else "")
        fs.replace(
            self.problem, f"{sentence}\nThe queue is as it was, and the file is left alone until it is mended.\n"
        )
        return Absorbed(problems=[sentence])

    def _apply(self, now: datetime, actor: str, form: Form) -> Absorbed:
        if (unfit := _unfit(self.path.stat())) is not None:
            raise Usage(unfit, hint=f"move {self.path} away; the loop writes it anew")
        raw = self.path.read_bytes()
        digest = _sha256(raw)
        kept = self._store.mirror_base(self.path.name)
        if kept is not None and digest in kept[0].split():
            return Absorbed()
        wish = _Wish(self._store, json.loads(kept[1]) if kept else [], form, now, actor)
        wish.take(documents(raw))
        if kept is not None and (missing := wish.missing()):
            backup = self._backup(kept[1], now)
            wish.cancel(missing)
            wish.result.detail = f"{len(missing)} cancelled; undo: cp {backup} {self.path}"
        if len(wish.result.added) + len(wish.result.updated) + len(wish.result.cancelled) >= MASS:
            self._keep_before(wish.result, now)
        self._store.keep_mirror_base(self.path.name, digest, wish.base(), now)
        if wish.result:
            self._store.note(Entry(now, "queue.absorbed", actor, data=wish.result.told()))
        self.problem.unlink(missing_ok=True)
        self._due_at, self._head, self._named = None, -1, None
        return wish.result

    def _keep_before(self, result: Absorbed, now: datetime) -> None:
        """The way back from a mass edit. This transaction is not committed: whoever reads now sees what was before."""
        # Here, not above: an order that changes little needs none of it.
        from harness.store.backup import Order, create  # noqa: PLC0415
        from harness.store.reading import database  # noqa: PLC0415

        kept = create(database(self.path.parent), self.path.parent / "backups", Order("import", now))
        way_back = f"kept before: ./loop backup restore {kept.id} --yes"
        result.detail = f"{result.detail}; {way_back}" if result.detail else way_back

    def _backup(self, text: str, now: datetime) -> Path:
        stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        target = self.path.parent / "backups" / f"{self.path.stem}-{stamp}.json"
        fs.replace(target, text, durable=True)
        return target


class _Wish:
    """One file being applied: what it says, what the base said, what the store has."""

    def __init__(self, store: Store, base: Sequence[Mapping[str, Any]], form: Form, now: datetime, actor: str) -> None:
        self.result = Absorbed()
        self._store, self._form, self._now, self._actor = store, form, now, actor
        self._base = {row["id"]: row for row in base}
        self._seen: set[str] = set()
        self._new: list[WorkItem] = []
        self._waiting: list[WorkItem] = []

    def take(self, wished: Iterable[Any]) -> None:
        for number, document in enumerate(wished, start=1):
            try:
                self._take(document)
            except Usage as exc:
                name = document.get("id") if isinstance(document, Mapping) else None
                where = f"item {number}" + (f" ({name})" if name else "")
                raise Usage(f"{where}: {exc.message}", hint=exc.hint) from exc
        # Last and together: they may depend on one another and on anything in the file.
        self._add(self._new + self._waiting)

    def _take(self, document: Any) -> None:
        fields = parse_fields(document, self._form)
        known = self._store.item(fields["id"]) if fields.get("id") else None
        if known is None:
            self._take_new(fields)
            return
        self._once(known.id)
        match known.state:
            case WorkState.LEASED:
                if self._changes(known, fields):
                    self.result.reported.append(f"{known.id} is being worked on: left as it is")
            case WorkState.CANCELLED if known.reason == REMOVED and known.fence == 0:
                self._store.move(known.id, WorkState.READY, "in queue.json again", actor=self._actor, now=self._now)
                # Its dependencies again, as given: whether it is ready or blocked follows from them.
                rewired = {"depends_on": known.depends_on} if known.depends_on else {}
                self._store.update(known.id, rewired | self._changes(known, fields), actor=self._actor, now=self._now)
                self.result.added.append(known.id)
            case WorkState.DONE | WorkState.CANCELLED | WorkState.PARKED:
                self.result.reported.append(f"{known.id} exists: {known.state}; ./loop queue retry {known.id}")
            case _:
                self._change(known, fields)
                self._refuse_state(known, document)

    def _once(self, item: str) -> None:
        if item in self._seen:
            raise Usage(f"{item} stands in the file twice", hint="give one of them another id, or take it out")
        self._seen.add(item)

    def _take_new(self, fields: Mapping[str, Any]) -> None:
        if not fields.get("title"):
            raise Usage("an item needs a title", hint='for example {"title": "Mend the parser"}')
        item = new_item(fields, self._form, self._now)
        self._once(item.id)
        (self._waiting if item.depends_on else self._new).append(item)
        if len(self._new) >= _BATCH:
            self._add(self._new)
            self._new = []

    def _add(self, items: Sequence[WorkItem]) -> None:
        answers = self._store.add(items, actor=self._actor, now=self._now) if items else ()
        for answer in answers:
            (self.result.added if answer.applied else self.result.reported).append(
                answer.id if answer.applied else answer.detail
            )

    def _change(self, item: WorkItem, fields: Mapping[str, Any]) -> None:
        changes = self._changes(item, fields)
        if not changes:
            return
        if changes.keys() & {"priority", "lane"}:
            changes["rank_at"] = rank_after(item, changes, self._form.lanes)
        self._store.update(item.id, changes, actor=self._actor, now=self._now)
        self.result.updated.append(item.id)

    def _changes(self, item: WorkItem, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What the operator changed against the base, as far as nobody else has changed it since."""
        base = parse_fields(self._base[item.id], Form()) if item.id in self._base else None
        changes: dict[str, Any] = {}
        for name in (name for name in WISHED if name in fields):
            wished, stored = fields[name], getattr(item, name)
            was = stored if base is None else base.get(name, _NOTHING[name])
            if name == "extra":
                wished = {**stored, **{key: value for key, value in wished.items() if was.get(key) != value}}
            if wished in (was, stored) or (wished is None and name in {"lane", "kind"}):
                continue
            if stored != was and name != "extra":
                self.result.reported.append(f"{item.id}: {name} was changed meanwhile to {stored!r}; that is kept")
                continue
            changes[name] = wished
        return changes

    def _refuse_state(self, item: WorkItem, document: Mapping[str, Any]) -> None:
        wished = document.get("state")
        if wished not in (None, item.state.value, self._base.get(item.id, {}).get("state")):
            hint = f"./loop queue park|remove|retry {item.id}"
            self.result.reported.append(f"{item.id}: state is not changed here; {hint}")

    def missing(self) -> Sequence[str]:
        """In the mirror last written, not in the file, and never started; started ones are reported."""
        found: list[str] = []
        for item in (self._store.item(name) for name in self._base if name not in self._seen):
            if item is None or item.state not in UNFINISHED:
                continue
            if item.fence == 0 and not item.by_hand:
                found.append(item.id)
            else:
                self.result.reported.append(f"{item.id} was started and is kept; ./loop queue remove {item.id}")
        return found

    def cancel(self, items: Sequence[str]) -> None:
        for item in items:
            self._store.move(item, WorkState.CANCELLED, REMOVED, actor=self._actor, now=self._now)
            self.result.cancelled.append(item)

    def base(self) -> str:
        """What the file means now, for the next edit before the next export."""
        named = (self._store.item(name) for name in sorted(self._seen)[:MIRRORED])
        return json.dumps([mirror_row(item) for item in named if item and item.state in UNFINISHED], default=str)


_NOTHING: Mapping[str, Any] = {name: getattr(WorkItem(id="none", title=""), name) for name in WISHED}


def documents(raw: bytes) -> Iterator[Any]:
    """The objects of a queue file one by one: a list, or `{"items": [...]}`. Raises Usage with line and column."""
    try:
        text = raw.decode("utf-8-sig")
        start = _skip(text, 0)
        if text[start : start + 1] == "{":
            whole = json.loads(text)
            if not isinstance(whole.get("items"), list):
                raise Usage("an object without a list of items", hint='a list of objects, or {"items": [...]}')
            yield from whole["items"]
            return
        yield from _elements(text, start)
    except UnicodeDecodeError as exc:
        raise Usage(f"not UTF-8 at byte {exc.start}", hint="save it as UTF-8") from exc
    except json.JSONDecodeError as exc:
        raise Usage(f"line {exc.lineno}, column {exc.colno}: {exc.msg}", hint="a JSON list of objects") from exc
    except (ValueError, RecursionError) as exc:
        raise Usage(f"not readable as JSON: {exc}", hint="numbers of a sane length, a few levels of nesting") from exc


def _elements(text: str, start: int) -> Iterator[Any]:
    """A long list is never held as objects all at once."""
    if text[start : start + 1] != "[":
        raise json.JSONDecodeError("a list was expected", text, min(start, len(text)))
    decoder, place = json.JSONDecoder(), _skip(text, start + 1)
    while text[place : place + 1] != "]":
        element, place = decoder.raw_decode(text, place)
        yield element
        place = _skip(text, place)
        if text[place : place + 1] == ",":
            place = _skip(text, place + 1)
            if text[place : place + 1] == "]":
                raise json.JSONDecodeError("a comma before the end of the list", text, place)
        elif text[place : place + 1] != "]":
            raise json.JSONDecodeError("a comma or the end of the list was expected", text, place)
    if (rest := _skip(text, place + 1)) != len(text):
        raise json.JSONDecodeError("something after the end of the list", text, rest)


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in _SPACES:
        place += 1
    return place


def _unfit(found: os.stat_result) -> str | None:
    """Why something called queue.json is not read: opening a pipe would wait for ever."""
    if not stat.S_ISREG(found.st_mode):
        return "not a plain file"
    return f"larger than {MOST_BYTES >> 20} MiB" if found.st_size > MOST_BYTES else None


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
