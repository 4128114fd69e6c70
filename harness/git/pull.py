"""Fast-forwards a long-lived worktree or clone of a registered repository: somebody works or serves in it (P4).

Never forced: one that is dirty, diverged, on another branch or in the middle of something is left as it is, with the
reason. The operator's own git configuration holds, hooks are off.
"""

from __future__ import annotations

from pathlib import Path

from harness.git.repository import git_dir, opened, own_git_dir
from harness.git.run import ERROR_LINES, Git, readable
from harness.model.errors import NotFastForward
from harness.ports import RepositoryRef

UNDER_WAY = {
    "MERGE_HEAD": "a merge",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisection",
}
"""Files of a git directory that tell what is going on there; such a checkout is often clean and detached."""
MOST_NAMED = 10


class GitCheckouts:
    """Implements ports.Checkouts."""

    async def forward(self, repo: RepositoryRef, branch: str, commit: str, folder: Path) -> str:
        """Move `folder`, detached or on `branch`, to `commit`; where it was, empty if it had it already.

        A clone of its own fetches from the registered repository. Raises NotFound, NotFastForward, GitError.
        """
        common = git_dir(folder)
        git = Git(own_git_dir(folder), work_tree=folder, users=True)
        await _settled(git, folder, branch)
        if common != opened(repo).git_dir:
            await _fetch(git, opened(repo).git_dir, branch)
        head = await git.line("rev-parse", "--verify", "HEAD")
        if await git.holds("merge-base", "--is-ancestor", commit, head):
            return ""
        if not await git.holds("merge-base", "--is-ancestor", head, commit):
            text = f"{folder} has diverged: {head[:12]} is not in {branch} at {commit[:12]}"
            raise NotFastForward(text, hint=f"git -C {folder} log {commit[:12]}..HEAD shows what it has besides")
        await _clean(git, folder)
        await _advance(git, folder, commit)
        return head


async def _settled(git: Git, folder: Path, branch: str) -> None:
    """Raises NotFastForward where something is under way, or another branch is checked out."""
    for name, what in UNDER_WAY.items():
        if (git.git_dir / name).exists():
            raise NotFastForward(f"{folder} is in the middle of {what}", hint=f"git -C {folder} status")
    on = await git.run("symbolic-ref", "--quiet", "--short", "HEAD", accept=(0, 1))
    if on.code == 0 and on.text != branch:
        text = f"{folder} is on {on.text}, not on {branch} nor detached"
        raise NotFastForward(text, hint=f"git -C {folder} switch --detach {branch}")


async def _fetch(git: Git, source: Path, branch: str) -> None:
    fixed = ("--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--refmap=", "--quiet")
    a_path_will_do = {"GIT_PROTOCOL_FROM_USER": "1"}
    await git.run("fetch", *fixed, "--", str(source), f"refs/heads/{branch}", environment=a_path_will_do)


async def _clean(git: Git, folder: Path) -> None:
    """Raises NotFastForward naming tracked files that were changed; untracked ones are git's to judge."""
    status = await git.run("status", "--porcelain", "-z", "--untracked-files=no", "--no-renames")
    paths = tuple(readable(line[3:]) for line in status.names)
    if paths:
        named = ", ".join(paths[:MOST_NAMED]) + (" …" if len(paths) > MOST_NAMED else "")
        raise NotFastForward(f"{folder} has uncommitted changes: {named}", paths=paths, hint="commit or stash them")


async def _advance(git: Git, folder: Path, commit: str) -> None:
    merged = await git.run("merge", "--ff-only", "--no-stat", "--no-verify-signatures", "-q", commit, accept=range(256))
    if merged.code != 0:
        lines = [line.strip() for line in merged.err.splitlines() if line.strip()]
        text = f"{folder} cannot go to {commit[:12]}: {' '.join(lines[:ERROR_LINES]) or 'git gave no reason'}"
        raise NotFastForward(text, hint=f"move what is in the way in {folder}", cause=merged.err.strip())
