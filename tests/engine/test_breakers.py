"""Breakers: the API per model, sessions that do not start, and a loop that is killed again and again (H17, issue 3.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from harness.app.safe_mode import beware
from harness.engine.breakers import REMEMBERED, ApiBreaker, SpawnBreaker
from harness.model.events import Started
from harness.model.outcome import Claimed, Disposition, Failed, Interrupted, Outcome
from harness.model.session import SessionRow, SessionStatus
from harness.model.work import Lease, WorkState
from harness.ports import Settlement
from tests.kit.books import Desktop, desktop
from tests.kit.engine import Engine, engine
from tests.kit.stores import add, item, lease, session

DOWN = Failed("api_down", "529")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desktop]:
    async with desktop(tmp_path) as made:
        add(made.store, *(item(name) for name in "abc"))
        yield made


class Sessions:
    """Sessions that end as told, one after the other, 10 s each."""

    def __init__(self, desk: Desktop) -> None:
        self.desk = desk
        self.count = 0

    def ended(self, name: str, model: str | None = None) -> tuple[Lease, SessionRow]:
        self.count += 1
        lease = Lease(item(name), "a", self.count, self.count, self.desk.clock.now())
        self.desk.clock.move(10)
        self.desk.look()
        return lease, replace(session(lease, f"ses_{self.count}"), model=model)

    async def end(self, breaker: ApiBreaker, outcome: Outcome, model: str | None = "sonnet") -> None:
        lease, row = self.ended("a", model)
        await breaker.settled(lease, outcome, row)


def breaker(desk: Desktop) -> ApiBreaker:
    return ApiBreaker(desk.books, desk.clock, desk.state)


async def test_five_failures_of_the_api_of_which_half_of_all_open_the_breaker_of_that_model(desk: Desktop) -> None:
    api, sessions = breaker(desk), Sessions(desk)
    for _ in range(4):
        await sessions.end(api, DOWN)
        await sessions.end(api, Failed("gate_failed"))
    assert desk.store.pauses() == []
    await sessions.end(api, Failed("stalled_api"))
    (pause,) = desk.store.pauses()
    assert (pause.scope, pause.kind, pause.source) == ("credential", "probe", "breaker sonnet")
    assert (pause.until - desk.clock.now()).total_seconds() == 60
    assert "5 of 9 sessions with sonnet" in pause.reason


async def test_failures_of_another_model_or_long_ago_do_not_count(desk: Desktop) -> None:
    api, sessions = breaker(desk), Sessions(desk)
    for _ in range(4):
        await sessions.end(api, DOWN)
        await sessions.end(api, DOWN, "opus")
    desk.clock.move(300)
    await sessions.end(api, DOWN)
    assert desk.store.pauses() == []


@pytest.mark.parametrize("neutral", [Failed("usage_limit"), Failed("crashed"), Interrupted("pause", "operator")])
async def test_what_says_nothing_of_the_api_is_not_taken_for_health(desk: Desktop, neutral: Outcome) -> None:
    api, sessions = breaker(desk), Sessions(desk)
    for _ in range(5):
        for _ in range(3):
            await sessions.end(api, neutral)
        await sessions.end(api, DOWN)
        desk.clock.move(-30)
    assert len(desk.store.pauses()) == 1


async def test_a_failed_probe_doubles_the_wait_and_an_older_session_does_not(desk: Desktop) -> None:
    api, sessions = breaker(desk), Sessions(desk)
    older, row = sessions.ended("b", "sonnet")
    for _ in range(5):
        await sessions.end(api, DOWN)
    opened = desk.store.pauses()[0].until
    await api.settled(older, DOWN, row)
    assert desk.store.pauses()[0].until == opened
    desk.clock.move(60)
    await sessions.end(api, DOWN)
    (pause,) = desk.store.pauses()
    assert (pause.until - desk.clock.now()).total_seconds() == 120


async def test_health_makes_the_next_wait_short_again(desk: Desktop) -> None:
    api, sessions = breaker(desk), Sessions(desk)
    for _ in range(5):
        await sessions.end(api, DOWN)
    desk.store.close_pause("credential", None, "test", desk.clock.now())
    desk.clock.move(300)
    await sessions.end(api, Claimed(None))
    for _ in range(5):
        await sessions.end(api, DOWN)
    (pause,) = desk.store.pauses()
    assert (pause.until - desk.clock.now()).total_seconds() == 60


def spawns(desk: Desktop, folder: Path) -> SpawnBreaker:
    return SpawnBreaker(desk.books, desk.clock, desk.state, folder / "interrupt-request.txt")


async def test_three_sessions_of_two_items_that_never_start_stop_the_loop_with_a_reason(
    desk: Desktop, tmp_path: Path
) -> None:
    watch, sessions = spawns(desk, tmp_path), Sessions(desk)
    for name in ("a", "b", "a"):
        assert not watch.interrupt_file.exists()
        lease, row = sessions.ended(name)
        await watch.settled(lease, Failed("stalled_start"), row)
    said = watch.interrupt_file.read_text()
    assert said.startswith("spawn_failures: the last 3 sessions did not start")
    assert "- b: stalled_start" in said
    assert desk.kinds()[-1] == "interrupt.raised"


@pytest.mark.parametrize("spared", ["one item", "a start between", "it had started"])
async def test_what_is_no_series_of_failed_starts_stops_nothing(desk: Desktop, tmp_path: Path, spared: str) -> None:
    watch, sessions = spawns(desk, tmp_path), Sessions(desk)
    for name in "aaaa" if spared == "one item" else "abab":
        lease, row = sessions.ended(name)
        if spared == "it had started" or (spared == "a start between" and row.id == "ses_3"):
            await watch.heard(row, Started("c", "m"))
        await watch.settled(lease, Failed("crashed"), row)
    assert not watch.interrupt_file.exists()


class Stored:
    """Sessions that end as told and are settled in the store, each of an item of its own, 10 s each."""

    def __init__(self, desk: Desktop) -> None:
        self.desk = desk
        self.count = 0

    def end(self, outcome: Outcome, *, ran: bool = True, name: str | None = None) -> None:
        self.count += 1
        store, clock = self.desk.store, self.desk.clock
        if name is None:
            add(store, item(name := f"i{self.count}", priority=0))
        held = lease(store, now=clock.now())
        assert held.item.id == name
        row = replace(session(held, f"ses_{self.count}"), model="sonnet")
        store.open_session(held, row)
        clock.move(10)
        if ran:
            store.update_session(replace(row, status=SessionStatus.RUNNING))
        over = replace(row, status=SessionStatus.FAILED, ended_at=clock.now())
        left = Disposition(WorkState.DONE, "over")
        store.settle(held, Settlement(outcome, left, session=over), clock.now())


async def test_what_the_breaker_has_counted_outlives_the_loop(desk: Desktop) -> None:
    stored, sessions = Stored(desk), Sessions(desk)
    for _ in range(4):
        stored.end(DOWN)
        stored.end(Claimed(None))
    stored.end(Interrupted("pause", "operator"))
    after = breaker(desk)
    await after.begin(desk.store.recent_ends(REMEMBERED))
    assert desk.store.pauses() == []
    await sessions.end(after, DOWN)
    (pause,) = desk.store.pauses()
    assert "5 of 9 sessions with sonnet" in pause.reason


async def test_a_start_does_not_count_what_is_longer_ago_than_the_window(desk: Desktop) -> None:
    stored, sessions = Stored(desk), Sessions(desk)
    for _ in range(4):
        stored.end(DOWN)
    desk.clock.move(300)
    after = breaker(desk)
    await after.begin(desk.store.recent_ends(REMEMBERED))
    await sessions.end(after, DOWN)
    assert desk.store.pauses() == []


async def test_a_start_reads_back_no_further_than_the_window(desk: Desktop) -> None:
    stored = Stored(desk)
    stored.end(DOWN)
    desk.clock.move(295)
    stored.end(DOWN)
    ends = desk.store.recent_ends(REMEMBERED, breaker(desk).remembers_since())
    assert [end.item for end in ends] == ["i2"]
    assert len(desk.store.recent_ends(REMEMBERED)) == 2


async def test_a_breaker_that_was_open_goes_on_doubling_after_a_start(desk: Desktop) -> None:
    sessions = Sessions(desk)
    before = breaker(desk)
    for _ in range(5):
        await sessions.end(before, DOWN)
    for seconds in (120, 240):
        desk.clock.move((desk.store.pauses()[0].until - desk.clock.now()).total_seconds())
        before = breaker(desk)
        await before.begin(desk.store.recent_ends(REMEMBERED))
        await sessions.end(before, DOWN)
        assert (desk.store.pauses()[0].until - desk.clock.now()).total_seconds() == seconds


async def test_a_row_of_failed_starts_outlives_the_loop_that_counted_it(desk: Desktop, tmp_path: Path) -> None:
    stored = Stored(desk)
    for _ in range(2):
        stored.end(Failed("stalled_start"), ran=False)
    watch = spawns(desk, tmp_path)
    await watch.begin(desk.store.recent_ends(REMEMBERED))
    assert not watch.interrupt_file.exists()
    stored.end(Failed("crashed"), ran=False)
    await spawns(desk, tmp_path).begin(desk.store.recent_ends(REMEMBERED))
    assert "the last 3 sessions did not start" in watch.interrupt_file.read_text()


@pytest.mark.parametrize("spared", ["a start between", "a person has looked"])
async def test_a_row_that_was_broken_is_not_counted_again_by_a_start(
    desk: Desktop, tmp_path: Path, spared: str
) -> None:
    stored = Stored(desk)
    for _ in range(3):
        stored.end(Failed("crashed"), ran=False)
    if spared == "a start between":
        stored.end(Failed("crashed"), ran=True)
    else:
        desk.store.open_pause("loop", "file", "spawn_failures", "interrupt-request.txt", desk.clock.now())
        desk.clock.set(-86400)
        desk.store.close_pause("loop", "interrupt-request.txt", "the file was removed", desk.clock.now())
    watch = spawns(desk, tmp_path)
    await watch.begin(desk.store.recent_ends(REMEMBERED))
    assert not watch.interrupt_file.exists()


async def test_failures_in_a_row_are_told_by_their_order_and_not_by_the_clock(desk: Desktop) -> None:
    stored = Stored(desk)
    stored.end(Claimed(None))
    desk.clock.set(-86400)
    for _ in range(2):
        stored.end(Failed("gate_failed"))
    assert len(desk.store.streak(5)) == 0, "uncounted ones make no row"
    add(desk.store, *(item(f"red{n}", priority=0) for n in range(2)))
    for _ in range(2):
        held = lease(desk.store, now=desk.clock.now())
        waits = Disposition(WorkState.PARKED, "red", counted=True)
        desk.store.settle(held, Settlement(Failed("gate_failed"), waits), desk.clock.now())
    assert [attempt.item for attempt in desk.store.streak(5)] == ["red1", "red0"]
    desk.clock.set(2 * 86400)
    stored.end(Claimed(None))
    desk.clock.set(-86400)
    assert len(desk.store.streak(5)) == 0


async def begin_runs(loop: Engine, count: int, *, ended: bool = False) -> None:
    for number in range(count):
        run = f"run{number}{ended}"
        await loop.parts.books(lambda s, run=run: s.begin_run(run, pid=1, version="1", now=loop.now))
        if ended:
            await loop.parts.books(lambda s, run=run: s.end_run(run, reason="", iterations=0, now=loop.now))


@pytest.mark.process
async def test_a_loop_that_was_killed_six_times_starts_paused_until_a_person_resumes_it(tmp_path: Path) -> None:
    async with engine(tmp_path, harness={"max_unclean_starts": 5}) as loop:
        await begin_runs(loop, 5)
        await begin_runs(loop, 9, ended=True)
        assert not await beware(loop.parts)
        await loop.parts.books(lambda s: s.begin_run("sixth", pid=1, version="1", now=loop.now))
        assert await beware(loop.parts)
        assert await beware(loop.parts)
        (pause,) = await loop.pauses()
        assert (pause.kind, pause.source) == ("operator", "safe-mode")
        assert "6 starts in 10 min" in pause.reason
        assert loop.heard.kinds().count("pause.opened") == 1
        await loop.parts.books(lambda s: s.close_pause("loop", "safe-mode", "eva", loop.now))
        assert not await beware(loop.parts)


@pytest.mark.process
async def test_a_clock_that_was_set_back_neither_makes_nor_hides_a_loop_that_is_killed_again_and_again(
    tmp_path: Path,
) -> None:
    async with engine(tmp_path, harness={"max_unclean_starts": 2}) as loop:
        books, ahead = loop.parts.books, loop.now + timedelta(days=365)
        for number in range(3):
            await books(lambda s, run=f"ahead{number}": s.begin_run(run, pid=1, version="1", now=ahead))
        assert not await beware(loop.parts)
        await books(lambda s: s.open_pause("loop", "operator", "look", "safe-mode", ahead))
        await books(lambda s: s.close_pause("loop", "safe-mode", "eva", ahead))
        await begin_runs(loop, 3)
        assert await beware(loop.parts)
