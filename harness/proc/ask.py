"""A question to a program of the user's: its whole answer, within bounds of time and size, and its end."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TAIL_BYTES = 4096
CHUNK = 1 << 16
LOOK_SECONDS = 0.2
"""Between two questions whether the answer is still wanted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`code` as of a shell (128 + the signal; 126 or 127: not started); `too_long` one of "", time, size, unwanted."""

    code: int
    out: bytes
    tail: str
    too_long: str = ""


def ask(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], seconds: float, most_bytes: int,
    unwanted: Callable[[], bool] = lambda: False,
) -> Answer:  # fmt: skip
    """Run `argv`, without a shell and with `env` alone, until it has ended, a bound is reached or nobody wants the
    answer any more: then it and whatever it started in its process group are killed. `tail` is the end of its stderr.
    """
    try:
        process = subprocess.Popen(
            list(argv), cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True, bufsize=0,
        )  # fmt: skip
    except OSError as exc:
        return Answer(127 if isinstance(exc, FileNotFoundError) else 126, b"", exc.strerror or str(exc))
    with process:
        try:
            out, said, too_long = _read(process, time.monotonic() + seconds, most_bytes, unwanted)
        finally:
            with suppress(ProcessLookupError):  # an empty group is what we want
                os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    return Answer(128 - code if code < 0 else code, out, said.decode(errors="replace").strip(), too_long)


def _read(
    process: subprocess.Popen[bytes], until: float, most_bytes: int, unwanted: Callable[[], bool]
) -> tuple[bytes, bytes, str]:
    assert process.stdout is not None
    assert process.stderr is not None
    parts: dict[object, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    out, said = parts[process.stdout], parts[process.stderr]
    with selectors.DefaultSelector() as ready:
        for stream in (process.stdout, process.stderr):
            ready.register(stream, selectors.EVENT_READ)
        while ready.get_map():
            left = until - time.monotonic()
            if left <= 0:
                return bytes(out), bytes(said), "time"
            if unwanted():
                return bytes(out), bytes(said), "unwanted"
            for key, _ in ready.select(min(left, LOOK_SECONDS)):
                if not (data := os.read(key.fd, CHUNK)):
                    ready.unregister(key.fileobj)
                    continue
                parts[key.fileobj] += data
            del said[:-TAIL_BYTES]
            if len(out) > most_bytes:
                return bytes(out), bytes(said), "size"
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return bytes(out), bytes(said), "time"
    return bytes(out), bytes(said), ""
