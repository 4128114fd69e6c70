"""Fires what recurs (C22): looks at every slot and event since the last look, and sleeps until the next slot.

A firing and its item are one transaction, and a slot has one row for good: a loop that is killed between two
statements, two looks at one moment and a clock that is set back make no second item, and none is lost. Commands are
only wanted here; `engine.recurring` runs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from harness.engine.state import LoopState
from harness.model.errors import HarnessError, StoreError
from harness.model.journal import Entry
from harness.model.schedule import NOTHING, SOURCE, Due, Happened, Rule, Standing, look
from harness.model.work import WorkItem
from harness.ports import Books, Clock

LOOK_SECONDS = 60.0
"""At the latest: a clock that is set is noticed within it."""
BETWEEN_SECONDS = 1.0
"""A bell that rings all the time costs one look a second."""
PAGE = 500


class Calendar(Protocol):
    """What recurs, as it is configured at this moment."""

    def rules(self) -> Sequence[Rule]: ...

    def item(self, rule: Rule, due: Due, happened: Happened, now: datetime) -> WorkItem | None:
        """What a firing adds to the queue; None if it runs a command. Raises HarnessError."""
        ...


@dataclass(slots=True)
class Scheduler:
    """A component."""

    books: Books
    clock: Clock
    state: LoopState
    calendar: Calendar
    name: str = "scheduler"
    _read: dict[str, tuple[int, Happened]] = field(default_factory=dict)
    """By schedule: how far the journal was read, and what of its event was found since it fired."""
    _idle: bool = False
    """Nothing recurs, and nothing is left of what did: the store is not asked."""
    _said: dict[str, str] = field(default_factory=dict)

    async def run(self) -> None:
        while True:
            ticket = self.state.bell.ticket()
            again = await self.tick()
            await self.clock.sleep(BETWEEN_SECONDS)
            wait = LOOK_SECONDS if again is None else (again - self.clock.now()).total_seconds()
            await self.state.bell.after(ticket, min(max(0.0, wait), LOOK_SECONDS))

    async def tick(self) -> datetime | None:
        """Fire what is due; when the next slot comes. Raises StoreError; anything else is that schedule's own."""
        rules = self.calendar.rules()
        if not rules and self._idle:
            return None
        standings = await self.books(lambda s: s.standings())
        for name in standings.keys() - {rule.name for rule in rules}:
            await self._over(name)
        self._idle = not rules
        found: list[datetime] = []
        for rule in rules:
            try:
                again = await self._look(rule, standings.get(rule.name))
            except StoreError:
                raise
            except HarnessError as exc:
                await self._unfired(rule, exc)
                continue
            self._said.pop(rule.name, None)
            found += [again] if again is not None else []
        return min(found, default=None)

    async def _over(self, name: str) -> None:
        now = self.clock.now()
        await self.books(lambda s: s.forget_schedule(name, now))

    async def _look(self, rule: Rule, standing: Standing | None) -> datetime | None:
        now = self.clock.now()
        if standing is None or standing.rule != rule.text or standing.looked_at > now:
            standing = await self.books(lambda s: s.begin_schedule(rule, now))
            self._read.pop(rule.name, None)
        seq, happened = await self._events(rule, standing) if rule.event else (standing.seq, NOTHING)
        seen = look(rule, standing, happened, now)
        if (due := seen.due) is not None:
            item = self.calendar.item(rule, due, happened, now)
            actor = self.state.actor
            await self.books(lambda s: s.fire(rule.name, due, item, seq=seq, actor=actor, now=now))
            self._read.pop(rule.name, None)
            self.state.bell.ring()
        return seen.again

    async def _events(self, rule: Rule, standing: Standing) -> tuple[int, Happened]:
        """How far the journal is read, and what of the rule's event is found since it fired."""
        seq, found = self._read.get(rule.name, (standing.seq, NOTHING))
        more = True
        while more:
            after = seq
            page, seq = await self.books(lambda s: s.commits(after, PAGE))  # noqa: B023 - called before the next turn
            more = len(page) == PAGE
            for row in page:
                ours = row.source.startswith(SOURCE) and not rule.of_schedules
                if row.event == rule.event and rule.repo in (None, row.repo) and not ours:
                    base = found.base if found.repo == row.repo else row.base
                    found = replace(found, newest=row.seq, count=found.count + 1, repo=row.repo)
                    found = replace(found, base=base, commit=row.commit)
        self._read[rule.name] = (seq, found)
        return seq, found

    async def _unfired(self, rule: Rule, exc: HarnessError) -> None:
        """Said once a reason: it is tried again with every look."""
        if self._said.get(rule.name) == exc.message:
            return
        self._said[rule.name] = exc.message
        data = {"schedule": rule.name, "reason": exc.message, "mend": exc.hint}
        entry = Entry(self.clock.now(), "schedule.unfired", self.state.actor, data=data)
        await self.books(lambda s: s.note(entry))
