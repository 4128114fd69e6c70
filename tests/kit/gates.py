"""Gates without a loop: a small repository, a change in it, and real checkouts, commands and git."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.git.change import GitChange, leftovers
from harness.git.merge import GitMerger
from harness.model.work import WorkItem
from harness.ports import GateCase, RepositoryRef
from harness.proc.run import run_contained
from tests.kit.loop import git

Files = Mapping[str, str | None]
"""Path -> content; None = deleted."""


def commit(folder: Path, files: Files, message: str = "change") -> str:
    for name, content in files.items():
        path = folder / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


@dataclass
class Ground:
    """A repository in `folder/app` with a base and a head; `case()` is what a gate is given."""

    folder: Path
    base: str
    head: str

    @property
    def repo(self) -> RepositoryRef:
        return RepositoryRef("app", self.folder / "app", "main")

    @property
    def change(self) -> GitChange:
        return GitChange(self.repo, self.base, self.head)

    @property
    def merger(self) -> GitMerger:
        return GitMerger(self.folder / "benches", under=self.folder)

    def case(self, **item: Any) -> GateCase:
        """A case without a checkout, as gates get it that open their own."""
        return GateCase(
            WorkItem("one", "title", **item),
            self.folder,
            self.head,
            {"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            self.folder / "logs" / "gate.log",
            self.folder / "scratch",
            change=self.change,
            opener=self.open,
        )

    @asynccontextmanager
    async def open(self, commit: str, name: str) -> AsyncIterator[GateCase]:
        async with self.merger.bench(self.repo, commit) as folder:
            log = self.folder / "logs" / f"{name}.log"
            yield replace(self.case(), folder=folder, commit=commit, log=log, scratch=self.folder / "scratch" / name)

    async def left(self, folder: Path, commit: str) -> tuple[str, ...]:
        return await leftovers(self.repo, folder, commit)


def ground(folder: Path, base: Files, head: Files) -> Ground:
    app = folder / "app"
    app.mkdir(parents=True)
    git(app, "init", "-q", "-b", "main")
    return Ground(folder, commit(app, base, "base"), commit(app, head, "head"))


def made(kind: Any, **options: Any) -> Any:
    """A gate as the configuration would make it."""
    return kind(kind.__name__.removesuffix("Gate").lower(), run_contained, **options)
