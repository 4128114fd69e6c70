"""A place to run agent-init in: its files, its start, and who of its tree still lives."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from harness.proc.contain import AgentInitSpec, Record, command, end_leftovers, read_record, write_spec
from harness.proc.lock import is_free

T = TypeVar("T")
ZOO = Path(__file__).with_name("zoo.py")
PYTHON = (sys.executable, "-I", "-S")


class Den:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.marker = f"zoo-{uuid.uuid4().hex}"
        self.spec = AgentInitSpec(
            argv0=sys.executable,
            log=folder / "agent.log",
            err=folder / "agent.err",
            lock=folder / "agent.lock",
            record=folder / "record.json",
            session=f"ses_{uuid.uuid4().hex[:12]}",
            end_on_hangup=False,
            grace_seconds=0.2,
        )

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
        return {**kept, "HARNESS_AGENT_SPEC": str(self.folder / "spec.json"), **more}

    def prepare(self, **changes: Any) -> None:
        self.spec = replace(self.spec, **changes)
        write_spec(self.folder / "spec.json", self.spec)

    def start(self, *arguments: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([*command(), *arguments], env=self.environment(**(env or {})), **settings)

    def run(self, *arguments: str, input: bytes | None = None, **options: Any) -> tuple[int, bytes, bytes]:  # noqa: A002
        if input is not None:
            options["stdin"] = subprocess.PIPE
        with self.start(*arguments, **options) as process:
            out, err = process.communicate(input, timeout=60)
        return process.returncode, out, err

    def python(self, code: str, **options: Any) -> tuple[int, bytes, bytes]:
        return self.run("-I", "-S", "-c", code, **options)

    def zoo(self, action: str, *kinds: str) -> list[str]:
        return ["-I", "-S", str(ZOO), self.marker, action, *kinds]

    def living(self) -> list[int]:
        """Everybody whose argv has the marker and who is no zombie; [0] if there is somebody too quick to be seen.

        The whole tree inherits the lock, so the lock knows exactly.
        """
        found = [] if is_free(self.spec.lock) else [0]
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes()
                state = (path / "stat").read_bytes().rpartition(b")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if self.marker.encode() in words and state not in b"ZX" and int(path.name) != os.getpid():
                found.append(int(path.name))
        return found

    def clear(self) -> None:
        """End whatever a failed test left; a storm that cannot be seen is in the group of its agent."""
        for path in self.folder.rglob("*record*"):
            record = read_record(path)
            if record is not None and record.ended_at is None:
                end_leftovers(record, self.spec.session)
        for pid in filter(None, self.living()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def record(self) -> Record:
        record = read_record(self.spec.record)
        assert record is not None
        return record

    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.spec.log.read_bytes().splitlines()]


def wait_for_end(pid: int, seconds: float = 10.0) -> None:
    """Of a process that need not be our child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], seconds)[0], f"process {pid} still runs after {seconds} s"
    finally:
        os.close(handle)


def wait_until(happened: Callable[[], T], seconds: float = 10.0) -> T:
    """What `happened` returns as soon as it is true."""
    give_up = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < give_up, f"did not happen within {seconds} s"
        time.sleep(0.01)
    return found
