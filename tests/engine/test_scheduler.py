"""The scheduler under a clock of the test's: one item a slot, whatever happens in between (Q4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from harness import cron
from harness.engine.bell import Bell
from harness.engine.scheduler import Scheduler
from harness.engine.state import LoopState
from harness.model.errors import HarnessError
from harness.model.schedule import Due, Firing, Happened, Rule, every, source_of
from harness.model.work import WorkItem
from harness.ports import Store
from harness.store.sqlite import SqliteStore

T = TypeVar("T")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


@dataclass
class HandClock:
    at: datetime = BEGIN

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - BEGIN).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@dataclass
class Rules:
    """A calendar: rules whose firings are items."""

    all: list[Rule]
    broken: set[str] = field(default_factory=set)

    def rules(self) -> Sequence[Rule]:
        return self.all

    def item(self, rule: Rule, due: Due, happened: Happened, now: datetime) -> WorkItem | None:
        if rule.name in self.broken:
            raise HarnessError(f"{rule.name} is broken")
        source = source_of(rule.name)
        extra = {"commit": happened.commit, "missed": due.missed}
        return WorkItem(f"{rule.name}-{due.slot}", rule.name, source=source, dedupe_key=source, extra=extra)


class Killed(BaseException):
    """The process ends here: nothing after it is done."""


@dataclass
class Machine:
    """One scheduler on a store in memory of its own, restarted at will. `dies` says at which call of the books."""

    store: SqliteStore
    clock: HandClock
    calendar: Rules
    dies: Callable[[], bool] = lambda: False
    scheduler: Scheduler = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        state = LoopState(Bell(), "run", "loop-1", "loop")
        self.scheduler = Scheduler(self._books, self.clock, state, self.calendar)

    async def _books(self, call: Callable[[Store], T]) -> T:
        if self.dies():
            raise Killed
        answer = call(self.store)
        if self.dies():
            raise Killed
        return answer

    async def look(self) -> datetime | None:
        return await self.scheduler.tick()

    def firings(self, name: str) -> list[Firing]:
        return list(reversed(self.store.firings(name, 1_000_000)))

    def finish(self) -> None:
        """All that is queued gets done, as a loop would."""
        with self.store.together():
            for old, new in (("ready", "waiting"), ("waiting", "done")):
                self.store._connection.execute("UPDATE items SET state = ? WHERE state = ?", (new, old))


def machine(folder: Path, *rules: Rule, begin: datetime = BEGIN) -> Machine:
    path = folder / "harness.db"
    store = SqliteStore(path, gate=folder / "gate.lock")
    # every slot of a year is a transaction: that each is on the disk is what other tests prove
    store._connection.execute("PRAGMA synchronous = OFF")
    store._connection.execute("PRAGMA journal_mode = MEMORY")
    return Machine(store, HandClock(begin), Rules(list(rules)))


def of_cron(name: str, text: str, zone: str = "UTC", **more: Any) -> Rule:
    return Rule(name, f"{text} {zone}", cron.slots(text, cron.zone(zone)), **more)


def slots_of(rule: Rule, begin: datetime, end: datetime) -> list[datetime]:
    assert rule.following is not None
    found: list[datetime] = []
    slot = rule.following(begin)
    while slot is not None and slot <= end:
        found.append(slot)
        slot = rule.following(slot)
    return found


async def test_a_year_in_two_zones_has_one_item_a_slot_none_lost_none_twice(tmp_path: Path) -> None:
    """The wall clock of both zones is changed twice; restarts, kills between statements, and a clock set back."""
    rules = [
        of_cron("berlin", "30 2 * * *", BERLIN),
        of_cron("york", "30 1 * * *", NEW_YORK),
        of_cron("shifts", "15 */12 * * *", BERLIN),
        Rule("weekly", "every", every(7 * 24 * 60, cron.zone(NEW_YORK))),
    ]
    loop = machine(tmp_path, *rules)
    end = BEGIN + timedelta(days=366)
    again = await loop.look()
    looks = 0
    while loop.clock.at < end:
        assert again is not None
        assert again > loop.clock.at
        loop.clock.at = again
        looks += 1
        if looks % 7 == 0:
            loop.start()
        if looks % 11 == 0:
            calls = iter([False] * (looks % 4))
            loop.dies = lambda calls=calls: next(calls, True)  # type: ignore[misc]
            with pytest.raises(Killed):
                await loop.look()
            loop.dies = lambda: False
            loop.start()
        if looks % 97 == 0:
            loop.clock.at -= timedelta(seconds=40)  # by its server of time
            await loop.look()
            loop.clock.at += timedelta(seconds=40)
        again = await loop.look()
        loop.finish()
    for rule in rules:
        fired = [firing.slot for firing in loop.firings(rule.name)]
        due = [f"{slot:%Y%m%dT%H%MZ}" for slot in slots_of(rule, BEGIN, loop.clock.at)]
        assert fired == due, rule.name
        assert {firing.state for firing in loop.firings(rule.name)} == {"added"}
        assert len({firing.item for firing in loop.firings(rule.name)}) == len(due) >= 52
    loop.store.close()


async def test_slots_that_passed_while_no_loop_ran_are_one_item(tmp_path: Path) -> None:
    loop = machine(tmp_path, of_cron("daily", "0 3 * * *"))
    await loop.look()
    loop.clock.at += timedelta(days=10)
    loop.start()
    await loop.look()
    (firing,) = loop.firings("daily")
    assert (firing.slot, firing.missed, firing.state) == ("20260110T0300Z", 9, "added")
    await loop.look()
    assert len(loop.firings("daily")) == 1
    loop.store.close()


async def test_a_schedule_begins_with_the_first_slot_after_it_was_written(tmp_path: Path) -> None:
    loop = machine(tmp_path, of_cron("daily", "0 3 * * *"), begin=BEGIN + timedelta(hours=4))
    assert await loop.look() == BEGIN + timedelta(days=1, hours=3)
    loop.clock.at += timedelta(days=5)
    loop.calendar.all = [of_cron("daily", "0 * * * *")]  # another trigger: what would have been is not made good
    assert await loop.look() == BEGIN + timedelta(days=5, hours=5)
    assert loop.firings("daily") == []
    loop.store.close()


async def test_an_unfinished_item_takes_the_next_slots_in(tmp_path: Path) -> None:
    loop = machine(tmp_path, of_cron("daily", "0 3 * * *"))
    await loop.look()
    for _ in range(3):
        loop.clock.at += timedelta(days=1)
        await loop.look()
    assert [firing.state for firing in loop.firings("daily")] == ["added", "folded", "folded"]
    assert {firing.item for firing in loop.firings("daily")} == {"daily-20260101T0300Z"}
    loop.finish()
    loop.clock.at += timedelta(days=1)
    await loop.look()
    assert loop.firings("daily")[-1].item == "daily-20260104T0300Z"
    loop.store.close()


async def test_a_clock_that_was_years_ahead_silences_nothing(tmp_path: Path) -> None:
    loop = machine(tmp_path, of_cron("daily", "0 3 * * *", gap=timedelta(hours=1)), begin=BEGIN + timedelta(days=2000))
    await loop.look()
    loop.clock.at += timedelta(days=1)
    await loop.look()
    loop.finish()
    loop.clock.at = BEGIN
    assert await loop.look() == BEGIN + timedelta(hours=3)
    loop.clock.at = BEGIN + timedelta(hours=3)
    await loop.look()
    assert loop.firings("daily")[-1].slot == "20260101T0300Z"
    loop.store.close()


async def test_an_hour_that_is_lived_twice_fires_its_slots_once(tmp_path: Path) -> None:
    loop = machine(tmp_path, of_cron("often", "*/10 * * * *"))
    again = await loop.look()
    for lived in range(2):
        loop.clock.at = BEGIN
        again = await loop.look()
        while again is not None and again <= BEGIN + timedelta(hours=1):
            loop.clock.at = again
            again = await loop.look()
            loop.finish()
        assert len(loop.firings("often")) == 6, lived
    loop.store.close()


async def test_it_wakes_for_the_next_slot_and_for_the_bell(tmp_path: Path) -> None:
    loop = machine(tmp_path, of_cron("daily", "0 3 * * *"), begin=BEGIN + timedelta(hours=2, minutes=59, seconds=59.9))
    bell, task = loop.scheduler.state.bell, asyncio.create_task(loop.scheduler.run())
    async with asyncio.timeout(20):
        while not loop.firings("daily"):
            await bell.after(bell.ticket(), 0.05)
        loop.calendar.all.append(of_cron("other", "0 3 * * *"))
        while "other" not in loop.store.standings():
            bell.ring()
            await asyncio.sleep(0.01)
    assert loop.clock.at < BEGIN + timedelta(hours=4)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    loop.store.close()


async def test_what_recurs_no_more_is_forgotten_and_nothing_is_asked_then(tmp_path: Path) -> None:
    loop = machine(tmp_path, of_cron("daily", "0 3 * * *"))
    await loop.look()
    loop.calendar.all.clear()
    await loop.look()
    assert loop.store.standings() == {}
    loop.dies = lambda: True
    assert await loop.look() is None


async def test_what_one_schedule_cannot_do_keeps_no_other_from_it(tmp_path: Path) -> None:
    loop = machine(tmp_path, of_cron("bad", "0 3 * * *"), of_cron("good", "0 3 * * *"))
    loop.calendar.broken.add("bad")
    await loop.look()
    loop.clock.at += timedelta(hours=4)
    for _ in range(3):
        await loop.look()
    assert [firing.state for firing in loop.firings("good")] == ["added"]
    said = [entry for entry in loop.store.journal(limit=1000) if entry.kind == "schedule.unfired"]
    assert [entry.data["reason"] for entry in said] == ["bad is broken"], "once"
    loop.calendar.broken.clear()
    await loop.look()
    assert [firing.slot for firing in loop.firings("bad")] == ["20260101T0300Z"], "and is made good"
    loop.store.close()
