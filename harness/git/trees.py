"""Three-way merges without a checkout: `git merge-tree` on commits, or on three trees that no commit relates."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.git.run import Git, readable

BASE, OURS, THEIRS = 1, 2, 3
"""Stages of a path in conflict, as git numbers them."""


@dataclass(frozen=True, slots=True)
class Blob:
    """What stands at a path: git's mode and the object's id."""

    mode: str
    id: str


@dataclass(frozen=True, slots=True)
class Merge:
    """`tree` is whole where nothing is in `clashes`; a path in conflict has its stages there, markers in the tree."""

    tree: str
    clashes: Mapping[bytes, Mapping[int, Blob]] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[str, ...]:
        """The files in conflict, for people."""
        return tuple(map(readable, self.clashes))


async def merged(git: Git, ours: str, theirs: str) -> Merge:
    """Both commits from their merge base. Raises GitError for histories that have nothing in common."""
    done = await git.run("merge-tree", "--write-tree", "-z", ours, theirs, accept=(0, 1))
    tree, *fields = done.out.split(b"\0")
    clashes: dict[bytes, dict[int, Blob]] = {}
    for entry in fields[: fields.index(b"")] if done.code else ():
        facts, _, path = entry.partition(b"\t")
        mode, name, stage = facts.decode().split()
        clashes.setdefault(path, {})[int(stage)] = Blob(mode, name)
    return Merge(tree.decode().strip(), clashes)


async def three_way(git: Git, base: str, ours: str, theirs: str) -> Merge:
    """What leads from `base` to `theirs`, done to `ours`; all three are commits or trees, related or not."""
    asked = ("rev-parse", "--verify", "--end-of-options")
    trees = [await git.line(*asked, f"{each}^{{tree}}") for each in (base, ours, theirs)]
    root = await git.line("commit-tree", trees[0], "-m", "base")
    one, other = [await git.line("commit-tree", tree, "-p", root, "-m", "side") for tree in trees[1:]]
    return await merged(git, one, other)


async def with_files(git: Git, tree: str, files: Mapping[bytes, Blob | None]) -> str:
    """`tree` with other files at some paths; None takes one away."""
    with tempfile.TemporaryDirectory(prefix="loop-index-") as folder:
        own = replace(git, index=Path(folder) / "index")
        await own.run("read-tree", tree)
        gone = "0" * len(tree)
        lines = [
            f"{blob.mode} {blob.id}\t".encode() + path if blob else f"0 {gone}\t".encode() + path
            for path, blob in files.items()
        ]
        await own.run("update-index", "-z", "--index-info", feed=b"".join(line + b"\0" for line in lines))
        return await own.line("write-tree")
