"""Schedules in a loop: one item a slot whatever happens in between, events, and commands (C22, Q4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from harness import cron
from harness.engine.bell import Bell
from harness.engine.recurring import MOST_TRIES
from harness.engine.scheduler import Scheduler
from harness.engine.state import LoopState
from harness.model.errors import HarnessError
from harness.model.schedule import Due, Firing, Happened, Rule, every, source_of
from harness.model.work import WorkItem, WorkState
from harness.ops.snapshot import take
from harness.ports import Store
from harness.store.sqlite import SqliteStore
from tests.kit.engine import Engine, engine
from tests.kit.loop import until

T = TypeVar("T")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


# --- the component alone, under a clock of the test's -----------------------------------------------------------------


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


# --- in a whole loop --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def loop_with(folder: Path, **schedules: Mapping[str, Any]) -> AsyncIterator[Engine]:
    async with engine(folder, schedules=schedules) as loop:
        yield loop


async def fired(loop: Engine, name: str) -> list[Firing]:
    found = await loop.parts.books(lambda s: s.firings(name, 100))  # type: ignore[attr-defined]
    return list(reversed(found))


async def wanted(loop: Engine, name: str, slot: str = "20260101T0300Z") -> Firing:
    """As the scheduler writes it when a slot of a command has come."""
    made = await loop.parts.books(lambda s: s.fire(name, Due(slot), None, seq=None, actor="test", now=loop.now))
    assert made is not None
    return made


async def settled(loop: Engine, name: str, count: int = 1) -> list[Firing]:
    """Commands are run until so many firings are over."""
    task = asyncio.create_task(loop.parts.scheduling.commands.run())
    try:
        async with asyncio.timeout(30):
            while sum(firing.ended_at is not None for firing in await fired(loop, name)) < count:
                assert not task.done(), task
                await loop.parts.state.bell.after(loop.parts.state.bell.ticket(), 0.05)
    finally:
        await called_off(loop, task)
    return await fired(loop, name)


async def called_off(loop: Engine, task: asyncio.Task[None]) -> None:
    """As at the end of a loop."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await loop.parts.scheduling.commands.call_off()


def command(run: str, **more: Any) -> dict[str, Any]:
    return {"cron": "0 3 * * *", "command": {"run": run, **more}}


@pytest.mark.process
async def test_the_item_of_a_slot_is_worked_on_like_any_other(tmp_path: Path) -> None:
    item = {"title": "Tidy up", "priority": "high", "lane": "maintenance", "kind": "default"}
    async with loop_with(tmp_path, tidy={"every_minutes": 1, "item": item}) as loop:
        scheduler = loop.parts.scheduling.scheduler
        await scheduler.tick()
        earlier = loop.now - timedelta(hours=1)
        await loop.parts.books(lambda s: s.begin_schedule(scheduler.calendar.rules()[0], earlier))
        await scheduler.tick()
        (firing,) = await fired(loop, "tidy")
        assert firing.missed > 50
        made = await loop.item(firing.item or "")
        assert (made.source, made.lane, made.priority, made.title) == ("schedule:tidy", "maintenance", 20, "Tidy up")
        assert made.extra["slot"] == firing.slot


@pytest.mark.process
async def test_after_an_integration_there_is_one_item_with_what_came_since(tmp_path: Path) -> None:
    after = {"after": "integrated", "item": {"title": "Look over what came", "repo": "app"}}
    async with loop_with(tmp_path, over=after) as loop:
        scheduler = loop.parts.scheduling.scheduler
        await scheduler.tick()
        base = loop.git("rev-parse", "main")
        await loop.add("one")
        await loop.add("two")
        await loop.parts.books(lambda s: s.open_pause("kind:maintenance", "operator", "not now", "test", loop.now))
        await loop.run(drain=True)
        await scheduler.tick()
        (*_, firing) = await fired(loop, "over")
        first = await loop.item((await fired(loop, "over"))[0].item or "")
        assert first.extra["since"]["base"] == base
        assert firing.state in ("added", "folded")
        assert sum(f.missed + 1 for f in await fired(loop, "over")) == 2
        assert first.state is WorkState.READY


@pytest.mark.process
async def test_work_of_schedules_fires_none_so_that_nothing_turns_in_a_circle(tmp_path: Path) -> None:
    over = {"after": "integrated", "item": {"title": "Again and again", "kind": "default"}}
    index = {"after": "integrated", "command": {"run": "true"}}
    async with loop_with(tmp_path, over=over, index=index) as loop:
        await loop.parts.scheduling.scheduler.tick()
        await loop.add("one", source="schedule:other")
        await loop.run(drain=True)
        await loop.parts.scheduling.scheduler.tick()
        assert await loop.outcomes("one") == ["verified"]
        assert await fired(loop, "over") == []
        assert len(await fired(loop, "index")) == 1, "a command adds nothing"
        await loop.parts.scheduling.commands.finish()


@pytest.mark.process
async def test_a_command_keeps_its_folder_and_writes_its_log(tmp_path: Path) -> None:
    run = 'echo "$ANTHROPIC_API_KEY" run; echo x >> "$HARNESS_CACHE/count"; wc -l < count'
    async with loop_with(tmp_path, index=command(run)) as loop:
        await wanted(loop, "index")
        await settled(loop, "index")
        await wanted(loop, "index", "20260102T0300Z")
        first, second = await settled(loop, "index", 2)
        assert (first.state, second.state) == ("done", "done")
        log = Path(second.log or "")
        assert log == loop.parts.home.command_logs / "schedule-index.log"
        assert log.read_text().split() == ["run", "2"]
        assert log.with_name("schedule-index.log.1").read_text().split() == ["run", "1"]
        assert {"schedule.running", "schedule.done"} <= set(loop.heard.kinds())


@pytest.mark.process
async def test_a_command_of_a_repository_runs_in_a_clean_checkout_of_its_branch(tmp_path: Path) -> None:
    run = 'test -f README.md && touch junk && git rev-parse HEAD > "$HARNESS_CACHE/head"'
    async with loop_with(tmp_path, index=command(run, repo="app")) as loop:
        await wanted(loop, "index")
        (firing,) = await settled(loop, "index")
        assert (firing.state, firing.reason.endswith(" s")) == ("done", True), firing
        assert (loop.parts.home.kept("index") / "head").read_text().strip() == loop.git("rev-parse", "main")
        assert loop.git("status", "--porcelain") == ""


@pytest.mark.process
@pytest.mark.parametrize(
    ("run", "says"),
    [("echo no registry; exit 3", "exit 3: no registry"), ("sleep 60", "not finished after 0.5 s"), ("nosuch", "127")],
    ids=["exit", "late", "missing"],
)
async def test_a_command_that_fails_is_said_and_the_next_slot_runs_it_again(
    tmp_path: Path, run: str, says: str
) -> None:
    async with loop_with(tmp_path, index=command(run, timeout_seconds=0.5 if "sleep" in run else 60)) as loop:
        await loop.parts.scheduling.scheduler.tick()
        await wanted(loop, "index")
        (firing,) = await settled(loop, "index")
        assert firing.state == "failed"
        assert says in firing.reason
        reasons = take(loop.parts.home, loop.now).reasons
        assert any("index" in line and says in line for line in reasons), reasons
        loop.parts.planner.loaded = replace(loop.parts.planner.loaded, config=_with_command(loop, "index", "true"))
        await wanted(loop, "index", "20260102T0300Z")
        assert [each.state for each in await settled(loop, "index", 2)] == ["failed", "done"]
        assert not any("index" in line for line in take(loop.parts.home, loop.now).reasons)


def _with_command(loop: Engine, name: str, run: str) -> Any:
    config = loop.parts.planner.loaded.config
    section = config.schedules[name]
    assert section.command is not None
    changed = section.model_copy(
        update={"command": section.command.model_copy(update={"run": run, "timeout_seconds": 60})}
    )
    return config.model_copy(update={"schedules": {**config.schedules, name: changed}})


@pytest.mark.process
async def test_a_command_that_is_called_off_runs_again_with_the_next_loop(tmp_path: Path) -> None:
    run = f"test -e {tmp_path}/again || {{ touch {tmp_path}/again; sleep 60; }}"
    async with loop_with(tmp_path, index=command(run)) as loop:
        await wanted(loop, "index")
        task = asyncio.create_task(loop.parts.scheduling.commands.run())
        await asyncio.to_thread(until, (tmp_path / "again").exists)
        await called_off(loop, task)
        (firing,) = await fired(loop, "index")
        assert (firing.state, firing.tries) == ("wanted", 0)
        (firing,) = await settled(loop, "index")
        assert (firing.state, firing.tries) == ("done", 1)


@pytest.mark.process
async def test_a_course_that_ends_by_itself_lets_commands_finish(tmp_path: Path) -> None:
    async with loop_with(tmp_path, index=command(f"sleep 0.2; touch {tmp_path}/ran")) as loop:
        await wanted(loop, "index")
        await loop.run(once=True)
        await loop.parts.scheduling.commands.finish()
        assert [firing.state for firing in await fired(loop, "index")] == ["done"]
        await wanted(loop, "index", "20260102T0300Z")
        loop.parts.state.stop("TERM")
        await loop.parts.scheduling.commands.finish()
        assert [firing.state for firing in await fired(loop, "index")] == ["done", "wanted"]


@pytest.mark.process
async def test_a_command_that_ends_its_loop_each_time_is_given_up(tmp_path: Path) -> None:
    async with loop_with(tmp_path, index=command(f"touch {tmp_path}/ran")) as loop:
        firing = await wanted(loop, "index")
        for _ in range(MOST_TRIES):  # a killed loop leaves it so: begun, and its lock free
            assert await loop.parts.books(lambda s: s.begin_command(firing.id, loop.now))
        (firing,) = await settled(loop, "index")
        assert (firing.state, firing.reason) == ("failed", "cut off 3 times together with the program that ran it")
        assert not (tmp_path / "ran").exists()


@pytest.mark.process
async def test_nothing_is_begun_while_the_loop_is_paused_and_what_comes_is_one_run(tmp_path: Path) -> None:
    async with loop_with(tmp_path, index=command("true")) as loop:
        await loop.pause("loop")
        await loop.parts.interrupt_watch.tick()
        assert loop.parts.state.pause(loop.now) is not None
        await wanted(loop, "index")
        await wanted(loop, "index", "20260102T0300Z")
        await loop.parts.scheduling.commands.tick()
        assert loop.parts.scheduling.commands._running == {}
        assert [firing.state for firing in await fired(loop, "index")] == ["wanted", "folded"]
        loop.parts.state.pauses = ()
        assert [firing.state for firing in await settled(loop, "index", 2)] == ["done", "folded"]


@pytest.mark.process
async def test_a_command_that_a_person_runs_is_not_run_beside_it(tmp_path: Path) -> None:
    async with loop_with(tmp_path, index=command("true")) as loop:
        await wanted(loop, "index")
        commands = loop.parts.scheduling.commands
        with commands.tools.runs.turn("index"):
            await commands.tick()
            await asyncio.gather(*commands._running.values())
            assert [(f.state, f.tries) for f in await fired(loop, "index")] == [("wanted", 0)]
        assert [firing.state for firing in await settled(loop, "index")] == ["done"]


@pytest.mark.process
async def test_what_config_names_no_more_is_dropped(tmp_path: Path) -> None:
    async with loop_with(tmp_path, index=command("true")) as loop:
        await wanted(loop, "gone")
        assert [firing.state for firing in await settled(loop, "gone")] == ["dropped"]
