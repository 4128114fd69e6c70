"""Usage limits are shared by all workers, probed once, and urgent work keeps a reserve (issue 3.5, architecture 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from harness.engine.throttle import SPREAD_SECONDS, Throttle
from harness.model.events import Limited, Said, Streaming, ToolStarted
from harness.model.session import SessionRow
from tests.kit.books import Desktop, desktop
from tests.kit.engine import engine, work
from tests.kit.stores import NOW, RULES, add, item, later, lease, session

RESET = later(100)
PROBE = later(105)
REJECTED = Limited("rejected", "five_hour", RESET, 1.0)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desktop]:
    async with desktop(tmp_path) as made:
        add(made.store, *(item(name) for name in "abcd"), item("urgent", priority=20), item("urgent2", priority=20))
        yield made


def throttle(desk: Desktop, workers: int = 3) -> Throttle:
    return Throttle(desk.books, desk.clock, desk.state, workers, spread=lambda: 0.5)


def running(desk: Desktop, at: datetime = NOW) -> SessionRow:
    held = lease(desk.store, now=at)
    return replace(session(held, f"ses_{held.fence}_{held.item.id}"), started_at=at)


async def test_the_word_of_the_api_stops_every_worker_before_the_session_has_wound_up(desk: Desktop) -> None:
    await throttle(desk).heard(running(desk), REJECTED)
    assert desk.store.lease("a", RULES, later(104)) is None
    (pause,) = desk.store.pauses()
    assert (pause.scope, pause.kind, pause.until) == ("credential", "probe", PROBE)
    assert "usage limit" in pause.reason
    assert desk.state.pause(NOW) == pause


async def test_one_probe_is_answered_and_the_others_follow_spread_over_half_a_minute(desk: Desktop) -> None:
    limits = throttle(desk)
    await limits.heard(running(desk), REJECTED)
    desk.clock.move(105)
    probe = running(desk, PROBE)
    assert desk.store.lease("a", RULES, later(110)) is None
    await limits.heard(probe, Streaming())
    assert desk.store.pauses() == []
    rests = []
    for _ in range(2):
        rests.append(limits.rest())
        desk.clock.move(limits.rest())
        assert await limits.admit(lease(desk.store, now=desk.clock.now())) is None
    assert rests == [pytest.approx(SPREAD_SECONDS / 3)] * 2
    desk.clock.move(SPREAD_SECONDS)
    assert limits.rest() == 0


async def test_a_single_worker_does_not_wait_for_itself(desk: Desktop) -> None:
    limits = throttle(desk, workers=1)
    await limits.heard(running(desk), REJECTED)
    desk.clock.move(105)
    await limits.heard(running(desk, PROBE), Streaming())
    assert limits.rest() == 0


@pytest.mark.parametrize("event", [Streaming(), ToolStarted("1", "Bash", "ls", "d", 60)])
async def test_what_other_sessions_receive_ends_a_limit_only_after_its_time(
    desk: Desktop, event: Streaming | ToolStarted
) -> None:
    limits = throttle(desk)
    row = running(desk)
    await limits.heard(row, REJECTED)
    desk.clock.move(104)
    await limits.heard(row, event)
    assert len(desk.store.pauses()) == 1
    desk.clock.move(1)
    await limits.heard(row, event)
    assert desk.store.pauses() == []


async def test_a_session_that_sat_the_limit_out_ends_it_for_all(desk: Desktop) -> None:
    limits = throttle(desk)
    row = running(desk)
    await limits.heard(row, REJECTED)
    await limits.heard(row, Limited("allowed", "seven_day", None, 0.2))
    assert len(desk.store.pauses()) == 1
    await limits.heard(row, Limited("allowed", "five_hour", None, 0.01))
    assert desk.store.pauses() == []


async def test_the_cli_saying_that_the_limit_is_reached_is_no_answer_of_the_api(desk: Desktop) -> None:
    limits = throttle(desk)
    await limits.heard(running(desk), REJECTED)
    desk.clock.move(105)
    await limits.heard(running(desk, PROBE), Said("You've hit your limit"))
    assert len(desk.store.pauses()) == 1


async def test_near_the_limit_only_urgent_work_begins_and_it_is_said_once(desk: Desktop) -> None:
    limits = throttle(desk)
    row = running(desk)
    for used in (0.86, 0.9, 0.95):
        await limits.heard(row, Limited("allowed_warning", "five_hour", RESET, used))
    assert [entry.data["reason"] for entry in desk.heard() if entry.kind == "pause.opened"] == [
        "usage limit five_hour is near: 86% used"
    ]
    assert desk.state.pause(NOW) is None
    assert lease(desk.store, now=later(1)).item.id == "urgent2"
    assert desk.store.lease("a", RULES, later(2)) is None
    assert lease(desk.store, now=later(100)).item.id == "a"


async def test_the_reserve_ends_when_the_api_says_so_and_only_that_of_its_window(desk: Desktop) -> None:
    limits = throttle(desk)
    row = running(desk)
    await limits.heard(row, Limited("allowed_warning", "five_hour", RESET, 0.9))
    await limits.heard(row, Limited("allowed_warning", "seven_day", RESET, 0.9))
    await limits.heard(row, Limited("allowed", "five_hour", RESET, 0.1))
    assert [pause.source for pause in desk.store.pauses()] == ["near-limit seven_day"]


@pytest.mark.parametrize("used", [None, 0.5, 0.849])
async def test_a_warning_far_from_the_limit_changes_nothing(desk: Desktop, used: float | None) -> None:
    await throttle(desk).heard(running(desk), Limited("allowed_warning", "five_hour", RESET, used))
    assert desk.store.pauses() == []


@pytest.mark.process
async def test_work_that_was_under_way_before_the_limit_does_not_end_it(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await loop.add("limited", {"limit": 600})
        await loop.add("healthy", {"sleep": 0.4}, *work("healthy"))
        await loop.run(workers=2, drain=True)
        (pause,) = await loop.pauses()
        assert pause.scope == "credential"
        assert await loop.outcomes("limited", "healthy") == ["failed", "verified"]
        found = await loop.item("limited")
        assert (found.state, found.attempts, found.rescues) == ("ready", 0, 0)
        assert loop.heard.kinds().count("pause.opened") == 1
