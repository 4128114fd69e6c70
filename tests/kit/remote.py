"""A remote of a repository on this machine: a bare repository with hooks, and somebody else who pushes to it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.loop import git


@dataclass
class Remote:
    """The bare repository at `path`. Every push that it takes is a line of `taken`."""

    path: Path
    _clones: itertools.count[int] = field(default_factory=itertools.count)

    def git(self, *arguments: str) -> str:
        return git(self.path, *arguments)

    @property
    def main(self) -> str:
        return self.git("rev-parse", "main")

    @property
    def taken(self) -> list[str]:
        """`old new ref` of every update, oldest first."""
        log = self.path / "taken"
        return log.read_text().splitlines() if log.exists() else []

    def hook(self, name: str, script: str) -> Path:
        file = self.path / "hooks" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return file

    def theirs(self, **files: str) -> str:
        """Somebody else clones, commits and pushes; their commit. `__` in a name stands for a dot."""
        clone = self.path.parent / f"somebody-{next(self._clones)}"
        git(self.path.parent, "clone", "-q", str(self.path), str(clone))
        for name, content in files.items():
            (clone / name.replace("__", ".")).write_text(content)
        git(clone, "add", "-A")
        git(clone, "commit", "-qm", "theirs")
        git(clone, "push", "-q", "origin", "main")
        return git(clone, "rev-parse", "HEAD")


def remote_of(repository: Path, *, name: str = "origin") -> Remote:
    """A bare copy beside `repository`, named as its remote; it writes down what it takes."""
    made = Remote(repository.with_name(f"{repository.name}.git"))
    git(repository, "clone", "-q", "--bare", str(repository), str(made.path))
    git(made.path, "remote", "remove", "origin")
    git(repository, "remote", "add", name, str(made.path))
    made.hook("post-receive", f"cat >> {made.path}/taken")
    return made
