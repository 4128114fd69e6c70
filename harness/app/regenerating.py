"""Runs the operator's command that makes a file anew in a conflict: contained, as gates are, in a checkout of ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.app.commands import Commands, Order
from harness.app.environments import Environments
from harness.ports import RepositoryRef

SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Regenerator:
    """Implements git.combine.Regenerate."""

    environments: Environments
    logs: Path

    async def __call__(self, repo: RepositoryRef, folder: Path, command: str) -> str:
        """What went wrong, empty if nothing did. Raises HarnessError if it could not be run at all."""
        order = Order("regenerate", repo.name, command, SECONDS)
        told = await Commands(self.environments, self.logs).run(order, folder)
        return "" if told.green else told.words
