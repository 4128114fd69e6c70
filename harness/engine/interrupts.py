"""Pausing: the interrupt file is the truth of its own pause; automatic interrupts write that file (H16, H17, H32)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.engine.state import LoopState
from harness.interrupt_file import NAME, read_reason, request
from harness.model.home import Home
from harness.model.journal import Entry, Pause
from harness.model.outcome import ENDINGS, Cause, Disposition, Failed, Outcome
from harness.model.work import WorkItem
from harness.ports import Books, Clock


@dataclass(slots=True)
class Interrupts:
    """Raises the automatic interrupts. `switches`: condition -> true (the loop), item, or false (contract 2)."""

    books: Books
    clock: Clock
    state: LoopState
    home: Home
    switches: Mapping[str, bool | str]
    max_consecutive_failures: int

    async def after(self, item: WorkItem, outcome: Outcome, disposition: Disposition) -> None:
        if disposition.interrupt is not None:
            await self._automatic(item, disposition.interrupt, disposition)
        if isinstance(outcome, Failed) and ENDINGS[outcome.ending].cause is Cause.AGENT:
            await self.consecutive()

    async def _automatic(self, item: WorkItem, condition: str, disposition: Disposition) -> None:
        switch = self.switches.get(condition, "item")
        if switch is False:
            return
        log = self.home.state / "iteration.log"
        text = (
            f"{condition}: item {item.id} ({item.title}) after {item.attempts + int(disposition.counted)} of "
            f"{item.max_attempts} attempts\nwhy: {disposition.reason}\nmore: ./loop why {item.id}   log: {log}\n"
            "clear: ./loop resume (or remove this file)"
        )
        if switch is True:
            request(self.home.interrupt_file, text)
        kind = "interrupt.raised" if switch is True else "interrupt.item"
        await self._note(kind, item.id, condition=condition, reason=disposition.reason)

    async def consecutive(self) -> None:
        """Over at least two distinct items, so that one bad item never stops the fleet.

        Also asked once at every start: the loop that settled the last of them may have died before it could ask.
        """
        limit = self.max_consecutive_failures
        recent = await self.books(lambda s: s.streak(limit))
        if limit <= 0 or len(recent) < limit or len({a.item for a in recent}) < 2:
            return
        rows = "\n".join(f"- {a.item}: {a.ending}: {a.sentence}" for a in recent)
        clear = "clear: ./loop resume (or remove this file)"
        text = f"consecutive_failures: the last {limit} sessions failed\n{rows}\n{clear}"
        if request(self.home.interrupt_file, text):
            await self._note("interrupt.raised", None, condition="consecutive_failures", reason=f"{limit} in a row")

    async def _note(self, kind: str, item: str | None, **data: str) -> None:
        entry = Entry(self.clock.now(), kind, self.state.actor, item, None, data)
        await self.books(lambda s: s.note(entry))


class InterruptWatch:
    """Keeps the stored pause and the shared switches in step with the file, at every ring of the bell.

    A ring also makes the worker read the pauses into the switches: while those agree with the file, the store is asked
    only every `check_seconds`.
    """

    name = "interrupts"

    def __init__(self, books: Books, clock: Clock, state: LoopState, home: Home, check_seconds: float) -> None:
        self._books = books
        self._clock = clock
        self._state = state
        self._home = home
        self._check_seconds = check_seconds

    async def run(self) -> None:
        rung = False
        while True:
            ticket = self._state.bell.ticket()
            if not rung or not self._agrees():
                await self.tick()
            rung = await self._state.bell.after(ticket, self._check_seconds)

    def _agrees(self) -> bool:
        known = _of_the_file(self._state.pauses)
        return read_reason(self._home.interrupt_file) == (None if known is None else known.reason)

    async def tick(self) -> None:
        reason = read_reason(self._home.interrupt_file)
        pauses = await self._books(lambda s: s.pauses())
        known = _of_the_file(pauses)
        now = self._clock.now()
        if reason is not None and (known is None or known.reason != reason):
            await self._books(lambda s: s.open_pause("loop", "file", reason, NAME, now))
            pauses = await self._books(lambda s: s.pauses())
        elif reason is None and known is not None:
            await self._books(lambda s: s.close_pause("loop", NAME, "the file was removed", now))
            pauses = await self._books(lambda s: s.pauses())
        if tuple(pauses) != self._state.pauses:
            self._state.pauses = tuple(pauses)
            self._state.bell.ring()


def _of_the_file(pauses: Sequence[Pause]) -> Pause | None:
    return next((p for p in pauses if p.scope == "loop" and p.source == NAME), None)
