"""Where everything is (contract 2): one name for each documented path."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CACHES = ".caches"


@dataclass(frozen=True)
class Home:
    """Every path of contract 2, from the folder that holds config.yaml."""

    root: Path

    @cached_property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def database(self) -> Path:
        return self.state / "harness.db"

    @cached_property
    def interrupt_file(self) -> Path:
        return self.state / "interrupt-request.txt"

    @property
    def queue_file(self) -> Path:
        return self.state / "queue.json"

    @property
    def iteration_log(self) -> Path:
        return self.state / "iteration.log"

    @cached_property
    def sessions(self) -> Path:
        return self.state / "sessions"

    @property
    def session_logs(self) -> Path:
        return self.root / "docs" / "sessions"

    @property
    def claude(self) -> Path:
        return self.state / "claude"

    @property
    def worktrees(self) -> Path:
        return self.state / "worktrees"

    def caches(self, item: str) -> Path:
        """Cache folders of an item's workspace; they go with it."""
        return self.worktrees / CACHES / item

    @property
    def benches(self) -> Path:
        return self.state / "benches"

    @property
    def builds(self) -> Path:
        """What builds made, a folder a repository; `current` in it leads to the newest."""
        return self.state / "builds"

    @property
    def pushes(self) -> Path:
        """Reports of what was asked before each push, a folder a repository."""
        return self.state / "pushes"

    def kept(self, schedule: str) -> Path:
        """The folder of a schedule's command, which finds again what it left there."""
        return self.state / "schedules" / schedule

    @property
    def pages(self) -> Path:
        """The queue as markdown, for those who asked for it."""
        return self.root / "tasks"

    @property
    def decisions(self) -> Path:
        """A file for each open question; those that ended are below `closed`."""
        return self.state / "decisions"

    @property
    def backups(self) -> Path:
        """A folder a backup, and what was cancelled from the queue file."""
        return self.state / "backups"

    @property
    def forensics(self) -> Path:
        """What versions left that were rolled back, a folder each."""
        return self.state / "forensics"

    @property
    def command_logs(self) -> Path:
        return self.state / "logs" / "commands"

    @property
    def owners(self) -> Path:
        return self.state / "owners"

    def resource(self, name: str) -> Path:
        """The lock of whoever uses what only one may use at a time (R15)."""
        return self.state / "turns" / "resources" / f"{name}.lock"

    def turn(self, repository: str) -> Path:
        """The lock of whoever proves and integrates in a repository."""
        return self.state / "turns" / f"{repository}.lock"

    @property
    def dossiers(self) -> Path:
        return self.state / "dossiers"

    @property
    def evidence(self) -> Path:
        return self.state / "evidence"

    @property
    def prompts(self) -> Path:
        return self.root / "prompts"

    @property
    def docs(self) -> Path:
        return self.root / "docs"

    @property
    def current_session(self) -> Path:
        return self.state / "current-session.json"

    @property
    def lock(self) -> Path:
        return self.state / "loop.lock"

    @property
    def pid_file(self) -> Path:
        return self.state / "harness.pid"

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    def session(self, session: str) -> Path:
        """Our own folder of one session: spec, record, lock, session.json, metrics.json, result.md."""
        return self.sessions / session

    def brief(self, item: str) -> Path:
        """What a person who has the item reads."""
        return self.state / "hand" / f"{item}.md"

    def hand_in(self, item: str, fence: int) -> Path:
        """The folder of one hand-in: gates' logs, result.md."""
        return self.sessions / f"hand-{item}-{fence}"

    def session_log(self, session: str, suffix: str = ".log") -> Path:
        return self.session_logs / f"{session}{suffix}"

    def run_folder(self, run: str) -> Path:
        return self.state / "runs" / run
