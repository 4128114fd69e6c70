"""`./loop …` in this process: one call of `main` with a home of its own, and what it printed."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.cli.invocation import Invocation
from harness.cli.main import main
from harness.model.home import Home
from harness.store.reading import open_writer
from harness.store.sqlite import SqliteStore

ROOT = Path(__file__).resolve().parents[2]
ENVIRON = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8", "IS_SANDBOX": "1"}
SCRIPTED = """\
harness: {iteration_delay: 0, interrupt_check_interval: 1, stop_timeout: 5}
agents:
  default:
    type: scripted
    script:
      - say: I mend the state.
      - run: [sh, -c, "exit 3"]
      - write: {path: state.txt, content: "good\\n"}
      - run: [sh, check.sh]
      - commit: Mend the state
      - complete: mended
repositories:
  - {name: app, path: app, gates: [{name: tests, run: sh check.sh}]}
"""


@dataclass(frozen=True, slots=True)
class Said:
    """Exit code and both streams of one call."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        return found


@dataclass
class Caller:
    """Calls commands on `home`, at a time that stands still unless it is moved."""

    home: Home
    environ: dict[str, str] = field(default_factory=lambda: dict(ENVIRON))
    now: datetime | None = None

    def __call__(self, *words: str, stdin: str = "") -> Said:
        call = Invocation(environ=self.environ, cwd=self.home.root, now=self._now)
        out, err = io.StringIO(), io.StringIO()
        before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin.encode()))
        root = logging.getLogger()
        handlers = root.handlers[:]
        try:
            with redirect_stdout(out), redirect_stderr(err):
                code = main(words, call)
        finally:
            sys.stdin = before
            root.handlers = handlers  # a command of its own process takes what it captures with it
        return Said(code, out.getvalue(), err.getvalue())

    def _now(self) -> datetime:
        return self.now or datetime.now(UTC)

    def store(self) -> SqliteStore:
        self.home.state.mkdir(parents=True, exist_ok=True)
        return open_writer(self.home.state)

    def process(self, *words: str, seconds: float = 60, **environ: str) -> subprocess.CompletedProcess[str]:
        """The same as a process of its own."""
        return subprocess.run(
            [sys.executable, "-I", "-m", "harness", *words],
            cwd=self.home.root,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def home_at(folder: Path, config: str | None = None) -> Home:
    """A home with a repository whose check is red until state.txt says good."""
    app = folder / "app"
    app.mkdir(parents=True)
    (app / "check.sh").write_text("grep -qx good state.txt\n")
    (app / "state.txt").write_text("bad\n")
    identity = ("-c", "user.name=owner", "-c", "user.email=owner@example.org")
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), (*identity, "commit", "-qm", "First")):
        subprocess.run(["git", *words], cwd=app, env=ENVIRON, check=True, capture_output=True)
    (folder / "config.yaml").write_text(SCRIPTED if config is None else config)
    return Home(folder)
