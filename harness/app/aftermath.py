"""Puts together what follows an integration: who builds, who is asked before a push, who keeps the log of commits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import fs
from harness.app.building import BenchBuilds
from harness.app.commands import Commands
from harness.app.environments import Environments
from harness.app.following import ConfigErrands
from harness.app.planner import ConfigPlanner
from harness.app.push_checks import PushChecks
from harness.engine.builder import Builder
from harness.engine.commit_log import CommitLog, last_seq
from harness.engine.mover import IntegratorTools
from harness.engine.plan import Prover
from harness.engine.state import LoopState
from harness.git.pull import GitCheckouts
from harness.model.home import Home
from harness.ports import Books, Clock, Merger
from harness.telemetry.rotate import RotatingFile

END_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Aftermath:
    """`tools` for the integrator; `components` run beside the work, and `close` brings them to an end with it."""

    tools: IntegratorTools
    builder: Builder
    commits: CommitLog

    @property
    def components(self) -> tuple[Builder, CommitLog]:
        return (self.builder, self.commits)

    async def close(self) -> None:
        await self.builder.close()
        await self.commits.tick()


def make_aftermath(
    books: Books, clock: Clock, state: LoopState, home: Home, merger: Merger, prover: Prover,
    planner: ConfigPlanner, environments: Environments,
) -> Aftermath:  # fmt: skip
    commands = Commands(environments, home.command_logs)
    guard = PushChecks(planner, commands, merger, home, clock)
    errands = ConfigErrands(planner, clock)
    tools = IntegratorTools(books, clock, state, home, merger, prover, planner, GitCheckouts(), errands, guard)
    path = home.state / "logs" / "commits.log"
    log = CommitLog(books, state, _end_of(path), RotatingFile(path).write, clock)
    return Aftermath(tools, Builder(tools, BenchBuilds(commands, merger, home)), log)


def _end_of(path: Path) -> Callable[[], int]:
    def last() -> int:
        if (end := _tail(path)) and not end.endswith("\n"):
            fs.append(path, "")  # a full disk cut a line off: the next one begins a line of its own
        return last_seq(end) or last_seq(_tail(path.with_name(f"{path.name}.1")))

    return last


def _tail(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, opened.seek(0, 2) - END_BYTES))
            return opened.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
