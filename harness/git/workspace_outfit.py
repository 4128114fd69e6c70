"""What a workspace gets besides its commit: files of the registered checkout, and whether its set-up still holds."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness import fs
from harness.git import foreign
from harness.git.record import Record
from harness.git.repository import opened
from harness.git.run import Git, readable
from harness.model.errors import Refused
from harness.model.globs import covered
from harness.ports import RepositoryRef

INCLUDED_BYTES = 16 << 20
INPUT_BYTES = 64 << 20


async def missing_in(git: Git, commit: str, names: Sequence[str]) -> tuple[str, ...]:
    """Those of `names` that `commit` does not have itself; what it has is never replaced. Raises GitError."""
    if not names:
        return ()
    listed = await git.run("ls-tree", "-z", "--name-only", "--end-of-options", commit, *names)
    tracked = set(map(readable, listed.names))
    return tuple(name for name in names if name not in tracked)


async def include(repo: RepositoryRef, folder: Path, commit: str, names: Sequence[str]) -> tuple[str, ...]:
    """Bring those of `names` that `commit` does not have into a checkout of it; which. Raises Refused, GitError."""
    brought = await missing_in(opened(repo), commit, names)
    await asyncio.to_thread(place, repo.path, folder, brought)
    return brought


def place(checkout: Path, folder: Path, names: Sequence[str]) -> None:
    """Copy files of `checkout` into `folder`, over what is there; in `folder` no link is followed.

    Raises Refused for one that is absent, no regular file, too large, or a link that leads out of the checkout.
    """
    for name in names:
        source = _source(checkout, name)
        _put(folder, name, source)


def _source(checkout: Path, name: str) -> Path:
    root = checkout.resolve()
    try:
        source = (root / name).resolve(strict=True)
        found = source.stat()
    except OSError as exc:
        raise Refused(
            f"include: {name} is not in {checkout}", hint="put it there, or take it out of `include`"
        ) from exc
    if not source.is_relative_to(root) or ".git" in source.relative_to(root).parts:
        raise Refused(f"include: {name} leads out of {checkout}, to {source}", hint="put the file itself there")
    if not stat.S_ISREG(found.st_mode) or found.st_size > INCLUDED_BYTES:
        what = f"a regular file of at most {INCLUDED_BYTES >> 20} MiB"
        raise Refused(f"include: {source} is not {what}", hint="let a set-up command make it instead")
    return source


def _put(folder: Path, name: str, source: Path) -> None:
    target = folder / name
    for parent in reversed([each for each in target.parents if each != folder and each.is_relative_to(folder)]):
        if not os.path.lexists(parent):
            parent.mkdir()
        if not foreign.is_folder(parent):
            raise Refused(f"include: {parent} is no folder", hint="./loop worktree list")
    if foreign.is_folder(target):
        raise Refused(f"include: {target} is a folder", hint="remove it, or take it out of `include`")
    fs.replace(target, source.read_bytes(), mode=stat.S_IMODE(source.stat().st_mode))


def excluding(folder: Path, names: Sequence[str], usual: str) -> None:
    """Let the agent's git ignore `names` too. A convenience for it: our own snapshots leave them out by name."""
    lines = "".join(f"/{_escaped(name)}\n" for name in names)
    if foreign.is_folder(folder / ".git") and foreign.is_folder(folder / ".git" / "info"):
        fs.replace(folder / ".git" / "info" / "exclude", usual + lines, mode=0o644)


def _escaped(name: str) -> str:
    return "".join(f"\\{char}" if char in "\\*?[" else char for char in name)


async def committed(git: Git, record: Record) -> str:
    """Why the commits of a workspace must not go on: they have an included file. Empty if they do not."""
    if not record.included or record.head == record.base:
        return ""
    ours = set(record.included) - set(await missing_in(replace(git, index=None), record.head, record.included))
    return f"{', '.join(sorted(ours))} must not be committed: `include` brings it from the checkout" if ours else ""


async def setup_mark(git: Git, record: Record, commands: Sequence[str], inputs: Sequence[str]) -> str:
    """A hash of the commands and of every file that `inputs` cover; ignored files do not count, included ones do."""
    assert git.work_tree is not None
    listed = await git.run("ls-files", "-z", "-c", "-o", "--exclude-standard")
    names = {os.fsdecode(name) for name in listed.names} | set(record.included)
    chosen = sorted(name for name in names if covered(name, inputs))
    return await asyncio.to_thread(_hashed, git.work_tree, chosen, commands)


def _hashed(folder: Path, names: Sequence[str], commands: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for command in commands:
        digest.update(command.encode() + b"\0")
    for name in names:
        raw = foreign.read(folder, *name.split("/"), limit=INPUT_BYTES)
        content = "absent" if raw is None else hashlib.sha256(raw).hexdigest()
        digest.update(b"\0" + os.fsencode(name) + b"\0" + content.encode())
    return digest.hexdigest()
