"""The content of a workspace as a tree, through an index of ours that no agent sees.

The index stays from one snapshot to the next, so that only what changed is read again. Repositories inside the
workspace are taken as plain files: git would record a mere pointer, and asks them for their state by running git
*in* them, where the agent's configuration holds (D1).
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import stat
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.git import foreign
from harness.git.run import Git, readable
from harness.model.errors import GitError

NESTED_DEPTH = 4
KNOWN_TREES = 256
NO_INDEX = Path("/nonexistent/index")
POINTER = re.compile(rb"\x00160000 [^\t\0]*\t([^\0]+)")
"""One in the listing of an index, whose other entries, as many as there are files, are not taken apart for it."""
UNOPENED = re.compile(r"could not open directory '(.+)': ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`tree` holds every file but the `skipped` ones: too large, or not readable."""

    tree: str
    skipped: tuple[str, ...] = ()


async def take(git: Git, *, limit_bytes: int, everything: bool = False, without: Collection[str] = ()) -> Snapshot:
    """Bring the index of `git` up to the work tree and write its tree. Ignored files are left out. Raises GitError.

    With `everything`, for a folder that is about to go, also the files behind pointers to repositories that the agent
    committed or that are submodules: their commits exist nowhere else. Paths in `without` are not looked at.
    """
    assert git.work_tree is not None
    if everything:
        await _open_pointers(git, git.work_tree)
    listed, unopened = await _changed(git)
    hidden = set(map(os.fsencode, without))
    listed = [name for name in listed if name not in hidden] if hidden else listed
    wanted, skipped = await asyncio.to_thread(_sort, git.work_tree, listed, limit_bytes)
    if wanted:
        try:
            await _record(git, wanted)
        except GitError:
            skipped += await _record_unconverted(git, wanted)
    return Snapshot(await _tree(git), (*map(readable, skipped), *unopened))


async def _tree(git: Git) -> str:
    """The tree of the index; written once for as long as nobody touches the index or collects the tree as garbage."""
    assert git.index is not None
    known = _TREES.get(git.index)
    if known and known[0] == _stamp(git.index) and _is_loose(git, known[1]):
        return known[1]
    tree = await git.line("write-tree")
    _TREES[git.index] = (_stamp(git.index), tree)
    while len(_TREES) > KNOWN_TREES:
        _TREES.pop(next(iter(_TREES)))
    return tree


def _is_loose(git: Git, tree: str) -> bool:
    return (git.git_dir / "objects" / tree[:2] / tree[2:]).is_file()


def _stamp(index: Path) -> tuple[int, int, int]:
    """Git replaces an index, it never writes into one: another content is another file."""
    found = index.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


_TREES: dict[Path, tuple[tuple[int, int, int], str]] = {}
"""By index file: its stamp, and the tree it stands for."""


async def align(git: Git, commit: str) -> None:
    """Make the index of `git` that of `commit`, keeping what is known about files that are the same."""
    await git.run("read-tree", "-i", "-m", commit)
    await git.run("update-index", "-q", "--refresh", "--ignore-submodules", accept=(0, 1))


def make_readable(folder: Path, names: Iterable[str]) -> None:
    """Give the owner access to paths that a snapshot could not read; what is not ours stays as it is."""
    for name in names:
        path = folder / name
        if path.is_symlink() or not os.access(folder, os.W_OK):
            continue
        if path.exists() and path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode | (0o700 if path.is_dir() else 0o400))


async def _changed(git: Git, depth: int = 0) -> tuple[Sequence[bytes], Sequence[str]]:
    """Paths that differ from the index, those of repositories inside included, and folders that cannot be opened."""
    listed = await git.run("ls-files", "-z", "-o", "-m", "-d", "--exclude-standard")
    names: list[bytes] = []
    unopened = list(UNOPENED.findall(listed.err))
    for name in dict.fromkeys(listed.names):
        if not name.endswith(b"/"):
            names.append(name)
        elif inner := await _inside(git, name, depth):
            names += [name + path for path in inner[0]]
            unopened += [readable(name) + path for path in inner[1]]
        else:
            unopened.append(readable(name))
    return names, unopened


async def _record(git: Git, names: Sequence[bytes]) -> None:
    feed = b"\0".join(names) + b"\0"
    await git.run("update-index", "-z", "--add", "--remove", "--replace", "--stdin", feed=feed)


async def _record_unconverted(git: Git, names: Sequence[bytes]) -> list[bytes]:
    """Record files byte by byte: attributes that an agent wrote may ask for a conversion that cannot be done.

    Returns names that cannot be passed to git this way (those with a line break). Raises GitError.
    """
    assert git.work_tree is not None
    root = git.work_tree
    files = {name: found for name in names if (found := _regular(root / os.fsdecode(name)))}
    plain = [name for name in files if b"\n" not in name]
    if others := [name for name in names if name not in files]:
        await _record(git, others)
    feed = b"".join(b"./" + name + b"\n" for name in plain)
    hashed = await git.run("hash-object", "-w", "--no-filters", "--stdin-paths", feed=feed)
    modes = [b"100755" if files[name].st_mode & stat.S_IXUSR else b"100644" for name in plain]
    entries = zip(modes, hashed.out.split(), plain, strict=True)
    lines = b"".join(b"%s %s\t%s\0" % entry for entry in entries)
    await git.run("update-index", "-z", "--replace", "--index-info", feed=lines)
    return [name for name in files if name not in plain]


def _regular(path: Path) -> os.stat_result | None:
    try:
        found = path.lstat()
    except OSError:
        return None  # gone: the index drops it
    return found if stat.S_ISREG(found.st_mode) else None


async def _open_pointers(git: Git, root: Path) -> None:
    """Take pointers to repositories with content out of the index, so that their files are found as new ones."""
    listed = await git.run("ls-files", "-z", "--stage")
    names = POINTER.findall(b"\0" + listed.out)
    filled = [name for name in names if foreign.holds_something(root / os.fsdecode(name))]
    if filled:
        await git.run("update-index", "-z", "--force-remove", "--stdin", feed=b"\0".join(filled) + b"\0")


async def _inside(git: Git, name: bytes, depth: int) -> tuple[Sequence[bytes], Sequence[str]] | None:
    """What a repository inside the work tree holds, by its own ignore files but not by its `.git`."""
    assert git.work_tree is not None
    folder = git.work_tree / os.fsdecode(name)
    if depth >= NESTED_DEPTH or not foreign.is_folder(folder):
        return None
    return await _changed(replace(git, work_tree=folder, index=NO_INDEX), depth + 1)


def _sort(root: Path, names: Sequence[bytes], limit_bytes: int) -> tuple[list[bytes], list[bytes]]:
    """Paths for the index (gone ones too: they leave it), and paths that are skipped."""
    wanted: list[bytes] = []
    skipped: list[bytes] = []
    links: dict[Path, bool] = {root: False}
    for name in names:
        path = root / os.fsdecode(name)
        if _behind_link(path.parent, links):
            continue  # the link itself is listed and replaces what was there
        (wanted if _fits(path, limit_bytes) else skipped).append(name)
    return wanted, skipped


def _fits(path: Path, limit_bytes: int) -> bool:
    try:
        found = path.lstat()
    except OSError as exc:
        return exc.errno in (errno.ENOENT, errno.ENOTDIR)
    if stat.S_ISREG(found.st_mode):
        return found.st_size <= limit_bytes and os.access(path, os.R_OK)
    return True


def _behind_link(folder: Path, known: dict[Path, bool]) -> bool:
    if folder not in known:
        known[folder] = folder.is_symlink() or _behind_link(folder.parent, known)
    return known[folder]
