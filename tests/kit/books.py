"""The store without its thread and a clock that stands still, for parts of the engine tested alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from harness.engine.bell import Bell
from harness.engine.state import LoopState
from harness.model.journal import Entry
from harness.ports import Store
from tests.kit.stores import NOW, Sqlite


@dataclass
class Hand:
    """A clock moved by hand: `move` lets time pass, `set` turns the clock on the wall, `suspend` puts to sleep."""

    at: datetime = NOW
    seconds: float = 0.0
    asleep: float = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.move(seconds)

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.seconds += seconds

    def set(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def suspend(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.asleep += seconds

    def slept(self) -> float:
        return self.asleep


@dataclass
class Desktop:
    """Store, clock and switches of one loop. `heard` is the journal so far."""

    store: Any
    clock: Hand
    state: LoopState

    async def books(self, call: Callable[[Store], Any]) -> Any:
        return call(self.store)

    def heard(self) -> list[Entry]:
        return list(self.store.journal(limit=1000))

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.heard()]

    def look(self) -> None:
        """What the worker does before each lease."""
        self.state.pauses = tuple(self.store.pauses())


@asynccontextmanager
async def desktop(folder: Path) -> AsyncIterator[Desktop]:
    with Sqlite(folder).opened() as store:
        yield Desktop(store, Hand(), LoopState(Bell(), "run1", "a", "loop"))
