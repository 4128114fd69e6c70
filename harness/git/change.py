"""What sealed work changes, from git's objects alone; and what a run left behind in a bench."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.git.repository import opened
from harness.git.run import Git
from harness.ports import ChangedFile, RepositoryRef

MOST_TEXT = 1 << 20
_FILE = (b"100644", b"100755")
_GONE = b"0" * 6
LEFT = ("-z", "-o", "-m", "-d", "--exclude-standard", "--directory", "--no-empty-directory")


@dataclass(frozen=True, slots=True)
class GitChange:
    """Implements ports.Change. Paths that are not UTF-8 keep their bytes as surrogates."""

    repo: RepositoryRef
    base: str
    head: str

    async def files(self) -> Sequence[ChangedFile]:
        """Raises GitError."""
        listed = await opened(self.repo).settled(
            "diff-tree", "-r", "-z", "--no-renames", "--no-ext-diff", "--name-status", self.base, self.head
        )
        fields = listed.names
        pairs = zip(fields[::2], fields[1::2], strict=True)
        return [ChangedFile(_path(name), status.decode()) for status, name in pairs]

    async def text(self, commit: str, path: str) -> str | None:
        """Raises GitError for a commit that is not there."""
        git = opened(self.repo)
        entry = await _entry(git, commit, path)
        if entry is None or entry[0] not in _FILE:
            return None
        size = await git.line("cat-file", "-s", entry[1])
        if int(size) > MOST_TEXT:
            return None
        try:
            return (await git.run("cat-file", "blob", entry[1])).out.decode("utf-8")
        except UnicodeDecodeError:
            return None

    async def graft(self, onto: str, source: str, paths: Sequence[str]) -> str:
        """A commit with `onto` as its parent and tree, but `paths` as in `source`; nothing points to it."""
        git = opened(self.repo)
        lines = []
        for path in paths:
            mode, sha = await _entry(git, source, path) or (_GONE, "0" * len(onto))
            lines.append(b"%s %s\t%s\0" % (mode, sha.encode(), _bytes(path)))
        with tempfile.TemporaryDirectory(prefix="harness-graft-") as folder:
            own = replace(git, index=Path(folder) / "index")
            await own.run("read-tree", onto)
            await own.run("update-index", "-z", "--replace", "--index-info", feed=b"".join(lines))
            tree = await own.line("write-tree")
        return await git.line("commit-tree", tree, "-p", onto, feed=b"tests of another commit\n")


async def fork(repo: RepositoryRef, one: str, other: str) -> str:
    """The newest commit that both have. Raises GitError if they have none."""
    return (await opened(repo).settled("merge-base", "--end-of-options", one, other)).text


async def leftovers(repo: RepositoryRef, folder: Path, commit: str) -> tuple[str, ...]:
    """Paths in the bench `folder` that are not as in `commit`: changed, gone, or new and ignored by nobody.

    The bench's own git directory is not asked: what ran there could have written it. Raises GitError.
    """
    with tempfile.TemporaryDirectory(prefix="harness-left-") as own:
        git = replace(opened(repo), work_tree=folder, index=Path(own) / "index", durable=False)
        await git.run("read-tree", commit)
        await git.run("update-index", "-q", "--refresh", "--ignore-submodules", accept=(0, 1))
        listed = await git.run("ls-files", *LEFT)
    return tuple(sorted({_path(name) for name in listed.names}))


async def _entry(git: Git, commit: str, path: str) -> tuple[bytes, str] | None:
    """Mode and object of a path, None if it is absent there."""
    listed = await git.run("ls-tree", "-z", "--end-of-options", commit, path)
    for line in listed.names:
        head, _, name = line.partition(b"\t")
        if name == _bytes(path):
            mode, _kind, sha = head.split()
            return mode, sha.decode()
    return None


def _path(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
