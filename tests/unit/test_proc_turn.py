"""Turns over tasks and processes: one at a time, in a fair order, and a wait that is long is said."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import pytest

from harness.model.errors import StoreError
from harness.proc import turn as turns
from harness.proc.lock import FileLock, is_free
from harness.proc.turn import Turn


def quiet(_holder: str) -> None:
    pytest.fail("nobody waits that long here")


async def test_turns_of_two_processes_never_overlap_and_neither_is_overtaken(tmp_path: Path) -> None:
    # what a flock is concerned, two objects are two processes
    here, there = Turn(tmp_path / "t.lock", quiet), Turn(tmp_path / "t.lock", quiet)
    inside, order = [], []

    async def takes(turn: Turn, name: str) -> None:
        async with turn():
            inside.append(name)
            assert len(inside) == 1
            order.append(name)
            await asyncio.sleep(0.01)
            inside.remove(name)

    async with asyncio.timeout(30):
        await asyncio.gather(*(takes(here, "here") for _ in range(12)), *(takes(there, "there") for _ in range(4)))
    assert sorted(order) == ["here"] * 12 + ["there"] * 4
    assert order.index("there") < 3, "a process with many tasks does not keep the turn to itself"
    assert "".join(name[0] for name in order[: order.index("there") + 8]).count("t") >= 3
    assert is_free(tmp_path / "t.lock")
    assert is_free(tmp_path / "t.next")


async def test_a_turn_is_free_again_after_an_error_and_after_a_wait_that_was_given_up(tmp_path: Path) -> None:
    one, other = Turn(tmp_path / "t.lock", quiet), Turn(tmp_path / "t.lock", quiet)
    with pytest.raises(ValueError, match="x"):
        async with one():
            raise ValueError("x")
    async with one():
        waiting = asyncio.ensure_future(other().__aenter__())
        await asyncio.sleep(0.02)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(10), other():
        assert not is_free(tmp_path / "t.lock")


async def test_a_holder_that_stays_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SAID_AFTER_SECONDS", 0.05)
    said: list[str] = []
    told = asyncio.Event()

    def hear(holder: str) -> None:
        said.append(holder)
        told.set()

    held = FileLock(tmp_path / "t.lock")
    assert held.acquire("pid 4711")
    waiting = asyncio.ensure_future(Turn(tmp_path / "t.lock", hear)().__aenter__())
    async with asyncio.timeout(10):
        await told.wait()
        held.release()
        await waiting
    assert said == ["pid 4711"]


def test_a_lock_whose_file_was_taken_away_says_that_its_holder_counts_as_dead(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "owner.lock")
    lock.check_held()
    assert lock.acquire()
    lock.check_held()
    assert lock.is_in_place
    lock.path.unlink()
    for put_there in (lambda: None, lock.path.touch):
        put_there()
        assert not lock.is_in_place
        with pytest.raises(StoreError, match="was taken away"):
            lock.check_held()
    file = os.open(lock.path, os.O_RDWR)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(file)
