"""A long-lived checkout is fast-forwarded, and left as it is wherever that is not plain (P4)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.git.pull import GitCheckouts
from harness.model.errors import NotFastForward, NotFound
from harness.ports import RepositoryRef
from tests.kit.loop import git, make_repository

pytestmark = pytest.mark.process


@pytest.fixture
def ahead(tmp_path: Path) -> tuple[RepositoryRef, Path, str]:
    """A repository whose branch is one commit ahead of the worktree beside it, and that commit."""
    app, service = make_repository(tmp_path / "app"), tmp_path / "service"
    git(app, "worktree", "add", "-q", "--detach", str(service), "main")
    (app / "one.txt").write_text("one\n")
    git(app, "add", "-A")
    git(app, "commit", "-qm", "one")
    return RepositoryRef("app", app, "main"), service, git(app, "rev-parse", "main")


def dirty(folder: Path) -> None:
    (folder / "README.md").write_text("of a person\n")


def staged(folder: Path) -> None:
    dirty(folder)
    git(folder, "add", "README.md")


def diverged(folder: Path) -> None:
    git(folder, "commit", "-q", "--allow-empty", "-m", "own")


def elsewhere(folder: Path) -> None:
    git(folder, "switch", "-q", "-c", "mine")


def rebasing(folder: Path) -> None:
    (Path(git(folder, "rev-parse", "--absolute-git-dir")) / "rebase-merge").mkdir()


def in_the_way(folder: Path) -> None:
    (folder / "one.txt").write_text("of a service\n")


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (dirty, "uncommitted changes: README.md"),
        (staged, "uncommitted changes: README.md"),
        (diverged, "has diverged"),
        (elsewhere, "is on mine"),
        (rebasing, "in the middle of a rebase"),
        (in_the_way, "one.txt"),
    ],
)
async def test_what_is_not_plainly_behind_is_named_and_not_touched(
    ahead: tuple[RepositoryRef, Path, str], spoil: Callable[[Path], None], word: str
) -> None:
    repo, service, commit = ahead
    spoil(service)
    before = (git(service, "rev-parse", "HEAD"), git(service, "status", "--porcelain"))
    with pytest.raises(NotFastForward, match=word):
        await GitCheckouts().forward(repo, "main", commit, service)
    assert (git(service, "rev-parse", "HEAD"), git(service, "status", "--porcelain")) == before


async def test_it_goes_to_the_commit_and_stays_detached_with_its_own_files(
    ahead: tuple[RepositoryRef, Path, str],
) -> None:
    repo, service, commit = ahead
    before = git(service, "rev-parse", "HEAD")
    (service / "cache.db").write_text("of a service\n")
    assert await GitCheckouts().forward(repo, "main", commit, service) == before
    assert git(service, "rev-parse", "HEAD") == commit
    assert git(service, "branch", "--show-current") == ""
    assert (service / "cache.db").exists()
    assert await GitCheckouts().forward(repo, "main", commit, service) == "", "it had it already"


async def test_no_hook_of_a_checkout_runs(ahead: tuple[RepositoryRef, Path, str], tmp_path: Path) -> None:
    repo, service, commit = ahead
    hook = repo.path / ".git" / "hooks" / "post-merge"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    await GitCheckouts().forward(repo, "main", commit, service)
    assert not (tmp_path / "ran").exists()


async def test_what_is_no_checkout_is_said(ahead: tuple[RepositoryRef, Path, str], tmp_path: Path) -> None:
    repo, _, commit = ahead
    with pytest.raises(NotFound, match="does not exist"):
        await GitCheckouts().forward(repo, "main", commit, tmp_path / "nowhere")
