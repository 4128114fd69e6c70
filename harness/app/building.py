"""Builds what is integrated, in a bench; only a build that succeeds takes the place of the one before (P3)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from harness.app.artefacts import publish
from harness.app.commands import Commands, Order
from harness.engine.builder import Built
from harness.engine.plan import BuildOrder
from harness.model.errors import Refused
from harness.model.home import Home
from harness.ports import Merger, RepositoryRef


@dataclass(frozen=True, slots=True)
class BenchBuilds:
    """Implements engine.builder.Builds."""

    commands: Commands
    merger: Merger
    home: Home

    async def build(self, repo: RepositoryRef, commit: str, order: BuildOrder) -> Built:
        """Raises HarnessError if nothing can be said of the build: no room on the disk, no bench."""
        async with self.merger.bench(repo, commit) as folder:
            told = await self.commands.run(Order("build", repo.name, order.run, order.timeout_seconds), folder)
            if not told.green:
                return Built(ok=False, said=told.words, where=str(told.log))
            if not order.artefacts:
                return Built(ok=True, said="", where="")
            builds = self.home.builds / repo.name
            try:
                made = await asyncio.to_thread(publish, folder, order.artefacts, builds, commit, under=self.home.state)
            except Refused as exc:
                return Built(ok=False, said=f"{exc.message}\n{told.words}", where=str(told.log))
        return Built(ok=True, said="", where=str(made))
