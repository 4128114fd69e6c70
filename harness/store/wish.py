"""A wished queue against the queue: what somebody wrote over a file is applied, as far as nobody else changed it since.

Three sides: the document of an item as it is wished, as the file held it last (the base), and the item in the store. A
file is taken as a whole or not at all; what is not taken of it is in `reported`, and `unheard` asks for a copy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harness.model.errors import Usage
from harness.model.itemform import OURS, WISHED, Form, mirror_row, new_item, parse_fields, rank_after
from harness.model.work import UNFINISHED, WorkItem, WorkState
from harness.ports import Store

MIRRORED = 10_000
_BATCH = 5_000
_TOLD = 20
_USUAL = frozenset({"", "pending", "open", "queued", *WorkState})
"""What a key of ours may say in a new item without anybody having meant more by it."""


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

    def add_detail(self, sentence: str) -> None:
        self.detail = f"{self.detail}; {sentence}" if self.detail else sentence

    def join(self, other: Absorbed) -> None:
        """What became of another file as well."""
        for name in ("added", "updated", "cancelled", "reported", "problems"):
            getattr(self, name).extend(getattr(other, name))
        if other.detail:
            self.add_detail(other.detail)

    def __bool__(self) -> bool:
        return bool(self.added or self.updated or self.cancelled or self.reported or self.problems)


class Wish:
    """One file being applied: what it says, what the base said, what the store has.

    `removed` is the reason of items that are cancelled because they are missing; `unheard`: something that was typed
    is neither in the store nor will be in the file.
    """

    def __init__(
        self, store: Store, base: Iterable[Mapping[str, Any]], form: Form, now: datetime, actor: str, removed: str
    ) -> None:
        self.result = Absorbed()
        self.unheard = False
        self._store, self._form, self._now, self._actor, self._removed = store, form, now, actor, removed
        self.base_rows = {row["id"]: row for row in base}
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
            self.unheard |= any(isinstance(document.get(key), str) and document[key] not in _USUAL for key in OURS)
            return
        self._once(known.id)
        self._listen(known, document)
        match known.state:
            case WorkState.LEASED:
                if self._changes(known, fields):
                    self.refuse(f"{known.id} is being worked on: left as it is")
            case WorkState.CANCELLED if known.reason == self._removed and known.fence == 0:
                self._store.move(known.id, WorkState.READY, "in the file again", actor=self._actor, now=self._now)
                # Its dependencies again, as given: whether it is ready or blocked follows from them.
                rewired = {"depends_on": known.depends_on} if known.depends_on else {}
                self._store.update(known.id, rewired | self._changes(known, fields), actor=self._actor, now=self._now)
                self.result.added.append(known.id)
            case WorkState.DONE | WorkState.CANCELLED | WorkState.PARKED:
                self.result.reported.append(f"{known.id} exists: {known.state}; ./loop queue retry {known.id}")
                self.unheard |= document != self.base_rows.get(known.id)
            case _:
                self._change(known, fields)
                self._refuse_state(known, document)

    def refuse(self, sentence: str) -> None:
        """Say what is not done about something that was typed."""
        self.result.reported.append(sentence)
        self.unheard = True

    def changed(self, item: str) -> None:
        """It went another way because somebody wanted it."""
        if item not in (*self.result.updated, *self.result.added):
            self.result.updated.append(item)

    def _listen(self, item: WorkItem, document: Mapping[str, Any]) -> None:
        """A value of ours that we never wrote there was typed by somebody. One that is merely old was not."""
        base, now = self.base_rows.get(item.id, {}), mirror_row(item)
        odd = {key: document[key] for key in OURS - {"state"} if document.get(key) is not None}
        for key, value in odd.items():
            old = isinstance(value, int) and value <= now.get(key, -1)
            if value not in (base.get(key), now.get(key)) and not old and not self._was_said(item.id, key, value):
                self.unheard = True

    def _was_said(self, item: str, key: str, value: Any) -> bool:
        return key == "reason" and any(
            value == each.data.get(key) for each in self._store.journal(item=item, limit=500)
        )

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
        apart = self._form.apart
        answers = self._store.add(items, actor=self._actor, now=self._now, apart=apart) if items else ()
        for answer in answers:
            if answer.applied:
                self.result.added.append(answer.id)
            else:
                self.refuse(answer.detail)

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
        base = parse_fields(self.base_rows[item.id], Form()) if item.id in self.base_rows else None
        changes: dict[str, Any] = {}
        for name in (name for name in WISHED if name in fields):
            wished, stored = fields[name], getattr(item, name)
            was = stored if base is None else base.get(name, _NOTHING[name])
            if name == "extra":
                wished = {**stored, **{key: value for key, value in wished.items() if was.get(key) != value}}
            if wished in (was, stored) or (wished is None and name in {"lane", "kind"}):
                continue
            if stored != was and name != "extra":
                self.refuse(f"{item.id}: {name} was changed meanwhile to {stored!r}; that is kept")
                continue
            changes[name] = wished
        return changes

    def _refuse_state(self, item: WorkItem, document: Mapping[str, Any]) -> None:
        wished = document.get("state")
        if wished not in (None, item.state.value, self.base_rows.get(item.id, {}).get("state")):
            hint = f"./loop queue park|remove|retry {item.id}"
            self.refuse(f"{item.id}: state is not changed here; {hint}")

    def missing(self) -> Sequence[str]:
        """In the mirror last written, not in the file, and never started; started ones are reported."""
        found: list[str] = []
        for item in (self._store.item(name) for name in self.base_rows if name not in self._seen):
            if item is None or item.state not in UNFINISHED:
                continue
            if item.fence == 0 and not item.by_hand:
                found.append(item.id)
            else:
                self.result.reported.append(f"{item.id} was started and is kept; ./loop queue remove {item.id}")
        return found

    def cancel(self, items: Sequence[str]) -> None:
        for item in items:
            self._store.move(item, WorkState.CANCELLED, self._removed, actor=self._actor, now=self._now)
            self.result.cancelled.append(item)

    def base(self) -> str:
        """What the file means now, for the next edit before the next export."""
        named = (self._store.item(name) for name in sorted(self._seen)[:MIRRORED])
        return json.dumps([mirror_row(item) for item in named if item and item.state in UNFINISHED], default=str)


_NOTHING: Mapping[str, Any] = {name: getattr(WorkItem(id="none", title=""), name) for name in WISHED}
