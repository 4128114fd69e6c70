"""One holder at a time, over processes and tasks: `flock` on a file of ours, waited for without blocking the loop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from harness.fs import translate
from harness.model.errors import Busy

WAIT_SECONDS = 300.0
LONGEST_NAP_SECONDS = 0.05


@asynccontextmanager
async def held(path: Path, *, wait_seconds: float = WAIT_SECONDS) -> AsyncIterator[None]:
    """Hold the lock at `path` for the block. Raises Busy if another holder keeps it longer than `wait_seconds`."""
    file = open_lock(path)
    try:
        await _take(file, path, wait_seconds)
        yield
    finally:
        os.close(file)


def open_lock(path: Path) -> int:
    """A descriptor of the lock file, made if missing. Raises DiskFull or HarnessError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise translate(exc, path) from exc


def take_now(file: int) -> bool:
    """Lock an open file if nobody holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _take(file: int, path: Path, wait_seconds: float) -> None:
    give_up, nap = time.monotonic() + wait_seconds, 0.001
    while not take_now(file):
        if time.monotonic() > give_up:
            raise Busy(f"{path} has been held for {wait_seconds:g} s", hint="see which process holds it: fuser -v")
        await asyncio.sleep(nap)
        nap = min(nap * 2, LONGEST_NAP_SECONDS)
