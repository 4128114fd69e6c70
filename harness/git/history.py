"""What commits did, for people to read: GitPython, read-only, one short-lived `Repo` a call, hexadecimal ids only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.git.foreign import SHA
from harness.git.repository import git_dir
from harness.git.run import base_environment
from harness.model.errors import GitError

MOST_COMMITS = 200


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit for people: `files` counts those it changed."""

    sha: str
    author: str
    authored_at: datetime
    subject: str
    files: int
    insertions: int
    deletions: int


def commits(path: Path, base: str, head: str) -> Sequence[Commit]:
    """The commits of `base..head`, oldest first, at most MOST_COMMITS. Blocking. Raises NotFound, GitError."""
    from git import Repo  # noqa: PLC0415  # a third of a second that read commands do without
    from git.exc import GitError as LibraryError  # noqa: PLC0415

    for sha in (base, head):
        if not SHA.fullmatch(sha):
            raise GitError(f"not a full commit id: {sha!r}")
    try:
        with Repo(git_dir(path)) as repo, repo.git.custom_environment(**base_environment()):
            found = list(repo.iter_commits(f"{base}..{head}", max_count=MOST_COMMITS))
            return [_commit(commit) for commit in reversed(found)]
    except (LibraryError, ValueError) as exc:
        raise GitError(f"the history {base[:12]}..{head[:12]} cannot be read: {exc}") from exc


def _commit(commit: object) -> Commit:
    from git import Commit as Found  # noqa: PLC0415

    assert isinstance(commit, Found)
    total = commit.stats.total
    return Commit(
        commit.hexsha,
        str(commit.author),
        commit.authored_datetime,
        str(commit.summary),
        total["files"],
        total["insertions"],
        total["deletions"],
    )
