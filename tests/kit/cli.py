"""The real Claude CLI in tests: where it is, the environment it gets, and never more than two of them at once."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import json
import os
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SLOTS = 2
_SLOT_POLL_SECONDS = 0.05  # flock cannot wait for either of two


def bundled_cli() -> Path:
    """The CLI that came with the SDK, found without importing the SDK (which costs a second of CPU)."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "_bundled" / "claude"


def cli_environment(home: Path, url: str, **more: str) -> dict[str, str]:
    """A built environment, never the inherited one: empty HOME, own config folder, dummy key, endpoint on loopback.

    Retries are short; `more` overrides anything.
    """
    home.mkdir(parents=True, exist_ok=True)
    sandbox = {"IS_SANDBOX": "1"} if os.getuid() == 0 else {}
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / "claude"),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "sk-ant-rehearsal",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "2",
        "GIT_AUTHOR_NAME": "agent",
        "GIT_AUTHOR_EMAIL": "agent@example.org",
        "GIT_COMMITTER_NAME": "agent",
        "GIT_COMMITTER_EMAIL": "agent@example.org",
        **sandbox,
        **more,
    }


@contextlib.contextmanager
def cli_slot() -> Iterator[int]:
    """One of two machine-wide slots; waits for a free one. Held by a lock, so a killed test gives it back."""
    with _slot_files() as handles:
        while (slot := _locked(handles)) is None:
            time.sleep(_SLOT_POLL_SECONDS)
        yield slot


@contextlib.asynccontextmanager
async def cli_slot_async() -> AsyncIterator[int]:
    """`cli_slot` for tests with an event loop."""
    with _slot_files() as handles:
        while (slot := _locked(handles)) is None:  # noqa: ASYNC110 - another process's lock sets no event of ours
            await asyncio.sleep(_SLOT_POLL_SECONDS)
        yield slot


@contextlib.contextmanager
def _slot_files() -> Iterator[list[int]]:
    folder = Path(tempfile.gettempdir()) / f"loop-cli-slots-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    handles = [os.open(folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for number in range(SLOTS)]
    try:
        yield handles
    finally:
        for handle in handles:
            os.close(handle)


def _locked(handles: Sequence[int]) -> int | None:
    """The number of the slot that is ours now, if one was free."""
    for number, handle in enumerate(handles):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return number
    return None


@dataclass(frozen=True)
class Run:
    """What one `claude -p` printed and how it ended."""

    exit_code: int
    events: list[dict[str, Any]] = field(repr=False)
    stderr: str = ""

    @property
    def result(self) -> dict[str, Any]:
        return [event for event in self.events if event["type"] == "result"][-1]

    def of(self, kind: str, subtype: str | None = None) -> list[dict[str, Any]]:
        return [e for e in self.events if e["type"] == kind and subtype in (None, e.get("subtype"))]

    @property
    def text(self) -> str:
        return str(self.result.get("result", ""))


def claude(prompt: str, url: str, folder: Path, *flags: str, seconds: float = 60, **environment: str) -> Run:
    """Run `claude -p prompt` in `folder`/work with a home beside it. Raises subprocess.TimeoutExpired."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    command = [
        str(bundled_cli()), "-p", prompt, "--output-format", "stream-json", "--verbose",
        "--permission-mode", "bypassPermissions", *flags,
    ]  # fmt: skip
    with cli_slot():
        done = subprocess.run(
            command,
            cwd=work,
            env=cli_environment(folder / "home", url, **environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    return Run(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)


def model_usage(run: Run) -> dict[str, int]:
    """The CLI's own count over all models: the names are those of the bill."""
    rows = run.result["modelUsage"].values()
    return {
        "input": sum(row["inputTokens"] for row in rows),
        "output": sum(row["outputTokens"] for row in rows),
        "cache_read": sum(row["cacheReadInputTokens"] for row in rows),
        "cache_write": sum(row["cacheCreationInputTokens"] for row in rows),
    }
