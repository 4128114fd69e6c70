"""The watch over the interrupt file: what it sees at once, and what it does not ask the store for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from harness.clock import SystemClock
from harness.engine.bell import Bell
from harness.engine.interrupts import InterruptWatch
from harness.engine.state import LoopState
from harness.model.home import Home
from harness.ports import Store
from harness.store.sqlite import SqliteStore

T = TypeVar("T")


@dataclass
class CountedBooks:
    store: SqliteStore
    calls: int = 0

    async def __call__(self, call: Callable[[Store], T]) -> T:
        self.calls += 1
        return call(self.store)


@dataclass
class Watched:
    home: Home
    state: LoopState
    books: CountedBooks

    async def ring(self) -> None:
        """A ring, and whatever the watch does about it: nothing here ever waits for anybody else."""
        self.state.bell.ring()
        for _ in range(50):
            await asyncio.sleep(0)

    @property
    def paused(self) -> list[str]:
        return [pause.reason for pause in self.state.pauses]


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    home, state = Home(tmp_path), LoopState(Bell(), "run", "owner", "actor")
    home.state.mkdir()
    books = CountedBooks(SqliteStore(home.database))
    books.store.open_pause("loop", "file", "of an earlier loop", "interrupt-request.txt", SystemClock().now())
    watch = asyncio.create_task(InterruptWatch(books, SystemClock(), state, home, 3600).run())
    made = Watched(home, state, books)
    await made.ring()
    yield made
    watch.cancel()
    await asyncio.wait([watch])
    books.store.close()


async def test_a_start_ends_the_pause_of_a_file_that_has_gone(watched: Watched) -> None:
    assert watched.books.store.pauses() == []
    assert watched.paused == []


async def test_a_ring_asks_the_store_for_nothing_while_the_switches_agree_with_the_file(watched: Watched) -> None:
    before = watched.books.calls
    for _ in range(5):
        await watched.ring()
    assert watched.books.calls == before


async def test_a_file_is_seen_at_the_next_ring_and_so_are_its_change_and_its_end(watched: Watched) -> None:
    for reason in ("first", "second"):
        watched.home.interrupt_file.write_text(reason)
        await watched.ring()
        assert watched.paused == [reason] == [pause.reason for pause in watched.books.store.pauses()]
    watched.home.interrupt_file.unlink()
    await watched.ring()
    assert watched.paused == [] == list(watched.books.store.pauses())


async def test_a_pause_of_the_file_that_somebody_ended_is_opened_again_while_the_file_stands(watched: Watched) -> None:
    watched.home.interrupt_file.write_text("look")
    await watched.ring()
    watched.books.store.close_pause("loop", None, "somebody", SystemClock().now())
    watched.state.pauses = ()  # as the worker reads it at the same ring
    await watched.ring()
    assert watched.paused == ["look"]
