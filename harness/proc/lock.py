"""Locks that die with their holder. The lock is the truth; what is written in the file is for people only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.fs import translate
from harness.model.errors import Busy, StoreError

PROBES_SECONDS = 0.05  # `is_free` holds a lock for microseconds; that must not look like a holder


class FileLock:
    """An exclusive `flock` on `path`, close-on-exec, never waited for. The file stays: removing it would be a race."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def acquire(self, content: str = "", *, patience_seconds: float = PROBES_SECONDS) -> bool:
        """Take the lock and write `content`, a line for people; False if another process holds it.

        `patience_seconds` is for probes of `is_free`, and blocks. Raises DiskFull or HarnessError if there can be no
        such file.
        """
        if self._file is not None:
            return True
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise translate(exc, self.path) from exc
        if not _take(file, patience_seconds):
            os.close(file)
            return False
        self._file = file
        with contextlib.suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, content.encode(), 0)
        return True

    @property
    def is_in_place(self) -> bool:
        """Whether we hold what the path leads to."""
        return self._file is not None and _is_at(self._file, self.path)

    def check_held(self) -> None:
        """Raises StoreError if the path does not lead to the lock that we have: nobody else sees that we live."""
        if self._file is not None and not self.is_in_place:
            raise StoreError(
                f"{self.path} was taken away: this process counts as dead, and its work is somebody else's now",
                hint="./loop status; start it anew",
            )

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        """Raises Busy, naming the holder."""
        if not self.acquire(f"pid {os.getpid()}"):
            raise Busy(
                f"{self.path} is held by {holder(self.path) or 'another process'}", hint="wait until it has ended"
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def _take(file: int, patience_seconds: float) -> bool:
    give_up = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                return False
            time.sleep(PROBES_SECONDS / 5)
        else:
            return True


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock at this moment; a file that does not exist is free."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(file)


def holder(path: Path) -> str:
    """What the last holder wrote about itself; empty if nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""
