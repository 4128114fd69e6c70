"""What is there under state/worktrees, and what is wrong with it. Reads only: files as plain, git on our objects."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from harness.git import foreign
from harness.git.index_file import is_whole
from harness.git.record import Record, Records
from harness.git.repository import opened
from harness.git.run import Git
from harness.git.workspace_refs import astray
from harness.model.errors import HarnessError

INDEX_BYTES = 256 << 20


class Fault(StrEnum):
    """What can be wrong with a workspace. MENDABLE ones are repaired from what was saved."""

    FOLDER = "its folder is gone"
    GIT = "its .git is missing or cannot be read"
    HEAD = "its HEAD is not on top of its base"
    INDEX = "its index is damaged"
    LOCK = "an index.lock was left in it"
    UNFINISHED = "it was never finished"
    STRANGER = "it is no workspace of ours"
    RECORD = "what is known about it is damaged"
    REPOSITORY = "its repository is gone"


MENDABLE = frozenset({Fault.FOLDER, Fault.GIT, Fault.HEAD, Fault.INDEX, Fault.LOCK})
NEXT = {
    Fault.UNFINISHED: "the item's next session makes it anew",
    Fault.STRANGER: "move it away",
    Fault.RECORD: "save what is needed from the folder, then remove both",
    Fault.REPOSITORY: "bring the repository back to where it was, or change its path: ./loop config show",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One workspace. `record` is None for a stranger, or where it is damaged."""

    item: str
    path: Path
    record: Record | None
    faults: tuple[Fault, ...] = ()

    @property
    def mendable(self) -> bool:
        return bool(self.faults) and set(self.faults) <= MENDABLE

    @property
    def next(self) -> str:
        """What helps; empty if nothing is wrong."""
        if not self.faults:
            return ""
        stuck = next((fault for fault in self.faults if fault not in MENDABLE), None)
        return NEXT[stuck] if stuck else f"./loop worktree repair {self.item}"


def names(root: Path, records: Records) -> list[str]:
    """Every item that has a folder or a record here."""
    folders = [path.name for path in root.iterdir() if not path.name.startswith(".")] if root.is_dir() else []
    return sorted({*folders, *records.items()})


async def look(root: Path, records: Records, item: str) -> Found:
    """One workspace as it stands. A running session may be in the middle of a command: its lock is no fault then."""
    path = root / item
    try:
        record = records.load(item)
    except HarnessError:
        return Found(item, path, None, (Fault.RECORD,))
    if record is None:
        return Found(item, path, None, (Fault.STRANGER,))
    if not record.ready:
        return Found(item, path, record, (Fault.UNFINISHED,))
    try:
        git = opened(record.workspace(root).repo)
    except HarnessError:
        return Found(item, path, record, (Fault.REPOSITORY,))
    return Found(item, path, record, await faults(git, path, record))


async def faults(git: Git, path: Path, record: Record) -> tuple[Fault, ...]:
    """What can be mended of a workspace of ours."""
    if not foreign.is_folder(path):
        return (Fault.FOLDER,)
    head, objects = foreign.head(path), foreign.objects(path)
    if head is None or objects is None or not _borrows(path, git):
        return (Fault.GIT,)
    found = []
    if head != record.head and not await _on_base(replace(git, borrowed=objects), record.base, head):
        found.append(Fault.HEAD)
    if not await asyncio.to_thread(_index_is_whole, path):
        found.append(Fault.INDEX)
    if (path / ".git" / "index.lock").is_symlink() or (path / ".git" / "index.lock").exists():
        found.append(Fault.LOCK)
    return tuple(found)


def _borrows(path: Path, git: Git) -> bool:
    """Whether its objects still lead to those of the registered repository."""
    raw = foreign.read(path, ".git", "objects", "info", "alternates", limit=foreign.HEAD_BYTES) or b""
    return str(git.git_dir / "objects").encode() in raw.splitlines()


async def _on_base(git: Git, base: str, head: str) -> bool:
    try:
        return not await astray(git, base, head)
    except HarnessError:
        return False  # the commit is in nobody's objects


def _index_is_whole(path: Path) -> bool:
    raw = foreign.read(path, ".git", "index", limit=INDEX_BYTES)
    return raw is not None and is_whole(raw)
