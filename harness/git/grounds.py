"""What sessions must not touch, as it stands: the registered checkout and other workspaces. Reads only."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.git import foreign
from harness.git.record import META, Records
from harness.git.repository import opened, own_git_dir, tip
from harness.git.run import Git, readable
from harness.git.workspace_health import names
from harness.ports import Footprint, Move, RepositoryRef

LOG_BYTES = 64 << 10
MOST_FILES = 2000


class GitGrounds:
    """Implements ports.Grounds. `root` is the folder of the workspaces, `own` folders that the loop itself writes."""

    def __init__(self, root: Path, own: Sequence[Path] = ()) -> None:
        self._root = root
        self._own = [folder.resolve() for folder in own]
        self._records = Records(root / META)

    async def look(self, repo: RepositoryRef, branch: str) -> Footprint:
        git = opened(repo)
        at = await tip(repo, branch)
        files = await self._uncommitted(git, repo.path) if (repo.path / ".git").exists() else {}
        others = await asyncio.to_thread(self._workspaces)
        logs = {name: log.stat().st_size for name, log in _logs(repo, git, branch).items() if log.is_file()}
        return Footprint(_head(_checked_out(repo, git)), at, files, others, logs)

    async def moves(self, repo: RepositoryRef, branch: str, since: Footprint) -> Sequence[Move]:
        found: dict[str, Move] = {}
        for name, log in _logs(repo, opened(repo), branch).items():
            for move in await asyncio.to_thread(_entries, log, name, since.logs.get(name, 0)):
                found.setdefault(move.new, move)
        return list(found.values())

    async def _uncommitted(self, git: Git, checkout: Path) -> Mapping[str, str]:
        """Paths that differ from the index or are new there, each with a mark of its content."""
        users = replace(git, work_tree=checkout, git_dir=own_git_dir(checkout), users=True)
        listed = await users.run("ls-files", "-z", "-m", "-d", "-o", "--exclude-standard", "--directory")
        root = checkout.resolve()
        paths = {name: root / os.fsdecode(name) for name in sorted(set(listed.names))[:MOST_FILES]}
        return {readable(name): _stamp(path) for name, path in paths.items() if not self._is_own(path)}

    def _is_own(self, path: Path) -> bool:
        return any(path.is_relative_to(folder) or folder.is_relative_to(path) for folder in self._own)

    def _workspaces(self) -> Mapping[str, str]:
        return {name: _mark(self._root / name) for name in names(self._root, self._records)}


def _logs(repo: RepositoryRef, git: Git, branch: str) -> Mapping[str, Path]:
    return {branch: git.git_dir / "logs/refs/heads" / branch, "HEAD": _checked_out(repo, git) / "logs/HEAD"}


def _checked_out(repo: RepositoryRef, git: Git) -> Path:
    return own_git_dir(repo.path) if (repo.path / ".git").exists() else git.git_dir


def _head(git_dir: Path) -> str:
    return (git_dir / "HEAD").read_text(encoding="utf-8", errors="replace").strip()


def _mark(workspace: Path) -> str:
    """Cheap: where its HEAD leads, and when its index and its top were last written."""
    return " ".join((foreign.head(workspace) or "none", _stamp(workspace / ".git/index"), _stamp(workspace)))


def _stamp(path: Path) -> str:
    try:
        found = path.lstat()
    except OSError:
        return "gone"
    return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"


def _entries(log: Path, name: str, after: int) -> list[Move]:
    """The entries of a reflog beyond a length; none where git keeps no reflog (bare repositories)."""
    try:
        with log.open("rb") as file:
            file.seek(after)
            lines = readable(file.read(LOG_BYTES)).splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        facts, _, what = line.partition("\t")
        words, _, rest = facts.partition(" <")
        shas = words.split(" ")
        if len(shas) > 1 and foreign.SHA.fullmatch(shas[1]):
            found.append(Move(name, shas[1], rest.partition(">")[0], what))
    return found
