"""One command of a gate, contained: it is the agent's code that runs, so nothing it starts outlives the answer."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.model.errors import DiskFull, HarnessError
from harness.model.text import plain, tail
from harness.model.verdict import BROKEN, FAILED, PASSED, GateRun
from harness.ports import Ended, GateCase, Runner

MOST_TAIL = 4096
TESTS = "{tests}"
NOT_STARTED = frozenset({126, 127})


@dataclass(frozen=True, slots=True)
class ShellRun:
    """How a command ended; `tail` the end of its output, or why it could not be run."""

    run: GateRun
    tail: str
    limit_seconds: float

    @property
    def could_start(self) -> bool:
        return self.run.timed_out or (self.run.exit_code is not None and self.run.exit_code not in NOT_STARTED)


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs `/bin/sh -c` behind agent-init in the folder of a case, each run with a mark of its own."""

    runner: Runner
    timeout_seconds: float

    async def run(self, command: str, case: GateCase, *, on: str) -> ShellRun:
        """The output is kept at `case.log`, a very long one with its beginning and end. Raises DiskFull: nothing can be
        said then.
        """
        began = time.monotonic()
        try:
            ended = await self._contained(command, case)
        except DiskFull:
            raise
        except HarnessError as exc:
            seconds = time.monotonic() - began
            return ShellRun(GateRun(on, case.commit, None, seconds, str(case.log)), exc.message, self.timeout_seconds)
        sha256 = await asyncio.to_thread(_sha256, case.log)
        run = GateRun(on, case.commit, ended.code, ended.seconds, str(case.log), sha256, ended.timed_out)
        return ShellRun(run, ended.tail, self.timeout_seconds)

    async def _contained(self, command: str, case: GateCase) -> Ended:
        for folder in (case.log.parent, case.scratch):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        case.log.unlink(missing_ok=True)
        return await self.runner(
            ["/bin/sh", "-c", command],
            cwd=case.folder,
            env={**case.environment, **_document(case)},
            log=case.log,
            session=f"gate_{secrets.token_hex(6)}",
            folder=case.scratch,
            timeout_seconds=self.timeout_seconds,
        )


def _document(case: GateCase) -> Mapping[str, str]:
    return {"HARNESS_DOCUMENT": str(case.document)} if case.document is not None else {}


def _sha256(log: Path) -> str:
    """Of the file as it is; empty if a command wrote nothing at all and there is none."""
    try:
        with log.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def word_of(done: ShellRun) -> str:
    """The verdict of a command whose exit status alone decides."""
    if not done.could_start:
        return BROKEN
    return PASSED if done.run.green else FAILED


def told(done: ShellRun) -> str:
    """The end of the output, and what the output cannot tell."""
    said = tail(plain(done.tail).strip(), MOST_TAIL)
    if done.run.timed_out:
        return f"{said}\n[not finished after {done.limit_seconds:g} s]".strip()
    return f"{said}\n[exit {done.run.exit_code}]".strip() if done.run.exit_code else said


def with_tests(command: str, paths: Sequence[str]) -> str:
    """`{tests}` in a command replaced by the paths, each one word of the shell and none taken for an option."""
    words = (f"./{path}" if path.startswith("-") else path for path in paths)
    return command.replace(TESTS, " ".join(map(shlex.quote, words)))
