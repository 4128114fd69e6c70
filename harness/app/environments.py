"""The built environments of agents, set-up commands and gates (contract 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.engine.plan import Plan
from harness.model.environment import agent_environment, gate_environment
from harness.model.home import Home
from harness.proc.run import run_contained

SETUP_SECONDS = 1800.0


@dataclass(slots=True)
class Environments:
    """Implements engine.plan.Surroundings. `environ` is the caller's, `extra` the configuration's `environment:`."""

    home: Home
    run: str
    environ: Mapping[str, str]
    extra: Mapping[str, str]

    def agent(self, session: str, *, home: Path, tmp: Path) -> dict[str, str]:
        return agent_environment(
            self.environ, home=home, tmpdir=tmp, claude=self.home.claude, session=session, extra=self.extra
        )

    def gate(self, name: str) -> dict[str, str]:
        """For one gate or set-up command: a fresh empty HOME and TMPDIR of the name, nothing of the model's."""
        root = self.home.run_folder(self.run) / "tmp" / name
        home, tmp = root / "home", root / "tmp"
        for folder in (home, tmp):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return gate_environment(self.environ, home=home, tmpdir=tmp, session=name, extra=self.extra)

    async def prepare(self, plan: Plan, workspace: Path, session: str, log: Path) -> str | None:
        """Run the set-up commands in order; the tail of the first that fails."""
        folder = self.home.run_folder(self.run) / "setup" / session
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log.parent.mkdir(parents=True, exist_ok=True)
        for command in plan.setup:
            end = await run_contained(
                ["/bin/sh", "-c", command],
                cwd=workspace,
                env=self.gate(session),
                log=log,
                session=session,
                folder=folder,
                timeout_seconds=SETUP_SECONDS,
            )
            if end.code != 0 or end.timed_out:
                return f"$ {command}\nexit {end.code}{' (timed out)' if end.timed_out else ''}\n{end.tail}"
        return None
