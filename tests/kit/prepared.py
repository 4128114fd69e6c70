"""Processes of `./loop` that need not load it: forked off one that has, two seconds of CPU less for each.

For tests in which the start is not the subject. Such a process has its own pid, signals, environment, folder and files;
the launcher's real one is what tests of the start, the chaos and the benches use.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

READY_SECONDS = 60.0
ANSWER_SECONDS = 30.0


class Prepared:
    """A forked process, as `subprocess.Popen` has it: pid, poll, wait, send_signal, terminate, kill."""

    def __init__(self, parent: Parent, arguments: Sequence[str], pid: int) -> None:
        self.args, self.pid = list(arguments), pid
        self.returncode: int | None = None
        self._parent = parent

    def poll(self) -> int | None:
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for a signal. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + (timeout if timeout is not None else 1e9)
        while (code := self._look(max(0.0, deadline - time.monotonic()))) is None:
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, seconds: float) -> int | None:
        if self.returncode is None:
            self.returncode = self._parent.ended(self.pid, seconds)
        return self.returncode


class Parent:
    """The process that has loaded everything. Commands go in as lines of JSON; pids and endings come out."""

    def __init__(self) -> None:
        command = [sys.executable, "-I", str(Path(__file__).resolve())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._rest = b""
        self._codes: dict[int, int] = {}
        self._begun: list[int] = []
        self._until(lambda: bool(self._begun), READY_SECONDS)
        self._begun.clear()

    def start(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: Path, err: Path | None = None
    ) -> Prepared:
        """`./loop ARGUMENTS` with nothing to read; its output goes to `out`, its errors to `err` or there too."""
        order = {
            "arguments": list(arguments),
            "cwd": str(cwd),
            "env": dict(env),
            "out": str(out),
            "err": str(err or ""),
        }
        out.touch()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        self._until(lambda: bool(self._begun), ANSWER_SECONDS)
        return Prepared(self, arguments, self._begun.pop())

    def ended(self, pid: int, seconds: float) -> int | None:
        """The exit code of a process, within `seconds`; None if it goes on."""
        self._until(lambda: pid in self._codes, seconds, needed=False)
        return self._codes.get(pid)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _until(self, happened: Any, seconds: float, *, needed: bool = True) -> None:
        deadline = time.monotonic() + seconds
        self._read(0.0)
        while not happened():
            left = deadline - time.monotonic()
            if left <= 0:
                assert not needed, f"no answer within {seconds} s"
                return
            self._read(left)

    def _read(self, seconds: float) -> None:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], min(seconds, 3600.0))[0]:
            return
        data = self._process.stdout.read()
        assert data, "the prepared process has ended"
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "code" in told:
                self._codes[told["pid"]] = told["code"]
            else:
                self._codes.pop(told["pid"], None)  # of an earlier process with this number
                self._begun.append(told["pid"])


@cache
def parent() -> Parent:
    """One a test process, made when it is first asked for."""
    made = Parent()
    atexit.register(made.close)
    return made


def serve() -> None:
    """Until the input ends: fork a loop for each order, tell its pid, and later how it ended."""
    import harness.agents.claude.session  # noqa: PLC0415
    import harness.app.start  # noqa: F401, PLC0415

    gc.freeze()
    woken, wakes = os.pipe()
    for end in (woken, wakes):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _tell(pid=os.getpid())
    rest = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _reap()
        if 0 in ready:
            data = os.read(0, 1 << 16)
            if not data:
                return
            *orders, rest = (rest + data).split(b"\n")
            for order in orders:
                pid = os.fork()
                if pid == 0:
                    _become(json.loads(order))
                _tell(pid=pid)


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell(pid=pid, code=os.waitstatus_to_exitcode(status))


def _tell(**facts: int) -> None:
    os.write(1, json.dumps(facts).encode() + b"\n")


def _become(order: Mapping[str, Any]) -> None:
    """What the launcher would have started; never returns."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    out = os.open(order["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    err = os.open(order["err"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if order["err"] else out
    for here, there in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(here, there)
    os.closerange(3, 256)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    sys.argv = ["harness", *order["arguments"]]
    from harness.__main__ import start  # noqa: PLC0415

    sys.exit(start())


if __name__ == "__main__":
    serve()
