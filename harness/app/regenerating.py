"""Runs the operator's command that makes a file anew in a conflict: contained, as gates are, in a checkout of ours."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

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
        room = f"regenerate-{secrets.token_hex(6)}"
        log = self.logs / f"regenerate-{repo.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            end = await self.environments.runner(
                ["/bin/sh", "-c", command],
                cwd=folder,
                env=self.environments.gate(room),
                log=log,
                session=room,
                folder=self.environments.room(room) / "init",
                timeout_seconds=SECONDS,
            )
        finally:
            self.environments.tidy(room)
        if end.code == 0 and not end.timed_out:
            return ""
        return f"$ {command}\nexit {end.code}{' (timed out)' if end.timed_out else ''}\n{end.tail}"
