"""One command behind agent-init, from start to empty tree: gates and set-up commands run like this."""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.model.errors import Busy, HarnessError
from harness.proc.contain import (
    SPEC_VARIABLE,
    AgentInitSpec,
    InitLimits,
    Record,
    command,
    end_leftovers,
    read_record,
    write_spec,
)
from harness.proc.identity import Identity, identify
from harness.proc.tree import end
from harness.shielded import seen_through

TAIL_BYTES = 4096
LOG_BYTES = 5 << 20
"""As of every other log (contract 2); agents, whose frames are the record of a session, have more."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a command ended. `tail` is the end of its output; `contained` as in Record, `reason` in agent-init's words.

    `code` is 128 + `signal` for a command that died of a signal, and 126 or 127 for one that could not be started, by
    us or by a shell on our behalf.
    """

    code: int
    signal: int | None
    timed_out: bool
    seconds: float
    contained: str
    tail: str
    reason: str = ""

    @property
    def could_not_start(self) -> bool:
        return self.code in (126, 127) and not self.timed_out


async def run_contained(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    session: str,
    folder: Path,
    timeout_seconds: float,
    stdin: int = DEVNULL,
    grace_seconds: float = 3.0,
    limits: InitLimits | None = None,
    isolation: Mapping[str, object] | None = None,
) -> Exit:
    """Run `argv` and return when it and everything it started have ended; both outputs go to `log`.

    Of more than LOG_BYTES the log has the beginning and the end, and a line between them that says so.
    After `timeout_seconds`, or when the task is cancelled: TERM, `grace_seconds`, KILL. `folder` gets spec, record and
    lock, named after the log. `env` is the whole environment. `session` marks the processes and must be this run's own:
    whoever carries it may be killed. Raises Busy if the same command still runs there, and HarnessError if there is no
    `cwd` or agent-init itself fails. `isolation` as in AgentInitSpec, default none. Call it from the main thread.
    """
    files = {part: folder / f"{log.stem}.{part}" for part in ("spec", "record", "lock")}
    files["record"].unlink(missing_ok=True)
    spec = AgentInitSpec(
        argv[0], log, log, files["lock"], files["record"], session,
        format="text", end_on_hangup=False, grace_seconds=grace_seconds,
        limits=limits or InitLimits(log_bytes=LOG_BYTES),
        isolation=isolation or {},
    )  # fmt: skip
    write_spec(files["spec"], spec)
    began = time.monotonic()
    environment = {**env, SPEC_VARIABLE: str(files["spec"]), "HARNESS_SESSION": session}
    process, cancelled = await seen_through(_spawn(argv[1:], cwd, environment, stdin))
    root = identify(process.pid)
    timed_out = False
    try:
        if cancelled is not None:
            raise cancelled
        async with asyncio.timeout(timeout_seconds):
            await process.wait()
    except TimeoutError:
        timed_out = True
    finally:
        _, cancelled = await seen_through(_end(process, root, grace_seconds, session, files["record"]))
        if cancelled is not None:
            raise cancelled
    return _exit(process, await _complaint(process), read_record(files["record"]), log, timed_out, began)


async def _spawn(arguments: Sequence[str], cwd: Path, env: Mapping[str, str], stdin: int) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command(), *arguments, cwd=cwd, env=env, stdin=stdin, stdout=DEVNULL, stderr=PIPE
        )
    except OSError as exc:
        raise HarnessError(f"cannot start a command in {cwd}: {exc.strerror}", hint="check that folder") from exc


async def _end(process: Process, root: Identity | None, grace_seconds: float, session: str, record: Path) -> None:
    """Also for the case that agent-init itself was killed: its record has no end then, and the marks must serve."""
    if process.returncode is None and root is not None:
        await end(root, term_seconds=grace_seconds + 11, session=session)
    await process.wait()
    written = read_record(record)
    if written is not None and written.ended_at is None:
        await asyncio.to_thread(end_leftovers, written, session)


async def _complaint(process: Process) -> str:
    """What agent-init itself said; the agent's own stderr is in the log."""
    assert process.stderr is not None
    return (await process.stderr.read()).decode(errors="replace").strip()


def _exit(process: Process, complaint: str, record: Record | None, log: Path, timed_out: bool, began: float) -> Exit:
    code = process.returncode if process.returncode is not None else -1
    if record is None:
        kind = Busy if code == Busy.status else HarnessError
        raise kind(complaint or f"agent-init ended with {code} before it began", hint="try again")
    return Exit(
        code=128 - code if code < 0 else code,
        signal=record.signal,
        timed_out=timed_out,
        seconds=time.monotonic() - began,
        contained=record.contained or "best_effort",
        tail=_tail(log),
        reason=record.reason,
    )


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
