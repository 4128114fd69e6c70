"""Mending a workspace in place: what is left is saved under a ref first, then only what is broken is made anew.

folder gone ─────────────► rebuilt from the last autosave, else from the agent's last commit that we hold
.git gone or unreadable ─► a new .git at that commit around the files that stand there
HEAD not on its base ────► the same, at the base; the commits beside it stay under the save's ref
index damaged, lock left ► a new index, the lock removed
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from harness import fs
from harness.git import checkout, foreign, snapshot
from harness.git.by_hand import written
from harness.git.record import Record
from harness.git.repository import opened
from harness.git.run import Git
from harness.git.workspace_health import Fault, Found, faults, look
from harness.git.workspace_refs import astray, holds
from harness.git.workspace_saving import Saver
from harness.model.errors import GitError, Refused
from harness.ports import Autosave


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was wrong, what was done about it, and the ref that holds what stood there before."""

    faults: tuple[Fault, ...]
    done: str
    ref: str = ""


async def repair(saver: Saver, item: str, *, excluded: str) -> Repaired:
    """Mend one workspace; the caller holds its lock. Nothing is done to one that is whole.

    Raises Refused, with the next step, for what cannot be mended; GitError if what is left cannot be saved.
    """
    found = await look(saver.root, saver.records, item)
    if not found.faults:
        return Repaired((), "nothing is wrong with it")
    if not found.mendable or found.record is None:
        raise Refused(f"{found.path}: {', '.join(found.faults)}", hint=found.next)
    record, git = found.record, opened(found.record.workspace(saver.root).repo)
    if Fault.FOLDER in found.faults:
        return await _rebuilt(saver, git, record, excluded)
    saved = await _saved(saver, record)
    return await _mended(saver, git, found, saved.ref if saved else record.saved_ref, excluded)


async def _saved(saver: Saver, record: Record) -> Autosave | None:
    """Everything that stands there, under a ref. Raises Refused if something of it cannot be saved."""
    workspace = record.workspace(saver.root)
    saved = await saver.save(workspace, record.item, last=True)
    left = [name for name in (saved.skipped if saved else ()) if not name.startswith(".git: ")]
    if left:
        snapshot.make_readable(workspace.path, left)
        saved = await saver.save(workspace, record.item, last=True) or saved
    return saved


async def _mended(saver: Saver, git: Git, found: Found, ref: str, excluded: str) -> Repaired:
    record = saver.records.load(found.item)
    assert record is not None  # the save has just written it
    broken = set(found.faults)
    if broken & {Fault.GIT, Fault.HEAD}:
        head = record.base if await astray(git, record.base, record.head) else record.head
        await asyncio.to_thread(_discard_git, found.path, saver.under)
        await checkout.renew(found.path, git, head, excluded=excluded)
        await snapshot.align(replace(git, work_tree=found.path, index=saver.records.index(found.item)), head)
        saver.records.store(replace(record, head=head))
        return Repaired(found.faults, f"a new .git at {head[:12]} around the files that stand there", ref)
    if Fault.LOCK in broken:
        (found.path / ".git" / "index.lock").unlink(missing_ok=True)
    if Fault.INDEX in broken:
        await _new_index(saver, git, found.path, record)
    again = await faults(git, found.path, record)
    if again:
        raise GitError(
            f"{found.path}: {', '.join(again)}, after it was mended", hint=f"./loop worktree prune {found.item}"
        )
    return Repaired(found.faults, "a new index" if Fault.INDEX in broken else "the lock removed", ref)


def _discard_git(folder: Path, under: Path) -> None:
    own = folder / ".git"
    if own.is_symlink() or own.is_file():
        own.unlink()
    else:
        fs.discard(own, under=under)


async def _new_index(saver: Saver, git: Git, folder: Path, record: Record) -> None:
    """As after `git reset`: the index of the head; what was staged is uncommitted like the rest."""
    scratch = saver.records.scratch(record.item)
    try:
        await replace(git, index=scratch, durable=False).run("read-tree", foreign.head(folder) or record.head)
        await asyncio.to_thread(written, folder, "index", scratch.read_bytes())
    finally:
        scratch.unlink(missing_ok=True)


async def _rebuilt(saver: Saver, git: Git, record: Record, excluded: str) -> Repaired:
    """The folder anew, from the last autosave if its ref still holds it."""
    path = saver.root / record.item
    await asyncio.to_thread(_clear_way, path)
    kept = bool(record.saved_ref) and await holds(git, record.saved_ref, record.saved)
    head = record.saved_head if kept else record.head
    if not kept and not await git.holds("rev-parse", "--quiet", "--verify", f"{head}^{{commit}}"):
        head = record.base
    if await astray(git, record.base, head):
        head = record.base
    await checkout.create(path, git, head, content=record.saved if kept else None, excluded=excluded)
    await asyncio.to_thread(shutil.copy2, path / ".git" / "index", saver.records.index(record.item))
    saver.records.store(replace(record, head=head))
    origin = f"the autosave {record.saved_ref}" if kept else f"commit {head[:12]}: nothing else was saved"
    return Repaired((Fault.FOLDER,), f"rebuilt from {origin}", record.saved_ref if kept else "")


def _clear_way(path: Path) -> None:
    """A link or a file in the place of the folder. Raises Refused for anything else."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        raise Refused(f"{path} is in the way", hint="move it away")
