"""A whole loop in a folder: a home, a small repository, a scripted endpoint, and real `./loop` processes on them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from harness.model.home import Home
from harness.model.session import SessionRow
from harness.model.work import WorkItem
from harness.proc.tree import marked
from harness.rehearsal.records import Received
from harness.rehearsal.stage import Rehearsal
from harness.store.sqlite import SqliteStore
from tests.kit.cli import cli_slot
from tests.kit.prepared import Prepared, parent

T = TypeVar("T")
Turn = Mapping[str, Any]
QUICK: Mapping[str, Any] = {"iteration_delay": 0, "interrupt_check_interval": 1, "max_unclean_starts": 1000}
OPEN: Mapping[str, Any] = {"level": "none"}
GIT_IDENTITY = ("-c", "user.name=owner", "-c", "user.email=owner@example.org")
COMPLETE: Turn = {
    "tools": [{"name": "mcp__harness__complete_work", "input": {"status": "done", "summary": "all of it"}}]
}
DONE: Turn = {"text": "Done."}
EVERY = 1_000_000


def bash(command: str, **more: Any) -> Turn:
    return {"tools": [{"name": "Bash", "input": {"command": command, **more}}]}


def commit(name: str = "work.txt") -> Turn:
    return bash(f"echo done > {name} && git add -A && git commit -qm 'add {name}'")


def work(name: str = "work.txt") -> tuple[Turn, ...]:
    """What an agent does that does its work."""
    return (commit(name), COMPLETE, DONE)


def until(happened: Callable[[], T], seconds: float = 20.0, what: str = "it") -> T:
    """What `happened` returns as soon as it is true."""
    give_up = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < give_up, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)
    return found


class LoopProcess:
    """A running `./loop`. Its output goes to a file, so that it never waits for us."""

    def __init__(self, process: subprocess.Popen[bytes] | Prepared, said: Path) -> None:
        self.process = process
        self.said = said

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def output(self) -> str:
        return self.said.read_text(errors="replace")

    def signal(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def ended(self, seconds: float = 30.0) -> int:
        """Its exit code; fails with what it said if it goes on."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the loop still runs after {seconds} s:\n{self.output[-4000:]}") from None


@dataclass
class Yard:
    """Where loops run: `home`, the repository `app` (one commit on main), and the endpoint that plays the model.

    `prepared`: their processes are forked off one that has loaded everything.
    """

    folder: Path
    api: Rehearsal
    prepared: bool = False
    started: list[LoopProcess] = field(default_factory=list)

    @property
    def home(self) -> Home:
        return Home(self.folder / "home")

    @property
    def repository(self) -> Path:
        return self.folder / "app"

    # commands

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ},
            **({"IS_SANDBOX": "1"} if os.getuid() == 0 else {}),
            "HOME": str(self.folder / "user"),
            "LANG": "C.UTF-8",
            "ANTHROPIC_BASE_URL": self.api.url,
            "ANTHROPIC_API_KEY": "sk-ant-rehearsal",
            "CLAUDE_CODE_MAX_RETRIES": "2",
            **more,
        }

    def start(self, *arguments: str, **environment: str) -> LoopProcess:
        """`./loop ARGUMENTS` on our home; the launcher would exec the same process."""
        said = self.folder / f"said-{len(self.started)}.txt"
        words, env = ["-C", str(self.home.root), *arguments], self.environment(**environment)
        loop = LoopProcess(self._prepared(words, env, said) if self.prepared else self._fresh(words, env, said), said)
        self.started.append(loop)
        return loop

    def _prepared(self, words: Sequence[str], env: Mapping[str, str], said: Path) -> Prepared:
        return parent().start(words, cwd=self.folder, env=env, out=said)

    def _fresh(self, words: Sequence[str], env: Mapping[str, str], said: Path) -> subprocess.Popen[bytes]:
        with said.open("wb") as out:
            return subprocess.Popen(
                [sys.executable, "-I", "-m", "harness", *words],
                env=env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def run(self, *arguments: str, seconds: float = 60.0, **environment: str) -> tuple[int, str]:
        """A command to its end: exit code and output."""
        loop = self.start(*arguments, **environment)
        return loop.ended(seconds), loop.output

    def ask(self, *arguments: str) -> Any:
        """What a command answers with --json."""
        return json.loads(self.run(*arguments, "--json")[1])

    def add(self, item: str, **fields: Any) -> None:
        status, said = self.run("queue", "add", json.dumps({"id": item, "title": f"title of {item}", **fields}))
        assert status == 0, said

    # what is to be seen

    @contextmanager
    def store(self) -> Iterator[SqliteStore]:
        store = SqliteStore(self.home.database, read_only=True)
        try:
            yield store
        finally:
            store.close()

    def item(self, item: str) -> WorkItem:
        with self.store() as store:
            found = store.item(item)
        assert found is not None
        return found

    def sessions(self, item: str | None = None) -> list[SessionRow]:
        """All of them, oldest first."""
        with self.store() as store:
            return list(reversed(store.sessions(item=item, limit=EVERY)))

    def running(self) -> SessionRow | None:
        """The live session, once its agent has a pid."""
        if not self.home.database.exists():
            return None
        return next((row for row in self.sessions() if row.status == "running" and row.pid), None)

    def log(self) -> str:
        path = self.home.iteration_log
        return path.read_text() if path.exists() else ""

    def context(self, session: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.home.session_log(session, "-context.json").read_text())
        return found

    def workspace(self, item: str) -> Path:
        row = self.sessions(item)[-1]
        assert row.workspace is not None
        return Path(row.workspace)

    def tool(self, name: str = "begun") -> bool:
        """Whether a turn's command has touched `name` in some workspace: its tool runs."""
        return any(self.home.worktrees.rglob(name))

    def asked(self) -> list[Received]:
        """The requests of agents themselves, without the CLI's own side questions."""
        return [request for request in self.api.requests if request.tools]

    def git(self, *arguments: str) -> str:
        return git(self.repository, *arguments)

    def refs(self, pattern: str) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname)", pattern).split()

    def living(self) -> list[Any]:
        """Processes that carry the mark of any session of this home."""
        return marked({row.id for row in self.sessions()})

    # the end

    def clear(self) -> None:
        """End what a failed test left; only processes that this yard started, and what they left behind."""
        for loop in self.started:
            if loop.running:
                with contextlib.suppress(ProcessLookupError):
                    loop.process.kill()
                loop.process.wait()
        if self.home.database.exists():
            for left in self.living():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(left.pid, signal.SIGKILL)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *GIT_IDENTITY, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def make_repository(folder: Path) -> Path:
    """A repository with one commit on main, checked out."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "README.md").write_text("a sample\n")
    git(folder, "add", "README.md")
    git(folder, "commit", "-qm", "begin")
    return folder


def make_home(
    folder: Path, repository: Path, *, gate: str | None = None, harness: Mapping[str, Any] | None = None, **more: Any
) -> Path:
    """A home with `config.yaml` for one repository. `gate` is a shell command that judges every commit.

    Without isolation, unless `isolation` says more: gates and agents of these tests leave marks outside their folder.
    """
    gates = [{"name": "tests", "type": "command", "run": gate, "timeout_seconds": 60}] if gate else []
    config = {
        "harness": {**QUICK, **(harness or {})},
        "repositories": [{"name": "app", "path": str(repository), "branch": "main", "gates": gates}],
        "isolation": OPEN,
        **more,
    }
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def sessions(**scripts: tuple[Turn, ...]) -> dict[str, Any]:
    """A scenario: the script of each item, found by its title."""
    named = {name.replace("_", "-"): turns for name, turns in scripts.items()}
    return {"sessions": [{"match": f"title of {name}", "turns": list(turns)} for name, turns in named.items()]}


@contextmanager
def yard(
    folder: Path,
    scenario: Mapping[str, Any],
    *,
    gate: str | None = "test -f work.txt",
    harness: Mapping[str, Any] | None = None,
    prepared: bool = True,
    **more: Any,
) -> Iterator[Yard]:
    """A yard with the right to run the real CLI; everything it started has ended afterwards."""
    with cli_slot(), Rehearsal(scenario) as api:
        place = Yard(folder, api, prepared)
        make_home(place.home.root, make_repository(place.repository), gate=gate, harness=harness, **more)
        try:
            yield place
        finally:
            place.clear()
