"""A full disk is waited out: what happened must not be forgotten because there was no room to write it down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from harness.engine.state import LoopState
from harness.model.errors import DiskFull
from harness.ports import Books, Clock, Store

T = TypeVar("T")

FULL_SECONDS = 5.0


@dataclass(slots=True)
class PatientBooks:
    """Implements ports.Books over another; `report` hears of each call that has to wait, once.

    Nothing is begun, settled or forgotten while it waits; agents go on. Raises DiskFull until the loop is `patient`,
    which it is from its start on and a command never, and once it stops: what is unsettled then is settled from its
    traces by the next start.
    """

    books: Books
    clock: Clock
    state: LoopState
    report: Callable[[DiskFull], None]
    patient: bool = False

    async def __call__(self, call: Callable[[Store], T]) -> T:
        waits = False
        while True:
            try:
                return await self.books(call)
            except DiskFull as exc:
                if self.state.stopping or not self.patient:
                    raise
                if not waits:
                    self.report(exc)
                waits = True
                await self.clock.sleep(FULL_SECONDS)
