"""The built environments of agents, set-up commands and gates (contract 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness import fs
from harness.app.fence import Fence, FencedRunner
from harness.engine.plan import Plan
from harness.model.environment import agent_environment, gate_environment
from harness.model.home import Home
from harness.model.outfit import BARE, Outfit, variables
from harness.ports import Runner
from harness.proc.ports import Ports

SETUP_SECONDS = 1800.0


@dataclass(slots=True)
class Environments:
    """Implements engine.plan.Surroundings. `environ` is the caller's, `extra` the configuration's `environment:`."""

    home: Home
    run: str
    environ: Mapping[str, str]
    extra: Mapping[str, str]
    fence: Fence = field(default_factory=Fence)

    @property
    def runner(self) -> Runner:
        """Runs set-up commands and gates."""
        return FencedRunner(self.fence)

    def agent(self, session: str, *, home: Path, tmp: Path) -> dict[str, str]:
        made = agent_environment(
            self.environ, home=home, tmpdir=tmp, claude=self.home.claude, session=session, extra=self.extra
        )
        return {**made, **self._ceilings(), **self.fence.variables, **self.fence.temporary(tmp)}

    def _ceilings(self) -> dict[str, str]:
        """An agent that lost its `.git` must not find the repository around the home (git looks upwards)."""
        return {"GIT_CEILING_DIRECTORIES": f"{self.home.worktrees}:{self.home.benches}"}

    def equipment(self, plan: Plan, workspace: Path) -> dict[str, str]:
        """Ports and cache folders that stay with a workspace. Raises Refused without a free port."""
        return self._equipment(plan.outfit, workspace, self.home.caches(workspace.name))

    def _equipment(self, outfit: Outfit, owner: Path, caches: Path) -> dict[str, str]:
        for name in outfit.caches:
            (caches / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        ports = Ports(self.home.state / "ports.json").take(owner, outfit.ports)
        return dict(variables(ports, outfit.caches, caches))

    def gate(self, name: str, outfit: Outfit = BARE) -> dict[str, str]:
        """For one gate or set-up command: a fresh empty HOME and TMPDIR of the name, nothing of the model's.

        A gate has ports and empty cache folders of its own: what an agent left in a cache proves nothing.
        """
        home, tmp = self.room(name) / "home", self.room(name) / "tmp"
        for folder in (home, tmp):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = gate_environment(self.environ, home=home, tmpdir=tmp, session=name, extra=self.extra)
        return made | self._ceilings() | self._equipment(outfit, self.room(name), self.room(name) / "caches")

    def tidy(self, name: str) -> None:
        """What a gate or set-up command needed goes with it (O13)."""
        fs.discard(self.room(name), under=self.home.state)

    def room(self, name: str) -> Path:
        """The temporary folder of one gate, proof or set-up."""
        return self.home.run_folder(self.run) / "tmp" / name

    async def prepare(self, plan: Plan, workspace: Path, session: str, log: Path) -> str | None:
        """Run the set-up commands in order; the tail of the first that fails."""
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            for command in plan.setup:
                if (broken := await self._set_up(plan, command, workspace, session, log)) is not None:
                    return broken
        finally:
            self.tidy(session)
        return None

    async def _set_up(self, plan: Plan, command: str, workspace: Path, session: str, log: Path) -> str | None:
        end = await self.runner(
            ["/bin/sh", "-c", command],
            cwd=workspace,
            env={**self.gate(session), **self.equipment(plan, workspace)},
            log=log,
            session=session,
            folder=self.room(session) / "init",
            timeout_seconds=SETUP_SECONDS,
        )
        if end.code == 0 and not end.timed_out:
            return None
        return f"$ {command}\nexit {end.code}{' (timed out)' if end.timed_out else ''}\n{end.tail}"
