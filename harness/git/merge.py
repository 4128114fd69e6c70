"""The way of sealed work to its target branch: merge, bench, advance, and the refs that keep it meanwhile."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

from harness.git import repository
from harness.git.bench import bench
from harness.git.combine import Combiner, Regenerate
from harness.git.mutex import held
from harness.git.push import Remote
from harness.git.repository import opened, own_git_dir
from harness.git.revert import reverted
from harness.git.run import ERROR_LINES, Git
from harness.model.errors import Conflict, GitError, NotFastForward
from harness.ports import Combined, RepositoryRef, Seal, Ways

DESCRIBED = 200
IN_THE_WAY = re.compile(
    r"following (?:untracked working tree )?files would be (?:overwritten|removed) by merge:\n((?:[\t ]+.*\n)+)"
    r"|Updating the following directories would lose untracked files in them:\n((?:[\t ]+.*\n)+)"
    r"|Entry '(.+)' (?:not uptodate|would be overwritten)"
)


class GitMerger:
    """`benches` is the folder of the benches, `locks` that of the repositories' mutexes; `under` bounds deletions.

    `caller` is the environment of whoever started us: with its credentials the remote is reached. `regenerate` runs the
    commands that make files anew.
    """

    def __init__(
        self,
        benches: Path,
        *,
        under: Path,
        locks: Path | None = None,
        caller: Mapping[str, str] | None = None,
        regenerate: Regenerate | None = None,
    ) -> None:
        self._regenerate = regenerate
        self._caller = caller or {}
        self._benches = benches
        self._under = under
        self._locks = locks or benches / ".locks"

    async def tip(self, repo: RepositoryRef, branch: str) -> str:
        """Raises NotFound, naming the branches there are."""
        return await repository.tip(repo, branch)

    async def merge(self, repo: RepositoryRef, seal: Seal, onto: str) -> str:
        """The seal itself if it has `onto`, else a merge commit of both; the same for the same two every time.

        Nothing points to the merge yet: that is the caller's `keep`. Raises Conflict with the files.
        """
        done = await self.combine(repo, seal, onto, Ways())
        if done.commit is None:
            raise Conflict(f"the work and {onto[:12]} both changed {', '.join(done.left[:5])}", paths=done.left)
        return done.commit

    async def combine(self, repo: RepositoryRef, seal: Seal, onto: str, ways: Ways) -> Combined:
        """The seal itself if it has `onto`; the same for the same two every time. Nothing points to it yet."""
        combiner = Combiner(repo, opened(repo), lambda commit: self.bench(repo, commit), self._regenerate)
        return await combiner.combine(seal.commit, onto, ways)

    def bench(self, repo: RepositoryRef, commit: str) -> AbstractAsyncContextManager[Path]:
        return bench(self._benches, opened(repo), commit, under=self._under)

    async def advance(self, repo: RepositoryRef, branch: str, commit: str, expected: str) -> None:
        """Move `branch` from `expected` to `commit`; done already is done. Never anything but forward.

        Raises NotFastForward if the branch is elsewhere, or with the files of the checkout that are in the way.
        """
        git = opened(repo)
        async with held(self._lock(git)):
            now = await repository.tip(repo, branch)
            if now == commit:
                return
            if now != expected:
                raise NotFastForward(f"{branch} has moved from {expected[:12]} to {now[:12]}")
            if not await git.descends(commit, now):
                raise NotFastForward(f"{commit[:12]} does not contain {branch} at {now[:12]}")
            checkouts = await _checkouts(git, branch)
            if checkouts:
                await _advance_checkout(git, checkouts[0], branch, commit)
            else:
                await _advance_ref(git, branch, commit, expected)

    async def keep(self, repo: RepositoryRef, item: str, name: str, commit: str) -> str:
        ref = f"refs/harness/{item}/{name}"
        await opened(repo).run("update-ref", ref, commit)
        return ref

    async def kept(self, repo: RepositoryRef, item: str, name: str) -> str | None:
        ref = f"refs/harness/{item}/{name}"
        return await opened(repo).ref(ref)

    async def contains(self, repo: RepositoryRef, branch: str, commit: str) -> bool:
        """Raises NotFound without the branch, GitError without the commit."""
        at = await repository.tip(repo, branch)
        return await self.has(repo, at, commit)

    async def has(self, repo: RepositoryRef, commit: str, ancestor: str) -> bool:
        """Raises GitError if either is not there."""
        return await opened(repo).descends(commit, ancestor)

    async def revert(self, repo: RepositoryRef, onto: str, base: str, commit: str, item: str) -> str:
        """Raises Conflict, Refused, GitError."""
        return await reverted(opened(repo), onto, base, commit, item)

    async def push(self, repo: RepositoryRef, branch: str, commit: str) -> str:
        """Raises PushFailed."""
        return await Remote(repo, branch, self._caller).push(commit)

    async def fetch(self, repo: RepositoryRef, branch: str) -> str | None:
        """Raises PushFailed."""
        return await Remote(repo, branch, self._caller).fetch()

    async def describe(self, repo: RepositoryRef, base: str, commit: str) -> Sequence[str]:
        """One line a commit (`sha subject`), oldest first, the newest 200."""
        arguments = ("--reverse", f"--max-count={DESCRIBED}", "--no-show-signature", "--format=%h %s")
        listed = await opened(repo).run("log", *arguments, "--end-of-options", f"{base}..{commit}")
        return listed.text.splitlines()

    def _lock(self, git: Git) -> Path:
        return self._locks / f"repository-{hashlib.sha256(str(git.git_dir).encode()).hexdigest()[:12]}.lock"


async def _checkouts(git: Git, branch: str) -> list[Path]:
    """The working trees that have `branch` checked out and still exist."""
    listed = await git.run("worktree", "list", "--porcelain", "-z")
    found = []
    for block in listed.out.split(b"\0\0"):
        facts = dict(line.partition(b" ")[::2] for line in block.split(b"\0"))
        path = Path(facts.get(b"worktree", b"").decode("utf-8", "surrogateescape"))
        if facts.get(b"branch") == b"refs/heads/" + branch.encode() and (path / ".git").exists():
            found.append(path)
    return found


async def _advance_checkout(git: Git, folder: Path, branch: str, commit: str) -> None:
    """`git merge --ff-only` in the user's own checkout, their filters on, every hook off; their changes stay."""
    own = replace(git, git_dir=own_git_dir(folder), work_tree=folder, users=True)
    merged = await own.run("merge", "--ff-only", "--no-stat", "--no-verify-signatures", "-q", commit, accept=range(256))
    if merged.code == 0:
        return
    paths = tuple(dict.fromkeys(_in_the_way(merged.err)))
    names = f": {', '.join(paths[:10])}" if paths else ""
    first = merged.err.strip().splitlines()[:ERROR_LINES]
    raise NotFastForward(
        f"{branch} is checked out in {folder} and cannot advance there{names}",
        paths=paths,
        hint=f"commit, move or stash them in {folder}",
        cause="\n".join(first),
    )


async def _advance_ref(git: Git, branch: str, commit: str, expected: str) -> None:
    try:
        await git.run("update-ref", "-m", "loop: integrate", f"refs/heads/{branch}", commit, expected)
    except GitError as exc:
        if "but expected" not in exc.message:
            raise
        raise NotFastForward(f"{branch} has moved from {expected[:12]} meanwhile", cause=exc.cause) from exc


def _in_the_way(messages: str) -> list[str]:
    found = []
    for tracked, folders, entry in IN_THE_WAY.findall(messages):
        found += [line.strip() for line in (tracked or folders or entry).splitlines()]
    return found
