"""`tasks/{backlog,active,completed}.md`: the queue as people like to write it, both directions (R4, R12).

    our page --(somebody edits)--> edited --absorb--> wishes, starts, completions; ids written back
                                      |--> in part: what was not taken is also a copy in state/conflicts
                                      `--> cannot be read: left alone, named, never written over
    queue changed --export--> fields of ours in their lines, blocks moved whole, new items at the end

The three pages are one: an edit of any of them is taken in one transaction. They exist once somebody asked for them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from harness.model.errors import Usage
from harness.model.itemform import Form
from harness.model.journal import Entry
from harness.model.taskmd import Block, Piece
from harness.model.taskpage import (
    ACTIVE,
    BACKLOG,
    COMPLETED,
    HEADS,
    PAGES,
    Scribe,
    appended,
    blocks,
    blocks_of,
    joined,
    place_of,
)
from harness.model.work import UNFINISHED, WorkItem
from harness.store.own_file import OwnFile, keep_conflict, sha256, unfit
from harness.store.task_edit import NumberedStore, PageEdit
from harness.store.task_news import news
from harness.store.wish import Absorbed

MIRRORED_BLOCKS = 1000
"""Unfinished items that get a block of their own accord; what somebody wrote down stays beyond that."""
SETTLED_SECONDS = 2.0
"""A page that lacks a task may be half written: it is believed once nobody has touched it for so long."""
_EVERY = timedelta(seconds=1)


class PagesStore(NumberedStore, Protocol):
    def together(self) -> AbstractContextManager[None]: ...
    def journal_head(self) -> int: ...
    def mirror_base(self, path: str) -> tuple[str, str] | None: ...
    def keep_mirror_base(self, path: str, sha256: str, base: str, now: datetime) -> None: ...
    def check_place(self) -> None: ...


class _Unsettled(Exception):
    """Ends a transaction that came too early."""


class Pages:
    """Both directions of the three pages. Blocking; used where the store is used."""

    def __init__(self, folder: Path, state: Path, store: PagesStore) -> None:
        self._files = {name: OwnFile(folder / f"{name}.md", f"tasks/{name}.md", store) for name in PAGES}
        self._state = state
        self._store = store
        self._on = False
        self._head = -1
        self._due_at: datetime | None = None
        self._named: Mapping[str, str | None] = {}
        self._apart: dict[str, tuple[str, Sequence[Piece]]] = {}
        self._told: dict[str, tuple[str, WorkItem]] = {}

    @property
    def on(self) -> bool:
        """Whether somebody has asked for them."""
        self._on = self._on or self._files[BACKLOG].base() is not None
        return self._on

    def begin(self, now: datetime) -> None:
        """Keep the pages from now on; what stands in them already is news."""
        with self._store.together():
            for file in self._files.values():
                if file.base() is None:
                    file.keep("", json.dumps(""), now)

    # --- in -----------------------------------------------------------------------------------------------------------

    def absorb(self, now: datetime, actor: str, form: Form, *, at_once: bool = False) -> Absorbed:
        """Take what somebody wrote, in one transaction; nothing if the pages are ours. `at_once`: somebody who knows
        that the pages are whole asks. A page that cannot be taken is in `problems`, once as long as it stays the same.
        """
        if not self.on:
            return Absorbed()
        digests = {name: file.digest() for name, file in self._files.items()}
        edited = [name for name in PAGES if self._is_news(name)]
        if not edited:
            for file in self._files.values():
                file.problem.unlink(missing_ok=True)
        if not edited or digests == self._named:
            return Absorbed()
        try:
            with self._store.together():
                return self._apply(edited, now, actor, form, at_once=at_once)
        except _Unsettled:
            return Absorbed()
        except Usage as exc:
            self._named = digests
            sentence = f"tasks: {exc.message}" + (f" ({exc.hint})" if exc.hint else "")
            left = "The queue is as it was, and the pages are left alone until it is mended."
            self._files[edited[0]].name_problem(sentence, left)
            return Absorbed(problems=[sentence])

    def _apply(self, edited: Sequence[str], now: datetime, actor: str, form: Form, *, at_once: bool) -> Absorbed:
        # The gate is held: another program may have taken them in since they were looked at.
        seen = {name: file.digest() for name, file in self._files.items()}
        if not all(self._is_news(name) == (name in edited) for name in PAGES):
            raise _Unsettled
        before = self._bases()
        raw = {name: self._read(name) for name in edited}
        edit = PageEdit(self._store, before, before | raw, edited, form, now, actor)
        pages = edit.apply()
        wish = edit.wish
        if missing := edit.missing():
            if not at_once and self._fresh(edited):
                raise _Unsettled
            kept = [
                keep_conflict(self._state, f"tasks-{name}.md", before[name], now) for name in edited if before[name]
            ]
            wish.cancel(missing)
            wish.result.add_detail(f"{len(missing)} cancelled; as it was before: {', '.join(map(str, kept))}")
        if wish.unheard:
            copies = [keep_conflict(self._state, f"tasks-{name}.md", raw[name], now) for name in edited]
            wish.result.add_detail(f"not all of it was taken; as it was written: {', '.join(map(str, copies))}")
        for name, file in self._files.items():
            current = sha256(raw[name].encode()) if name in raw else seen[name] or ""
            digest = sha256(pages[name].encode())
            file.keep(" ".join(dict.fromkeys([digest, current])), json.dumps(pages[name]), now)
            file.problem.unlink(missing_ok=True)
        if wish.result:
            self._store.note(Entry(now, "tasks.absorbed", actor, data=wish.result.told()))
        self._due_at, self._head, self._named = None, -1, {}
        return wish.result

    def _is_news(self, name: str) -> bool:
        digest = self._files[name].digest()
        return bool(digest) and not self._files[name].is_ours(digest)

    def _bases(self) -> dict[str, str]:
        return {name: json.loads(file.base() or '""') for name, file in self._files.items()}

    def _read(self, name: str) -> str:
        path = self._files[name].path
        if (flaw := unfit(path.stat())) is not None:
            raise Usage(f"{name}.md is {flaw}", hint=f"move {path} away; it is written anew")
        raw = path.read_bytes()
        try:
            text = raw.decode()
        except UnicodeDecodeError as exc:
            raise Usage(f"{name}.md is not UTF-8 at byte {exc.start}", hint="save it as UTF-8") from exc
        if not text.strip() and any(blocks_of(self._bases()[name])):
            raise Usage(f"{name}.md is empty", hint="take single tasks out, or delete the file to have it written anew")
        return text

    def _fresh(self, edited: Sequence[str]) -> bool:
        return any(time.time() - self._files[name].path.stat().st_mtime < SETTLED_SECONDS for name in edited)

    # --- out ----------------------------------------------------------------------------------------------------------

    def export(self, now: datetime, actor: str, *, last: bool = False) -> bool:
        """Write what changed; whether it wrote. At most once a second and a tenth of the time, but for the `last` time
        of a loop. Never over something that is not ours: absorb that first.
        """
        if not self.on:
            return False
        head = self._store.journal_head()
        early = self._due_at is not None and now < self._due_at and not last
        if early or (head == self._head and all(file.path.exists() for file in self._files.values())):
            return False
        began = time.perf_counter()
        found = {name: file.digest() for name, file in self._files.items()}
        if any(map(self._is_news, PAGES)):
            return False
        self._store.check_place()
        pages = self._written(self._bases(), Scribe(actor))
        wrote = self._write(pages, found, now)
        self._head = head
        self._due_at = now + max(_EVERY, 10 * timedelta(seconds=time.perf_counter() - began))
        return wrote

    def _write(self, pages: Mapping[str, str], found: Mapping[str, str | None], now: datetime) -> bool:
        """Where a block arrives before where it leaves: a crash in between leaves it twice, never not at all."""
        wrote = False
        for name in (COMPLETED, ACTIVE, BACKLOG):
            if sha256(pages[name].encode()) != found[name]:
                wrote |= self._files[name].write(pages[name], json.dumps(pages[name]), found[name], now)
        return wrote

    def _written(self, pages: Mapping[str, str], scribe: Scribe) -> Mapping[str, str]:
        """The pages with what is news in the queue."""
        waiting = {item.id: item for item in self._store.items(states=sorted(UNFINISHED), limit=MIRRORED_BLOCKS)}
        out = dict(pages)
        leaving: dict[str, list[str]] = {name: [] for name in PAGES}
        for name in (BACKLOG, ACTIVE):
            out[name] = self._gone_through(name, pages[name], waiting, leaving, scribe)
        # The log is long and nobody's to go through, but for a task of it that is worked on again.
        if any(f"[{item}]" in pages[COMPLETED] for item in waiting):
            out[COMPLETED] = self._gone_through(COMPLETED, pages[COMPLETED], waiting, leaving, scribe)
        for item in waiting.values():
            leaving[place_of(item)].append(scribe.new(item))
        return {name: _with(out[name] or HEADS[name], leaving[name]) for name in PAGES}

    def _gone_through(
        self, name: str, page: str, waiting: dict[str, WorkItem], leaving: Mapping[str, list[str]], scribe: Scribe
    ) -> str:
        """What stays on a page; what leaves it is in `leaving` by its new page. `waiting` loses what was met."""
        kept: list[Piece] = []
        for piece in self._pieces_of(name, page):
            item = self._item(piece, waiting) if name != COMPLETED or _is_open(piece, waiting) else None
            if not isinstance(piece, Block) or item is None:
                kept.append(piece)
                continue
            waiting.pop(item.id, None)
            changed, target = self._told_of(piece, item, scribe), place_of(item)
            if target == name:
                kept.append(changed)
            else:
                self._told.pop(item.id, None)
                leaving[target].append(changed.text)
        return joined(kept)

    def _pieces_of(self, name: str, page: str) -> Sequence[Piece]:
        """The same page is taken apart once."""
        known = self._apart.get(name)
        if known is None or known[0] != page:
            known = self._apart[name] = (page, blocks(page))
        return known[1]

    def _told_of(self, block: Block, item: WorkItem, scribe: Scribe) -> Block:
        """The block with what is news; one that was looked at since its item changed has none."""
        if self._told.get(item.id) == (block.text, item):
            return block
        changed = scribe.updated(block, item, news(block, item))
        self._told[item.id] = (changed.text, item)
        return changed

    def _item(self, piece: Piece, waiting: Mapping[str, WorkItem]) -> WorkItem | None:
        if not isinstance(piece, Block) or piece.id is None:
            return None
        return waiting.get(piece.id) or self._store.item(piece.id)


def _with(page: str, arriving: Sequence[str]) -> str:
    for text in arriving:
        page = appended(page, text)
    return page


def _is_open(piece: Piece, waiting: Mapping[str, WorkItem]) -> bool:
    """A task of the log that is worked on again leaves it; all others stay as they were written."""
    return isinstance(piece, Block) and piece.id in waiting


def places(folder: Path) -> Iterator[Path]:
    """The three files."""
    return (folder / f"{name}.md" for name in PAGES)
