"""Ends questions that nobody has answered by their deadline: the item is skipped, or the first option is taken (C11).

The deadline is a stored time: a loop that was down over it acts at its next start.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.engine.state import LoopState
from harness.ports import Books, Clock

LOOK_SECONDS = 60.0
"""At the latest: a clock that is set is noticed within it."""
BETWEEN_SECONDS = 1.0
"""A bell that rings all the time costs one look a second."""


@dataclass(slots=True)
class Deadlines:
    """A component."""

    books: Books
    clock: Clock
    state: LoopState
    name: str = "decisions"

    async def run(self) -> None:
        while True:
            ticket = self.state.bell.ticket()
            wait = await self.tick()
            await self.clock.sleep(BETWEEN_SECONDS)
            await self.state.bell.after(ticket, wait)

    async def tick(self) -> float:
        """End what is over; for how many seconds nothing else is. Raises StoreError."""
        again = await self.books(lambda s: s.next_deadline())
        now = self.clock.now()
        if again is not None and again <= now:
            await self.books(lambda s: s.expire(now))
            self.state.bell.ring()
            again = await self.books(lambda s: s.next_deadline())
        wait = LOOK_SECONDS if again is None else (again - now).total_seconds()
        return min(max(0.0, wait), LOOK_SECONDS)
