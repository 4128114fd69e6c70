"""Notices that the state folder was moved away, or its database replaced, under a running loop (H24)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.engine.state import LoopState
from harness.model.errors import StoreError
from harness.ports import Clock

LOOK_SECONDS = 1.0


@dataclass(slots=True)
class PlaceWatch:
    """A component: nothing new begins and what runs is ended at once, for nothing of it can be recorded any more.

    `check` raises StoreError once the database is not at its place. The store refuses every write from then on, and
    with that refusal the loop ends; what was running is settled by whoever next starts on the folder that was moved.
    """

    clock: Clock
    state: LoopState
    check: Callable[[], None]
    name: str = "place"

    async def run(self) -> None:
        while True:
            try:
                self.check()
            except StoreError as exc:
                self.state.stop(exc.message, now=True)
            await self.clock.sleep(LOOK_SECONDS)
