"""A user's repository and agents of ill will: plain git on the one side, files on the other."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.git.merge import GitMerger
from harness.git.workspace import GitWorkspaces
from harness.ports import RepositoryRef, Seal, Workspace

TRAILERS = (("Harness-Item", "item-1"), ("Harness-Session", "ses_1"))


def git(folder: Path, *arguments: str, feed: bytes = b"", accept: tuple[int, ...] = (0,)) -> str:
    """What a person or an agent types: their own configuration, their own git directory."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
        "LC_ALL": "C",
    }
    for who in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{who}_NAME": "Ada", f"GIT_{who}_EMAIL": "ada@example.org"}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, input=feed, capture_output=True, check=False
    )
    assert done.returncode in accept, (arguments, done.stderr)
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def commit(folder: Path, message: str, **files: str) -> str:
    """Write files (`__` stands for a dot) and commit everything; the new commit."""
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def make_repository(folder: Path, *, branch: str = "main") -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", branch)
    commit(folder, "First", a__txt="one\n", b__txt="two\n", __gitignore="ignored\n")
    return folder


@dataclass(frozen=True)
class World:
    """One registered repository, with workspaces and a merger over it."""

    repo: RepositoryRef
    state: Path
    workspaces: GitWorkspaces
    merger: GitMerger

    async def prepare(self, item: str = "item-1") -> Workspace:
        return await self.workspaces.prepare(self.repo, item)

    async def sealed(self, item: str, **files: str) -> Seal:
        """One finished piece of work."""
        workspace = await self.prepare(item)
        commit(workspace.path, f"Work of {item}", **files)
        return await self.workspaces.seal(workspace, [("Harness-Item", item)])

    def git(self, *arguments: str) -> str:
        return git(self.repo.path, *arguments)

    def files(self, commit: str) -> dict[str, str]:
        """Content by path of a commit."""
        names = self.git("ls-tree", "-r", "-z", "--name-only", commit).split("\0")
        return {name: self.git("show", f"{commit}:{name}") for name in names if name}


def world(folder: Path, path: Path) -> World:
    state = folder / "state"
    benches = state / "benches"
    spaces = GitWorkspaces(state / "worktrees", under=state, benches=benches)
    return World(RepositoryRef("app", path, "main"), state, spaces, GitMerger(benches, under=state))
