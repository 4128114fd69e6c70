"""A clock that is set, a machine that sleeps, a night in which the hour changes: waits and ends stay right (fault 22)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.app.start import time_of_day
from harness.clock import SystemClock, slept_seconds
from harness.engine.timekeeper import Timekeeper
from harness.model.outcome import Disposition, Failed
from harness.model.work import WorkState
from harness.ports import Settlement
from tests.kit.books import Desktop, desktop
from tests.kit.engine import engine
from tests.kit.stores import RULES, add, item, later, lease

HOUR, YEAR = 3600.0, 365 * 86400.0
JUMPS = (HOUR, -HOUR, YEAR, -YEAR)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desktop]:
    async with desktop(tmp_path) as made:
        yield made


@pytest.fixture
async def keeper(desk: Desktop) -> Timekeeper:
    made = Timekeeper(desk.books, desk.clock, desk.state, desk.clock.slept)
    await made.begin()
    return made


def fails(desk: Desktop, name: str, wait_seconds: float) -> None:
    """An attempt at the item fails, and it waits."""
    add(desk.store, item(name))
    held, now = lease(desk.store, now=desk.clock.now()), desk.clock.now()
    waits = Disposition(WorkState.DELAYED, "red", counted=True, not_before=now + timedelta(seconds=wait_seconds))
    desk.store.settle(held, Settlement(Failed("gate_failed"), waits), now)


def leased(desk: Desktop) -> str | None:
    found = desk.store.lease("a", RULES, desk.clock.now())
    return None if found is None else found.item.id


@pytest.mark.parametrize("jump", JUMPS)
async def test_an_item_waits_no_longer_than_it_was_to_wait_when_the_clock_is_set(
    desk: Desktop, keeper: Timekeeper, jump: float
) -> None:
    fails(desk, "a", 600)
    desk.clock.move(10)
    desk.clock.set(jump)
    await keeper.tick()
    if jump < 0:
        assert leased(desk) is None
        desk.clock.move(600)
    assert leased(desk) == "a"


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_pause_lasts_no_longer_than_it_was_to_last(desk: Desktop, keeper: Timekeeper, jump: float) -> None:
    add(desk.store, item("a"))
    until = desk.clock.now() + timedelta(seconds=1800)
    desk.store.open_pause("credential", "probe", "limit", "ending", desk.clock.now(), until=until)
    desk.clock.move(10)
    desk.clock.set(jump)
    await keeper.tick()
    desk.clock.move(1800)
    assert leased(desk) == "a"
    desk.store.close_pause("credential", None, "over", desk.clock.now())
    (closed,) = [entry for entry in desk.heard() if entry.kind == "pause.closed"]
    assert closed.data["seconds"] >= 0


async def test_a_wait_that_began_anew_does_not_begin_anew_again(desk: Desktop, keeper: Timekeeper) -> None:
    fails(desk, "a", 600)
    desk.store.open_pause("repo:x", "probe", "red", "ending", desk.clock.now(), until=later(600))
    desk.clock.set(-HOUR)
    await keeper.tick()
    first = desk.store.item("a").not_before, desk.store.pauses()[0].until
    desk.clock.move(100)
    assert desk.store.begin_waits_anew(desk.clock.now()) == 0
    assert (desk.store.item("a").not_before, desk.store.pauses()[0].until) == first
    assert first[0] == first[1] == desk.clock.now() + timedelta(seconds=500)


async def test_a_time_that_an_operator_named_stands_whatever_the_clock_does(desk: Desktop, keeper: Timekeeper) -> None:
    named = desk.clock.now() + timedelta(days=3)
    add(desk.store, item("new", not_before=named))
    fails(desk, "tried", 60)
    desk.store.update("tried", {"not_before": named}, actor="eva", now=desk.clock.now())
    desk.clock.set(-YEAR)
    await keeper.tick()
    assert [desk.store.item(name).not_before for name in ("new", "tried")] == [named, named]


async def test_a_clock_that_was_set_back_while_no_loop_ran_is_noticed_at_the_start(desk: Desktop) -> None:
    fails(desk, "a", 60)
    desk.clock.set(-YEAR)
    await Timekeeper(desk.books, desk.clock, desk.state, desk.clock.slept).begin()
    assert [entry.data["waits_begun_anew"] for entry in desk.heard() if entry.kind == "clock.jumped"] == [1]
    desk.clock.move(60)
    assert leased(desk) == "a"


async def test_a_jump_is_said_once_with_what_it_was(desk: Desktop, keeper: Timekeeper) -> None:
    for happens in (lambda: desk.clock.set(-YEAR), lambda: desk.clock.suspend(3 * HOUR), lambda: desk.clock.set(90)):
        happens()
        ticket = desk.state.bell.ticket()
        for _ in range(3):
            await keeper.tick()
            desk.clock.move(5)
        assert await desk.state.bell.after(ticket, 1)
    said = [entry.data["reason"] for entry in desk.heard() if entry.kind == "clock.jumped"]
    assert said == [
        "the clock was set back by 31536000 s",
        "the machine slept for 10800 s",
        "the clock was set forward by 90 s",
    ]


async def test_a_clock_that_is_being_adjusted_is_no_jump(desk: Desktop, keeper: Timekeeper) -> None:
    for _ in range(1000):
        desk.clock.move(5)
        desk.clock.set(0.4)
        await keeper.tick()
    assert "clock.jumped" not in desk.kinds()


async def test_a_wait_is_over_when_the_machine_wakes_up_after_its_time(desk: Desktop, keeper: Timekeeper) -> None:
    fails(desk, "a", 600)
    desk.clock.suspend(3 * HOUR)
    await keeper.tick()
    assert leased(desk) == "a"


def test_the_real_clock_tells_sleep_from_time() -> None:
    clock = SystemClock()
    before = clock.monotonic() + slept_seconds()
    assert slept_seconds() > -0.01
    assert 0 <= clock.monotonic() + slept_seconds() - before < 5


async def test_a_span_ends_the_loop_by_its_own_time(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        began = loop.parts.clock.monotonic()
        await loop.run(seconds=0.3)
        assert loop.parts.clock.monotonic() - began >= 0.3


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as local:
        local.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("now", "end"),
    [
        ((2026, 3, 28, 21), (2026, 3, 29, 5)),
        ((2026, 10, 24, 20), (2026, 10, 25, 6)),
        ((2026, 1, 27, 21), (2026, 1, 28, 6)),
        ((2026, 1, 27, 5), (2026, 1, 27, 6)),
    ],
)
def test_until_seven_is_seven_also_after_the_night_in_which_the_hour_changes(
    now: tuple[int, int, int, int], end: tuple[int, int, int, int]
) -> None:
    assert time_of_day("07:00", datetime(*now, tzinfo=UTC)) == datetime(*end, tzinfo=UTC)
