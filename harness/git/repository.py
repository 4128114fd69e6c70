"""A registered repository: where its git directory is, what its branches are, whether it is in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.git.run import Git, version
from harness.model.errors import GitError, NotFound, ToolMissing
from harness.ports import RepositoryRef

OLDEST_GIT = (2, 38)  # merge-tree --write-tree, safe.directory on the command line
SHOWN_BRANCHES = 10
HEALTH_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Health:
    """`problems` in git's words; `complete` is False if the time was not enough to look at everything."""

    problems: tuple[str, ...]
    complete: bool


def git_dir(path: Path) -> Path:
    """The common git directory of a working tree, a linked worktree or a bare repository. Raises NotFound."""
    for candidate in (path / ".git", path):
        if candidate.is_file():
            return _pointed(candidate)
        if (candidate / "HEAD").exists() and (candidate / "objects").is_dir():
            return candidate.resolve()
    what = "is no git repository" if path.is_dir() else "does not exist"
    raise NotFound(f"{path} {what}", hint="name the folder that holds .git, or a bare repository")


def own_git_dir(checkout: Path) -> Path:
    """The git directory of one working tree: a linked worktree has HEAD and index of its own."""
    pointer = checkout / ".git"
    return pointer if pointer.is_dir() else _target(pointer)


def opened(repo: RepositoryRef) -> Git:
    """Our git on a registered repository. Raises NotFound."""
    return Git(git_dir(repo.path))


async def tip(repo: RepositoryRef, branch: str) -> str:
    """The commit of a local branch. Raises NotFound, naming the branches there are."""
    git = opened(repo)
    if found := await git.ref(f"refs/heads/{branch}"):
        return found
    raise await _no_branch(git, repo.path, branch)


async def probe(path: Path, branch: str | None = None, name: str | None = None) -> RepositoryRef:
    """What `path` is, ready to be registered; without `branch` the one that is checked out, or the only one.

    Raises NotFound (no repository, no such branch, no commit yet) and ToolMissing.
    """
    await check_version()
    git = Git(git_dir(path))
    branches = await _branches(git)
    if not branches:
        raise NotFound(f"{path} has no commit yet", hint=f"git -C {path} commit --allow-empty -m 'First commit'")
    chosen = branch or await _current(git, branches)
    if chosen not in branches:
        raise await _no_branch(git, path, chosen)
    return RepositoryRef(name or path.resolve().name.removesuffix(".git"), path.resolve(), chosen)


async def check_version() -> tuple[int, int]:
    """The version of git. Raises ToolMissing if it is older than we can work with."""
    found = await version()
    if found < OLDEST_GIT:
        raise ToolMissing(f"git {found[0]}.{found[1]} is too old", hint="install git 2.38 or newer")
    return found


async def health(path: Path, *, seconds: float = HEALTH_SECONDS) -> Health:
    """A look at the repository's objects and locks that ends in time (O4)."""
    folder = git_dir(path)
    git = replace(Git(folder), timeout_seconds=seconds)
    locks = tuple(f"{lock.name} is left in {folder}" for lock in sorted(folder.glob("*.lock")))
    try:
        checked = await git.run("fsck", "--connectivity-only", "--no-dangling", "--no-progress", accept=range(128))
    except GitError as exc:
        if isinstance(exc.__cause__, TimeoutError):
            return Health(locks, complete=False)
        return Health((*locks, exc.message), complete=True)
    lines = f"{checked.text}\n{checked.err}".splitlines() if checked.code else []
    return Health((*locks, *(line for line in lines if line.strip())), complete=True)


async def _branches(git: Git) -> Sequence[str]:
    listed = await git.run("for-each-ref", "--sort=-committerdate", "--format=%(refname:lstrip=2)", "refs/heads")
    return listed.text.splitlines()


async def _current(git: Git, branches: Sequence[str]) -> str:
    head = await git.run("symbolic-ref", "--quiet", "--short", "HEAD", accept=(0, 1, 128))
    if head.code == 0 and head.text in branches:
        return head.text
    if len(branches) == 1:
        return branches[0]
    raise NotFound(f"no branch is checked out in {git.git_dir}", hint=f"name one: {_listed(branches)}")


async def _no_branch(git: Git, path: Path, branch: str) -> NotFound:
    branches = await _branches(git)
    if not branches:
        return NotFound(f"{path} has no commit yet", hint=f"git -C {path} commit --allow-empty -m 'First commit'")
    return NotFound(f"{path} has no branch {branch!r}", hint=f"its branches: {_listed(branches)}")


def _listed(branches: Sequence[str]) -> str:
    more = len(branches) - SHOWN_BRANCHES
    return ", ".join(branches[:SHOWN_BRANCHES]) + (f" and {more} more" if more > 0 else "")


def _target(file: Path) -> Path:
    """Where a `.git` file points."""
    return (file.parent / file.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()


def _pointed(file: Path) -> Path:
    """Where a `.git` file (linked worktree, submodule) points, as the directory that all its worktrees share."""
    own = _target(file)
    common = own / "commondir"
    if not own.is_dir():
        raise NotFound(f"{file} points to {own}, which does not exist", hint="git worktree repair")
    return (own / common.read_text(encoding="utf-8").strip()).resolve() if common.is_file() else own
