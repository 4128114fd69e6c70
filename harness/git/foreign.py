"""Reading from a folder that an agent can write, without git and without following links.

What stands there is a claim: a name may be a link to somewhere else, a pipe that never answers, or a gigabyte.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
REF = re.compile(r"refs/(?:[^/\x00-\x20.][^/\x00-\x20]*/)*[^/\x00-\x20.][^/\x00-\x20]*")
HEAD_BYTES = 4 << 10
PACKED_REFS_BYTES = 16 << 20
SYMBOLIC_DEPTH = 5


def read(folder: Path, *names: str, limit: int) -> bytes | None:
    """A regular file of at most `limit` bytes under `folder`, else None; no link on the way is followed."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    here: int | None = None
    try:
        for name in (str(folder), *names[:-1]):
            before, here = here, os.open(name, flags | os.O_DIRECTORY, dir_fd=here)
            _close(before)
        before, here = here, os.open(names[-1], flags | os.O_NONBLOCK, dir_fd=here)
        _close(before)
        return _content(here, limit)
    except OSError:
        return None  # absent, a link, unreadable: to us it is not there
    finally:
        _close(here)


def is_folder(path: Path) -> bool:
    """Whether `path` is a directory itself, not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def holds_something(path: Path) -> bool:
    """Whether `path` is a directory itself with anything in it; one that cannot be listed counts as full."""
    try:
        return is_folder(path) and any(path.iterdir())
    except PermissionError:
        return True


def head(workspace: Path) -> str | None:
    """The commit a workspace's `.git/HEAD` leads to, None if there is none that can be read."""
    name = "HEAD"
    for _ in range(SYMBOLIC_DEPTH):
        raw = read(workspace, ".git", *name.split("/"), limit=HEAD_BYTES)
        text = raw.decode("utf-8", "surrogateescape").strip() if raw is not None else _packed(workspace, name)
        if SHA.fullmatch(text):
            return text
        name = text.removeprefix("ref: ").strip()
        if not REF.fullmatch(name):
            return None
    return None


def objects(workspace: Path) -> Path | None:
    """The object folder of a workspace's own git directory."""
    folder = workspace / ".git" / "objects"
    return folder if is_folder(workspace / ".git") and is_folder(folder) else None


def _packed(workspace: Path, name: str) -> str:
    raw = read(workspace, ".git", "packed-refs", limit=PACKED_REFS_BYTES) or b""
    for line in raw.decode("utf-8", "surrogateescape").splitlines():
        sha, _, ref = line.partition(" ")
        if ref == name:
            return sha
    return ""


def _content(file: int, limit: int) -> bytes | None:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
        return None
    raw = bytearray()
    while len(raw) <= limit and (part := os.read(file, 1 << 16)):
        raw += part
    return bytes(raw) if len(raw) <= limit else None


def _close(file: int | None) -> None:
    if file is not None:
        os.close(file)
