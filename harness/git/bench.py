"""Benches: loop-owned checkouts in which gates run. In use for as long as their lock is held."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from harness import fs
from harness.git import checkout
from harness.git.mutex import open_lock, take_now
from harness.git.run import Git

LOCK = ".lock"


@asynccontextmanager
async def bench(benches: Path, git: Git, commit: str, *, under: Path) -> AsyncIterator[Path]:
    """A clean checkout of `commit` with a git directory of its own; gone afterwards, whatever a gate left in it."""
    folder = benches / uuid.uuid4().hex[:8]
    lock = folder.with_suffix(LOCK)
    file = open_lock(lock)
    take_now(file)
    try:
        await checkout.create(folder, git, commit)
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(_clear, folder, lock, under))
        os.close(file)


async def sweep(benches: Path, *, under: Path) -> list[Path]:
    """Remove benches whose loop is gone; what was removed."""
    return await asyncio.to_thread(_sweep, benches, under)


def _sweep(benches: Path, under: Path) -> list[Path]:
    removed = []
    for lock in sorted(benches.glob(f"*{LOCK}")):
        file = open_lock(lock)
        try:
            if take_now(file):
                _clear(lock.with_suffix(""), lock, under)
                removed.append(lock.with_suffix(""))
        finally:
            os.close(file)
    return removed


def _clear(folder: Path, lock: Path, under: Path) -> None:
    fs.discard(folder, under=under)
    lock.unlink(missing_ok=True)
