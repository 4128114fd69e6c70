"""Ends what still runs when a stop takes too long, or when somebody insists (contract 5)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from harness.engine.state import LoopState
from harness.ports import Books, Clock, Processes

RESERVE_SECONDS = 10.0
TERM_SECONDS = 0.5
AGAIN_SECONDS = 1.0


@dataclass(slots=True)
class Farewell:
    """The ladder of a session takes 10 s; what is left of `stop_timeout` after it is for ending whole trees."""

    books: Books
    clock: Clock
    state: LoopState
    processes: Processes
    stop_timeout_seconds: float
    name: str = "farewell"

    async def run(self) -> None:
        await self._until_due()
        while True:
            await self.tick()
            await self.clock.sleep(AGAIN_SECONDS)

    async def tick(self) -> None:
        """End the agents of this loop; their sessions then read the end and settle as interrupted."""
        live = [row for row in await self.books(lambda s: s.sessions(live=True)) if row.run == self.state.run]
        await asyncio.gather(*(self.processes.end_session(row, term_seconds=TERM_SECONDS) for row in live))

    async def _until_due(self) -> None:
        state = self.state
        due: float | None = None
        while not state.stop_now:
            ticket, at = state.bell.ticket(), self.clock.monotonic()
            if state.stopping and due is None:
                due = at + max(self.stop_timeout_seconds / 2, self.stop_timeout_seconds - RESERVE_SECONDS)
            if due is not None and at >= due:
                return
            await state.bell.after(ticket, None if due is None else due - at)
