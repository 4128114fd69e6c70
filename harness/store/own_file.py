"""A file that we write and people write over: is it ours, and how is it replaced without losing what somebody types.

The base, what the file held when we last wrote it or took it in, is kept in the database with its digest. A file with
another digest was edited. While we write, the old and the new content both count as ours: a crash in between must not
look like an edit.
"""

from __future__ import annotations

import hashlib
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from harness import fs

MOST_BYTES = 256 << 20


class BaseStore(Protocol):
    """Where bases are kept; `base` is JSON."""

    def mirror_base(self, path: str) -> tuple[str, str] | None: ...
    def keep_mirror_base(self, path: str, sha256: str, base: str, now: datetime) -> None: ...


class OwnFile:
    """Blocking; used where the store is used. `name` is its key in the database."""

    def __init__(self, path: Path, name: str, store: BaseStore) -> None:
        self.path = path
        self.name = name
        self.problem = path.with_name(f"{path.name}.problem.txt")
        self._store = store
        self._looked: tuple[tuple[int, int, int] | None, str | None] = (None, None)
        self._aside = path.with_name(f".{path.name}.aside")
        self._recovered = False

    def digest(self) -> str | None:
        """Of the file as it is; read only when its name, size or time changed. What is no file to read is not ours."""
        if not self._recovered:
            self._recover()
            self._recovered = True
        try:
            found = self.path.stat()
            seen = (found.st_ino, found.st_size, found.st_mtime_ns)
            if seen != self._looked[0]:
                self._looked = (seen, unfit(found) or sha256(self.path.read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            self._looked = (None, None)
        return self._looked[1]

    def base(self) -> str | None:
        """JSON of what it held last."""
        kept = self._store.mirror_base(self.name)
        return None if kept is None else kept[1]

    def is_ours(self, digest: str | None) -> bool:
        """Whether nobody but us has written that content."""
        kept = self._store.mirror_base(self.name)
        return kept is not None and digest in kept[0].split()

    def keep(self, digest: str, base: str, now: datetime) -> None:
        """Content of that digest means `base` from now on."""
        self._store.keep_mirror_base(self.name, digest, base, now)

    def write(self, text: str, base: str, current: str | None, now: datetime) -> bool:
        """Replace content of digest `current`, None for no file. False if an edit met ours in the same instant: that
        one stays, to be taken in against what it was made from.
        """
        before, digest = self.base(), sha256(text.encode())
        # Both are ours until it is written: a crash in between must not look like an edit.
        self.keep(f"{digest} {current or ''}".strip(), base, now)
        if self._placed(text, current):
            self.keep(digest, base, now)
            return True
        if before is not None and current is not None:
            self.keep(current, before, now)
        return False

    def _placed(self, text: str, current: str | None) -> bool:
        if current is None:
            return fs.place(self.path, text)
        fs.replace(self._aside, text)
        return self._swapped(current)

    def _swapped(self, current: str) -> bool:
        try:
            fs.exchange(self.path, self._aside)
        except FileNotFoundError:  # deleted in this instant: written anew the next time
            self._aside.unlink(missing_ok=True)
            return False
        if sha256(self._aside.read_bytes()) == current:
            self._aside.unlink()
            return True
        fs.exchange(self.path, self._aside)
        self._aside.unlink()
        return False

    def _recover(self) -> None:
        """A crash between two steps may have left an edit aside: it comes back, to be taken in."""
        try:
            left = sha256(self._aside.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return
        if not self.is_ours(left) and self.path.exists():
            fs.exchange(self.path, self._aside)
        self._aside.unlink()

    def name_problem(self, sentence: str, left: str) -> None:
        """Say beside the file why it is left alone."""
        fs.replace(self.problem, f"{sentence}\n{left}\n")


def unfit(found: os.stat_result) -> str | None:
    """Why something at that name is not read: opening a pipe would wait for ever."""
    if not stat.S_ISREG(found.st_mode):
        return "not a plain file"
    return f"larger than {MOST_BYTES >> 20} MiB" if found.st_size > MOST_BYTES else None


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def keep_conflict(state: Path, name: str, raw: bytes | str, now: datetime) -> Path:
    """A copy of what somebody typed and we did not take: `state/conflicts/NAME-TIME.SUFFIX`. On disk on return."""
    stem, _, suffix = name.rpartition(".")
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    number, target = 1, state / "conflicts" / f"{stem}-{stamp}.{suffix}"
    while target.exists():
        number += 1
        target = target.with_name(f"{stem}-{stamp}-{number}.{suffix}")
    fs.replace(target, raw, durable=True)
    return target
