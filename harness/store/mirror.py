"""`state/queue.json`: the queue to look at, and what is written over it is the wished queue (contract 2, H6, H47).

    our export --(an operator writes)--> edited --absorb--> applied, and exported anew
                                            |--> in part: what was not taken is also a copy in state/conflicts
                                            `--> does not parse: left alone, named, never written over

What the file held when we last wrote it is kept in the database: only against that base can a missing item be told from
one that was not there yet. A file is taken as a whole or not at all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from harness import fs
from harness.model.errors import HarnessError, Usage
from harness.model.itemform import Form, mirror_row
from harness.model.journal import Entry
from harness.model.work import UNFINISHED
from harness.ports import Store
from harness.store.own_file import OwnFile, keep_conflict, sha256, unfit
from harness.store.wish import MIRRORED, Absorbed, Wish

__all__ = ["Absorbed", "MirrorStore", "QueueMirror", "documents"]

MASS = 1000
"""Items that one edit changes before which a backup is made."""
REMOVED = "removed from queue.json"
_EVERY = timedelta(seconds=1)
_LOOKED_AT = 1000
"""Entries of the journal that are looked at again with each export, at most."""
_ENCODE = json.JSONEncoder(ensure_ascii=False, default=str, separators=(",\n    ", ": ")).encode
_SPACES = " \t\r\n"


class MirrorStore(Store, Protocol):
    """What a mirror needs besides the port: one transaction around several calls, and a place for the base."""

    def together(self) -> AbstractContextManager[None]: ...
    def journal_head(self) -> int: ...
    def mirror_base(self, path: str) -> tuple[str, str] | None: ...
    def keep_mirror_base(self, path: str, sha256: str, base: str, now: datetime) -> None: ...
    def mirror_reach(self) -> tuple[str, int, str] | None: ...
    def keep_mirror_reach(self, sha256: str, head: int, last: str) -> None: ...
    def only_added_behind(self, last: str, head: int) -> bool: ...


class QueueMirror:
    """Both directions of one file. Blocking; used where the store is used."""

    def __init__(self, path: Path, store: MirrorStore) -> None:
        self._file = OwnFile(path, path.name, store)
        self.path = path
        self.problem = self._file.problem
        self._store = store
        self._head = -1
        self._due_at: datetime | None = None
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
        current = self._file.digest()
        if current is not None and not self._file.is_ours(current):
            return False
        wrote = not self._stands(current, head) and self._write(current, head, now)
        self._head = self._store.journal_head() if wrote else head
        self._due_at = now + max(_EVERY, 10 * timedelta(seconds=time.perf_counter() - began))
        return wrote

    def _stands(self, current: str | None, head: int) -> bool:
        """Whether all that happened since is behind the items that a full file shows."""
        reach = self._store.mirror_reach()
        if reach is None or reach[0] != current or not self._store.only_added_behind(reach[2], reach[1]):
            return False
        if head - reach[1] > _LOOKED_AT:
            self._store.keep_mirror_reach(reach[0], head, reach[2])
        return True

    def _write(self, current: str | None, head: int, now: datetime) -> bool:
        items = self._store.items(states=sorted(UNFINISHED), limit=MIRRORED)
        text = listing([mirror_row(item) for item in items])
        digest = sha256(text.encode())
        wrote = digest != current and self._file.write(text, text, current, now)
        if len(items) == MIRRORED:
            self._store.keep_mirror_reach(digest, head, items[-1].id)
        return wrote

    # --- in -----------------------------------------------------------------------------------------------------------

    def absorb(self, now: datetime, actor: str, form: Form | None = None) -> Absorbed:
        """Take what an operator wrote as the wished queue, in one transaction; nothing if the file is ours.

        `form` tells the known repositories and lanes. A file that cannot be taken is in `problems`, once as long as
        it stays the same, and in `queue.json.problem.txt`; the queue is as it was.
        """
        digest = self._file.digest()
        if digest is None or digest == self._named or self._file.is_ours(digest):
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
        self._file.name_problem(sentence, "The queue is as it was, and the file is left alone until it is mended.")
        return Absorbed(problems=[sentence])

    def _apply(self, now: datetime, actor: str, form: Form) -> Absorbed:
        if (flaw := unfit(self.path.stat())) is not None:
            raise Usage(flaw, hint=f"move {self.path} away; the loop writes it anew")
        raw = self.path.read_bytes()
        digest, base = sha256(raw), self._file.base()
        if self._file.is_ours(digest):
            return Absorbed()
        wish = Wish(self._store, json.loads(base) if base else [], form, now, actor, REMOVED)
        wish.take(documents(raw))
        if base is not None and (missing := wish.missing()):
            backup = self._backup(base, now)
            wish.cancel(missing)
            wish.result.add_detail(f"{len(missing)} cancelled; undo: cp {backup} {self.path}")
        if len(wish.result.added) + len(wish.result.updated) + len(wish.result.cancelled) >= MASS:
            self._keep_before(wish.result, now)
        if wish.unheard or not is_list(raw):
            copy = keep_conflict(self.path.parent, self.path.name, raw, now)
            wish.result.add_detail(f"not all of it was taken; as it was written: {copy}")
        self._file.keep(digest, wish.base(), now)
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
        result.add_detail(f"kept before: ./loop backup restore {kept.id} --yes")

    def _backup(self, text: str, now: datetime) -> Path:
        stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        target = self.path.parent / "backups" / f"{self.path.stem}-{stamp}.json"
        fs.replace(target, text, durable=True)
        return target


def listing(objects: Sequence[Mapping[str, Any]]) -> str:
    """A JSON list as `indent=2` lays it out. That has no C code, and takes four times as long."""
    if not objects:
        return "[]\n"
    return "[\n" + ",\n".join(map(_laid_out, objects)) + "\n]\n"


def _laid_out(fields: Mapping[str, Any]) -> str:
    if any(value and isinstance(value, (list, dict)) for value in fields.values()):
        return "  " + json.dumps(fields, indent=2, ensure_ascii=False, default=str).replace("\n", "\n  ")
    return "  {\n    " + _ENCODE(fields)[1:-1] + "\n  }"


def is_list(raw: bytes) -> bool:
    """Whether a file that was taken is nothing but items: an object may say more than we keep."""
    text = raw.decode("utf-8-sig").lstrip(_SPACES)
    return not text.startswith("{") or json.loads(text).keys() == {"items"}


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
