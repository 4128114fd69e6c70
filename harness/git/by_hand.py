"""A commit of everything that stands in a workspace, as `git add -A && git commit` makes one, but by our git alone.

A session has worked in the folder, so nothing of its `.git` is run: no hook, filter or configuration. What a person
would type there reaches the folder as two plain files, its index and its head.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from harness import fs
from harness.git import foreign
from harness.git.run import IDENTITY, Git
from harness.model.errors import GitError


async def committed(git: Git, workspace: Path, tree: str, parent: str, message: str, person: str) -> str:
    """The new commit; `git` has the workspace's index, which holds `tree`. Raises GitError.

    Author is whoever the user's git configuration names, else `person`.
    """
    assert git.index is not None
    feed = f"{message.strip()}\n".encode()
    made = await git.run("commit-tree", tree, "-p", parent, feed=feed, environment=await _identity(git, person))
    # The index first: cut off in between, the folder looks as after `git add -A`.
    index = await asyncio.to_thread(git.index.read_bytes)
    await asyncio.to_thread(written, workspace, "index", index)
    await asyncio.to_thread(_point, workspace, made.text)
    return made.text


async def _identity(git: Git, person: str) -> dict[str, str]:
    user = replace(git, work_tree=None, index=None, users=True)
    asked = [await user.run("config", "--get", f"user.{key}", accept=(0, 1)) for key in ("name", "email")]
    name, email = asked[0].text or person, asked[1].text or f"{person}@localhost"
    return {key: name if key.endswith("NAME") else email for key in IDENTITY}


def _point(workspace: Path, commit: str) -> None:
    """Let HEAD, or the branch that it names, be `commit`."""
    name = "HEAD"
    for _ in range(foreign.SYMBOLIC_DEPTH):
        raw = foreign.read(workspace, ".git", *name.split("/"), limit=foreign.HEAD_BYTES)
        text = raw.decode("utf-8", "surrogateescape").strip() if raw is not None else ""
        target = text.removeprefix("ref: ").strip()
        if not text.startswith("ref: ") or not foreign.REF.fullmatch(target):
            break
        name = target
    written(workspace, name, f"{commit}\n".encode())


def written(workspace: Path, name: str, content: bytes) -> None:
    """Replace a file of the folder's `.git`, never through a link. Raises GitError."""
    path = workspace / ".git" / name
    for folder in reversed([each for each in path.parents if each.is_relative_to(workspace)]):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
        if not foreign.is_folder(folder):
            raise GitError(f"{folder} is no folder", hint="commit there by hand")
    fs.replace(path, content, mode=0o644)
