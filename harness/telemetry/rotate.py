"""Log files that stay small: 5 MiB, three of them, written by any number of processes (contract 2)."""

from __future__ import annotations

import fcntl
import os
from itertools import pairwise
from pathlib import Path

from harness import fs

MOST_BYTES = 5 * 1024 * 1024
FILES = 3


class RotatingFile:
    """`NAME.log` and before it `NAME.log.1`, `NAME.log.2`. Each line is one write, so lines never mix."""

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES, files: int = FILES, mode: int = 0o600) -> None:
        self._path = path
        self._mode = mode
        self._most = most_bytes
        self._files = files

    def write(self, text: str) -> None:
        """Raises HarnessError (DiskFull) or OSError."""
        if self._full(len(text)):
            self._rotate(len(text))
        fs.append(self._path, text, mode=self._mode)

    def _full(self, more: int) -> bool:
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return False
        return size > 0 and size + more >= self._most

    def _rotate(self, more: int) -> None:
        """Under a lock on the folder: another process may have rotated meanwhile."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if not self._full(more):
                return
            older = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._files))]
            for newer, old in reversed(list(pairwise(older))):
                if newer.exists():
                    newer.replace(old)
        finally:
            os.close(folder)
