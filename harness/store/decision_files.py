"""`state/decisions/ID.md`: a file for each open question; an answer filled in is taken, and says so afterwards (C11).

    written ──(a person fills in `answer:`)──► taken ──► closed/ID.md, with the typed lines and who took what
       └ answered elsewhere, skipped, closed ─────────► closed/ID.md, as it was then, and how it ended

A file moves before the end is written below what it holds: what somebody types in that moment goes along.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path
from typing import Protocol

from harness import fs
from harness.model.decision import OPEN, Decision, ended
from harness.model.decisionform import filled, page
from harness.model.errors import NotFound, Refused, Usage
from harness.model.work import WorkItem
from harness.store.asked import decision_known, decisions
from harness.store.reader import StoreReader

CLOSED = "closed"
MOST_OPEN = 10_000
MOST_BYTES = 1 << 20
Seen = tuple[int, int, int]


class DecisionStore(Protocol):
    """What the files need of a store."""

    def answer(self, decision: int, text: str, *, by: str, via: str, now: datetime) -> Decision: ...
    def item(self, item: str) -> WorkItem | None: ...
    def journal_head(self) -> int: ...
    def check_place(self) -> None: ...


class DecisionFiles:
    """Both directions of the folder. Blocking; used where the store is used."""

    def __init__(self, folder: Path, store: DecisionStore) -> None:
        assert isinstance(store, StoreReader)  # the questions are asked of the reader's half
        self.folder = folder
        self._store = store
        self._books: DecisionStore = store
        self._head = -1
        self._looked: dict[str, Seen] = {}
        self._expected: AbstractSet[str] = frozenset()

    # --- in -----------------------------------------------------------------------------------------------------------

    def absorb(self, now: datetime, actor: str) -> Sequence[str]:
        """Take every answer that was filled in since the last look; sentences about files that were left alone, each
        once as long as the file stays the same, and in `ID.problem.txt`.
        """
        return [problem for name, seen in self._edited() if (problem := self._take(name, seen, now, actor))]

    def _edited(self) -> Iterator[tuple[str, Seen]]:
        present = dict(files(self.folder))
        for gone in self._looked.keys() - present.keys():
            del self._looked[gone]
        for name, seen in sorted(present.items()):
            if self._looked.get(name) != seen:
                yield name, seen

    def _take(self, name: str, seen: Seen, now: datetime, actor: str) -> str:
        number, path = int(name.removesuffix(".md")), self.folder / name
        said, problem = None, ""
        try:
            said = filled(_read(path))
            if said is not None:
                self._books.answer(number, said, by=actor, via="file", now=now)
        except FileNotFoundError:
            return ""
        except (Usage, Refused, NotFound) as exc:
            problem = f"decisions/{name}: {exc.message}" + (f" ({exc.hint})" if exc.hint else "")
        self._looked[name] = seen
        found = decision_known(self._store, number)
        over = found is not None and found.state != OPEN
        self._name(path, "" if over else problem)
        # An answer that was taken before a crash, or that says the same, is no news.
        return "" if over and said in (None, found.answer if found else None) else problem

    def _name(self, path: Path, problem: str) -> None:
        note = path.with_suffix(".problem.txt")
        if problem:
            fs.replace(note, f"{problem}\nNothing was taken, and the file is left alone until it is mended.\n")
        else:
            note.unlink(missing_ok=True)

    # --- out ----------------------------------------------------------------------------------------------------------

    def export(self, now: datetime) -> None:
        """A file for each open question that has none; those of ended ones say how they ended, in `closed/`."""
        head = self._books.journal_head()
        present = dict(files(self.folder))
        if head == self._head and present.keys() == self._expected:
            return
        self._books.check_place()
        waiting = {f"{each.id}.md": each for each in decisions(self._store, limit=MOST_OPEN)}
        for name in waiting.keys() - present.keys():
            item = self._books.item(waiting[name].item)
            fs.place(self.folder / name, page(waiting[name], item.title if item else ""))
        for name in present.keys() - waiting.keys():
            # What was typed since the last look is looked at first.
            if self._looked.get(name) == present[name]:
                self._close(name, now)
        self._head, self._expected = head, waiting.keys()

    def _close(self, name: str, now: datetime) -> None:
        found = decision_known(self._store, int(name.removesuffix(".md")))
        if found is None:
            return
        target = self.folder / CLOSED / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():  # somebody wrote a second file after the first had gone
            target = target.with_name(f"{target.stem}-{now:%Y%m%dT%H%M%S%f}.md")
        try:
            (self.folder / name).rename(target)
        except FileNotFoundError:
            return
        fs.append(target, f"\n---\n{ended(found)}")
        (self.folder / name).with_suffix(".problem.txt").unlink(missing_ok=True)
        self._looked.pop(name, None)


def files(folder: Path) -> Iterator[tuple[str, Seen]]:
    """The files of questions, each with what tells that it changed; nothing without a folder."""
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if entry.name.endswith(".md") and entry.name[:-3].isdecimal() and len(entry.name) < 20:
                    status = entry.stat(follow_symlinks=False)
                    yield entry.name, (status.st_ino, status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        return


def anything_filled(folder: Path) -> bool:
    """Whether `absorb` would have something to do or to say."""
    for name, _seen in files(folder):
        try:
            if filled(_read(folder / name)) is not None:
                return True
        except FileNotFoundError:
            continue
        except Usage:
            return True
    return False


def _read(path: Path) -> str:
    """Raises Usage for what is no page of text; FileNotFoundError."""
    found = path.stat(follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
        raise Usage("not a plain file of at most 1 MiB", hint="delete it; it is written anew")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise Usage(f"not UTF-8 at byte {exc.start}", hint="save it as UTF-8") from exc
