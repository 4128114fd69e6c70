"""A person with a repository of their own and `./loop`: everything through the program, in an environment of ten words."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

from harness.model.home import Home
from harness.rehearsal.stage import Rehearsal
from tests.kit.cli import cli_slot
from tests.kit.command import Caller
from tests.kit.prepared import parent

ROOT = Path(__file__).resolve().parents[2]
LOOP = ROOT / "loop"
TEST = "sh check.sh"
COUNTED = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")


def bash(command: str, **more: Any) -> dict[str, Any]:
    """A turn in which the model calls Bash."""
    return {"tools": [{"name": "Bash", "input": {"command": command}}], **more}


def done(summary: str = "all of it", status: str = "done") -> dict[str, Any]:
    return {"tools": [{"name": "mcp__harness__complete_work", "input": {"status": status, "summary": summary}}]}


MEND = "echo good > state.txt && git add -A && git commit -qm 'Mend the state'"
WORKS: tuple[Mapping[str, Any], ...] = (bash(MEND), done(), {"text": "Done."})
"""The turns of a session that makes `check.sh` pass."""


def scenario(*turns: Mapping[str, Any]) -> dict[str, Any]:
    return {"sessions": [{"default": True, "turns": list(turns)}]}


def git(folder: Path, *arguments: str) -> str:
    """What git says in `folder`. Raises CalledProcessError."""
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, env=_GIT
    ).stdout.strip()


_GIT = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "A User"), ("EMAIL", "user@example.org"))},
}  # fmt: skip


def repository(folder: Path, branch: str = "main") -> Path:
    """A repository whose check is red until state.txt says good."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", branch)
    (folder / "check.sh").write_text("grep -qx good state.txt\n")
    (folder / "state.txt").write_text("bad\n")
    (folder / "README.md").write_text("An example.\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Begin")
    return folder


def wait_for(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Poll until `what` gives something true, for what only files or other programs tell."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return found


def billed(api: Rehearsal) -> dict[str, int]:
    """All that the endpoint billed, in the names of metrics.json."""
    return {name: sum(getattr(row, name) for row in api.bill) for name in COUNTED}


@dataclass
class User:
    """`folder` holds an empty HOME and the loop's home, `url` is where the model answers.

    `prepared`: `loop` is not the launcher, but a process forked off one that has loaded everything.
    """

    folder: Path
    url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    prepared: bool = False

    def __post_init__(self) -> None:
        self.home = self.folder / "house"
        for path in (self.folder / "HOME", self.home):
            path.mkdir(parents=True, exist_ok=True)

    def env(self, **more: str) -> dict[str, str]:
        sandbox = {"IS_SANDBOX": "1"} if os.getuid() == 0 else {}
        endpoint = {"ANTHROPIC_BASE_URL": self.url, "ANTHROPIC_API_KEY": "sk-ant-rehearsal"}
        made = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "HOME"), **sandbox, **endpoint}
        return {key: value for key, value in {**made, **self.environment, **more}.items() if value}

    def loop(self, *arguments: str | Path, cwd: Path | None = None, seconds: float = 60, **env: str) -> Done:
        """Run `./loop ARGUMENTS` to its end; at most two at a time on the machine if it starts sessions."""
        with cli_slot():
            if self.prepared:
                return self._forked(list(map(str, arguments)), cwd or self.home, seconds, self.env(**env))
            ended = subprocess.run(
                [str(LOOP), *map(str, arguments)],
                cwd=cwd or self.home,
                env=self.env(**env),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        return Done(ended.returncode, ended.stdout, ended.stderr)

    def _forked(self, arguments: Sequence[str], cwd: Path, seconds: float, env: Mapping[str, str]) -> Done:
        number = len(list(self.folder.glob("said-*.out")))
        out, err = (self.folder / f"said-{number}.{kind}" for kind in ("out", "err"))
        process = parent().start(["--launched-as", str(LOOP), *arguments], cwd=cwd, env=env, out=out, err=err)
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
        return Done(code, out.read_text(), err.read_text())

    @contextmanager
    def running(self, *arguments: str, **env: str) -> Any:
        """`./loop` in the background, its stderr in `house/loop.err`; ended with TERM if it is not over by then."""
        with cli_slot(), (self.home / "loop.err").open("wb") as said:
            process = self._popen(arguments, said, env)
            try:
                wait_for(lambda: process.poll() is not None or (self.home / "state" / "harness.pid").exists())
                yield process
            finally:
                process.terminate()
                process.wait(30)

    def _popen(self, arguments: Sequence[str], said: IO[bytes], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(LOOP), *arguments],
            cwd=self.home,
            env=self.env(**env),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )

    def ask(self, *arguments: str | Path) -> Done:
        """A command that starts no session, called in this process: a second less than `loop`."""
        said = Caller(Home(self.home), environ=self.env())(*map(str, arguments))
        return Done(said.code, said.out, said.err)

    def init(self, repo: Path, *more: str, test: str | None = TEST) -> Done:
        made = self.ask("init", "--repo", repo, *(("--test", test) if test else ()), *more)
        assert made.code == 0, made
        return made

    def add(self, item: Mapping[str, Any] | None = None) -> str:
        given = {"id": "test-001", "type": "test", "title": "Mend the state", "priority": "high",
                 "description": "state.txt must say good"} | dict(item or {})  # fmt: skip
        assert self.ask("queue", "add", json.dumps(given)).code == 0
        return str(given["id"])

    def item(self, name: str = "test-001") -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.ask("queue", "show", name, "--json").out)["item"]
        return shown

    def configure(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edit config.yaml as a person would with an editor."""
        path = self.home / "config.yaml"
        config = yaml.safe_load(path.read_text())
        change(config)
        path.write_text(yaml.safe_dump(config))

    def sessions(self) -> list[dict[str, Any]]:
        """Metrics of all sessions, oldest first."""
        found = [json.loads(path.read_text()) for path in (self.home / "state" / "sessions").glob("*/metrics.json")]
        return sorted(found, key=lambda one: str(one["started_at"]))

    def log(self) -> str:
        path = self.home / "state" / "iteration.log"
        return path.read_text() if path.exists() else ""


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def error(self) -> dict[str, Any]:
        """The error object of `--json`."""
        found: dict[str, Any] = json.loads(self.out or self.err)["error"]
        return found
