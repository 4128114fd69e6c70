"""What refs and commits of the registered repository say about a workspace."""

from __future__ import annotations

from harness.git.record import Record
from harness.git.run import Git, readable
from harness.git.snapshot import Snapshot
from harness.model.errors import GitError


async def changed_paths(git: Git, before: str, after: str) -> tuple[str, ...]:
    """The files that differ between two commits or trees."""
    listed = await git.settled("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", before, after)
    return tuple(map(readable, listed.names))


async def is_saved(git: Git, record: Record, now: Snapshot) -> bool:
    """Whether the last autosave is of what stands there now, and still under its ref: anybody can delete a ref."""
    same = (record.saved_tree, record.saved_head) == (now.tree, record.head)
    return same and await holds(git, record.saved_ref, record.saved)


async def holds(git: Git, ref: str, commit: str) -> bool:
    """Whether `ref` exists and is `commit`."""
    return await git.ref(ref) == commit


async def astray(git: Git, base: str, head: str) -> str:
    """Why the commits up to `head` are no work on top of `base`; empty if they are."""
    if await git.descends(head, base):
        return ""
    at = f"{head[:12]} does not descend from its base {base[:12]}"
    return f"{at}: the history was rewritten or another branch checked out"


async def commit_of(git: Git, ref: str) -> str:
    """The commit of a ref. Raises GitError without it."""
    found = await git.ref(ref)
    if found is None:
        raise GitError(f"there is no {ref} in {git.git_dir}", hint="./loop wip list")
    return found


async def next_ref(git: Git, session: str) -> str:
    """The name of the next autosave of a session or item."""
    folder = f"refs/harness/{session}/wip"
    listed = await git.run("for-each-ref", "--format=%(refname)", f"{folder}/")
    numbers = [int(name.rsplit("/", 1)[1]) for name in listed.text.splitlines() if name.rsplit("/", 1)[1].isdigit()]
    return f"{folder}/{max(numbers, default=0) + 1}"
