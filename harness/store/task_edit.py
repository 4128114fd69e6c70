"""An edit of the task pages against the queue: what was typed becomes wishes, starts and completions (R4).

A block without an id gets one; a changed field is wished; a block that moved to `active` was started by a person, to
`completed` is done; one that is gone was removed. What cannot be had is in `reported` and asks for a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from harness.model.errors import Refused, Usage
from harness.model.itemform import ALIASES, Form, parse_fields
from harness.model.taskmd import Block, Piece, with_fields, with_id
from harness.model.taskpage import (
    ACTIVE,
    BACKLOG,
    COMPLETED,
    NOBODY,
    PAGES,
    Scribe,
    blocks,
    blocks_of,
    joined,
    ours_of,
    same_words,
    wish_of,
)
from harness.model.work import WorkItem, WorkState
from harness.ports import Store
from harness.store.wish import Wish

REMOVED = "removed from tasks/*.md"
_OVER = frozenset({WorkState.DONE, WorkState.CANCELLED})
_UNNAMED = frozenset({"", NOBODY, "nobody", "none", "-"})


class NumberedStore(Store, Protocol):
    def next_block_id(self, now: datetime) -> str:
        """An id `task-NNN` that no item has."""
        ...


@dataclass(slots=True)
class PageEdit:
    """`before` are the pages as they stood last, `after` as they stand now, `edited` the names of those that differ."""

    store: NumberedStore
    before: Mapping[str, str]
    after: Mapping[str, str]
    edited: Sequence[str]
    form: Form
    now: datetime
    actor: str
    wish: Wish = field(init=False)
    _pages: dict[str, list[Piece]] = field(init=False)
    _known: dict[str, tuple[str, Block]] = field(init=False)

    def __post_init__(self) -> None:
        self.wish = Wish(self.store, [], self.form, self.now, self.actor, REMOVED)
        self._pages = {name: blocks(self.after[name]) for name in PAGES}
        self._known = {block.id: (name, block) for name in PAGES for block in blocks_of(self.before[name]) if block.id}

    def apply(self) -> Mapping[str, str]:
        """Everything but what is missing; the pages as they should be then. Raises Usage naming page and line."""
        for name in self.edited:
            if name != COMPLETED:
                self._number(name)
        placed = self._placed()
        self.wish.take(document for name, block in placed for document in self._wished(name, block))
        for name, block in placed:
            self._move(name, block)
        return {name: joined(self._pages[name]) for name in PAGES}

    def missing(self) -> Sequence[str]:
        """What somebody took off a page that was edited, and was never begun."""
        there = {block.id for name in PAGES for block in self._blocks(name)}
        gone = [task for task, (name, _) in self._known.items() if name in self.edited and name != COMPLETED]
        self.wish.base_rows |= {task: {"id": task} for task in gone if task not in there}
        return self.wish.missing()

    def _blocks(self, name: str) -> Iterator[Block]:
        return (piece for piece in self._pages[name] if isinstance(piece, Block))

    def _number(self, name: str) -> None:
        """Ids for those that have none; never one that somebody wrote down."""
        pieces, written = self._pages[name], {block.id for page in PAGES for block in self._blocks(page)}
        for at, piece in enumerate(pieces):
            if isinstance(piece, Block) and piece.id is None:
                given = next(
                    each for each in iter(lambda: self.store.next_block_id(self.now), "") if each not in written
                )
                pieces[at] = with_id(piece, given)

    def _placed(self) -> list[tuple[str, Block]]:
        """The blocks of edited pages. One that stands on another page as well leaves that if nobody touched it there.

        Raises Usage if it stands twice where somebody wrote.
        """
        found: dict[str, tuple[str, Block]] = {}
        for name in self.edited:
            for block in self._blocks(name):
                assert block.id is not None or name == COMPLETED
                if block.id is not None and block.id in found:
                    where = f"tasks/{found[block.id][0]}.md and tasks/{name}.md, line {block.line}"
                    raise Usage(f"{block.id} stands twice: {where}", hint="take one of them out")
                if block.id is not None:
                    found[block.id] = (name, block)
        for name in set(PAGES) - set(self.edited):
            kept = [piece for piece in self._pages[name] if not (isinstance(piece, Block) and piece.id in found)]
            self._pages[name] = kept
        return list(found.values())

    # --- wishes -------------------------------------------------------------------------------------------------------

    def _wished(self, name: str, block: Block) -> Iterator[Mapping[str, Any]]:
        """What is new about its item; nothing if nothing is."""
        assert block.id is not None
        document = wish_of(block)
        known = self._known.get(block.id)
        try:
            parse_fields(document, self.form)
        except Usage as exc:
            raise Usage(f"tasks/{name}.md, line {block.line}: {exc.message}", hint=exc.hint) from exc
        item = self.store.item(block.id)
        if item is not None or name != COMPLETED:
            # fields of ours are written anew when the item goes on
            self.wish.unheard |= ours_of(block) != (ours_of(known[1]) if known is not None else {})
        if item is None:
            if name != COMPLETED:
                yield document
            return
        base = wish_of(known[1]) if known is not None else {}
        changed = {key: value for key, value in document.items() if base.get(key) != value}
        if changed:
            if known is not None:
                self.wish.base_rows[item.id] = {"id": item.id, **self._base(item, base, changed)}
            yield {"id": item.id, **changed}

    def _base(self, item: WorkItem, base: Mapping[str, Any], changed: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the page said of the changed fields. Where that is what the store has, in the words of the store."""
        found: dict[str, Any] = {}
        for key in changed:
            name = ALIASES.get(key, key)
            stored = getattr(item, name, None)
            was = parse_fields({key: base[key]}, Form()).get(name) if key in base else None
            if name == "description":
                unchanged = same_words(item.description, str(was or ""))
            else:
                # whoever works on it is shown there by us, and no wish
                unchanged = was == stored or (name == "assigned" and stored is None)
            if name in _STORED and (unchanged or key in base):
                found[key] = stored if unchanged else base[key]
            elif key in base:
                found[key] = base[key]
        return found

    # --- from page to page --------------------------------------------------------------------------------------------

    def _move(self, name: str, block: Block) -> None:
        assert block.id is not None
        known = self._known.get(block.id)
        came_from = known[0] if known is not None else None
        item = self.store.item(block.id)
        if item is None or came_from == name or (came_from is None and name == BACKLOG):
            return
        try:
            if name == ACTIVE and came_from != COMPLETED:
                self._start(item, block)
            elif name == COMPLETED:
                self._complete(item, block)
            elif item.by_hand:
                self.wish.refuse(f"{item.id} is given back by ./loop queue return {item.id}")
            elif item.state in _OVER:
                self.wish.refuse(f"{item.id} is {item.state}; ./loop queue retry {item.id}")
        except Refused as exc:
            self.wish.refuse(f"{exc.message}; {exc.hint}" if exc.hint else exc.message)

    def _start(self, item: WorkItem, block: Block) -> None:
        if item.state is WorkState.LEASED or item.by_hand:
            return
        self.store.take(item.id, self._person(block), actor=self.actor, now=self.now)
        self.wish.changed(item.id)

    def _complete(self, item: WorkItem, block: Block) -> None:
        if item.state in _OVER:
            return
        person, summary = self._person(block), " ".join(block.fields.get("summary", "").split())
        if not item.by_hand:
            self.store.take(item.id, person, actor=self.actor, now=self.now)
        reason = f"completed by {person}" + (f": {summary}" if summary else "")
        done = self.store.settle_held(item.id, WorkState.DONE, reason, "claimed", self.now)
        said = {name: value for name, value in Scribe(self.actor).fields(done).items() if name not in block.fields}
        self._pages[COMPLETED] = [
            with_fields(block, said) if each is block else each for each in self._pages[COMPLETED]
        ]
        self.wish.changed(item.id)

    def _person(self, block: Block) -> str:
        given = block.fields.get("assigned", "").strip()
        return self.actor if given.lower() in _UNNAMED else given


_STORED = frozenset(WorkItem.__dataclass_fields__)
