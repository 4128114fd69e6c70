"""The interrupt file: what an operator drops to pause the loop, and what the loop writes for one (contract 2, H46)."""

from __future__ import annotations

import os
import pwd
import stat
from datetime import UTC, datetime
from pathlib import Path

from harness import fs

NAME = "interrupt-request.txt"
MOST_REASON_BYTES = 64 * 1024


def read_reason(path: Path) -> str | None:
    """None if there is no interrupt file. Whatever has that name pauses; only a plain file is read."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    text = _text(path) if stat.S_ISREG(found.st_mode) else ""
    return text or f"no reason given, created {_when(found.st_mtime)} by {_user(found.st_uid)}"


def request(path: Path, reason: str) -> bool:
    """Write the interrupt file unless there is one already; True if it was written. Raises DiskFull, HarnessError."""
    if path.is_symlink() or path.exists():
        return False
    fs.replace(path, reason.rstrip() + "\n", mode=0o600)
    return True


def _text(path: Path) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError as exc:
        return f"(cannot be read: {exc.strerror})"
    with os.fdopen(handle, "rb") as file:
        return file.read(MOST_REASON_BYTES).decode(errors="replace").strip()


def _when(epoch: float) -> str:
    try:
        return datetime.fromtimestamp(epoch, UTC).astimezone().isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"at second {epoch:.0f} of the epoch"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
