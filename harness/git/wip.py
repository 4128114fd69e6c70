"""Autosaves as an operator looks at them: listed, shown, and brought back into a folder of their own (P17, O1).

An autosave is a commit under `refs/harness/<owner>/wip/<n>`: its tree is the workspace as it stood, its parent the
agent's last commit. `owner` is the session it was saved for, or the item whose workspace was about to be replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.git import checkout
from harness.git.repository import opened
from harness.git.run import Git, readable
from harness.model.errors import NotFound, Refused
from harness.ports import RepositoryRef

SUBJECT = "Autosave of "
_FIELDS = "%(refname)%00%(objectname)%00%(parent)%00%(committerdate:unix)%00%(contents:subject)"


@dataclass(frozen=True, slots=True)
class Save:
    """One autosave. `id` is `<owner>/<n>`, unique in its repository; `parent` the agent's last commit."""

    id: str
    ref: str
    commit: str
    parent: str
    item: str
    saved_at: datetime
    repo: RepositoryRef


@dataclass(frozen=True, slots=True)
class Content:
    """What an autosave has besides its parent: the paths that differ, and the bytes of those that still exist."""

    paths: tuple[str, ...]
    size_bytes: int


async def saves(repo: RepositoryRef) -> Sequence[Save]:
    """All autosaves of a repository, newest first. Raises NotFound if it is gone."""
    git = opened(repo)
    listed = await git.run("for-each-ref", "--sort=-committerdate", f"--format={_FIELDS}", "refs/harness/*/wip/*")
    return [_save(line, repo) for line in readable(listed.out).splitlines() if line]


def _save(line: str, repo: RepositoryRef) -> Save:
    ref, commit, parent, seconds, subject = line.split("\0")
    _refs, _harness, owner, _wip, number = ref.split("/", 4)
    at = datetime.fromtimestamp(int(seconds), UTC)
    return Save(f"{owner}/{number}", ref, commit, parent, subject.removeprefix(SUBJECT), at, repo)


async def content(save: Save) -> Content:
    git = opened(save.repo)
    listed = await git.run("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", save.parent, save.commit)
    fields = listed.names
    blobs = [entry.split()[3] for entry in fields[::2]]
    feed = b"".join(blob + b"\n" for blob in blobs if blob.strip(b"0"))
    sizes = await git.run("cat-file", "--batch-check=%(objectsize)", feed=feed)
    known = [int(word) for word in sizes.out.split() if word.isdigit()]
    return Content(tuple(map(readable, fields[1::2])), sum(known))


async def difference(save: Save, *, patch: bool) -> str:
    """Diff stat, or the whole patch, against the agent's last commit."""
    how = ("--patch", "--binary") if patch else ("--stat=100",)
    done = await opened(save.repo).run(
        "diff-tree", "-r", *how, "--no-renames", "--no-ext-diff", "--no-textconv", save.parent, save.commit
    )
    return readable(done.out)


async def restore(save: Save, folder: Path) -> None:
    """Make `folder` a repository of its own, detached at the agent's last commit, the saved changes uncommitted.

    Raises Refused if something of that name exists: nothing is ever written over.
    """
    if folder.exists() or folder.is_symlink():
        raise Refused(f"{folder} exists already", hint="name a new folder: nothing is written over")
    if not folder.parent.is_dir():
        raise NotFound(f"there is no folder {folder.parent}", hint=f"mkdir -p {folder.parent}")
    await checkout.create(folder, Git(opened(save.repo).git_dir), save.parent, content=save.commit)
