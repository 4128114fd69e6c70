"""Pressure: a machine short of something begins nothing new, interrupts nothing, and says why (issue 3.8)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engine.pressure import PressureWatch
from harness.model.pressure import MIB, Readings, Thresholds, shortages
from harness.ops.snapshot import sentence
from harness.proc import resources
from tests.kit.books import Desktop, desktop
from tests.kit.stores import RULES, add, item

LIMITS = Thresholds(10, 1024, 80, 80)
FINE = Readings(32_000 * MIB, 16_000 * MIB, 5.0, 20, 1024)


class Machine:
    """What is measured, as a test says."""

    def __init__(self) -> None:
        self.now = FINE

    def read(self) -> Readings:
        return self.now


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desktop]:
    async with desktop(tmp_path) as made:
        add(made.store, item("a"))
        yield made


@pytest.mark.parametrize(
    ("change", "short"),
    [
        ({}, set()),
        ({"memory_available": 3_199 * MIB}, {"memory"}),
        ({"memory_total": 4_000 * MIB, "memory_available": 1_023 * MIB}, {"memory"}),
        ({"memory_total": 4_000 * MIB, "memory_available": 1_024 * MIB}, set()),
        ({"cpu_stalled": 80.1}, {"load"}),
        ({"cpu_stalled": None}, set()),
        ({"memory_total": None, "memory_available": None}, set()),
        ({"descriptors": 820}, {"descriptors"}),
        ({"cpu_stalled": 99.0, "descriptors": 1000}, {"load", "descriptors"}),
    ],
)
def test_what_is_short(change: dict[str, float | None], short: set[str]) -> None:
    assert set(shortages(replace(FINE, **change), LIMITS)) == short
    assert shortages(replace(FINE, **change), Thresholds()) == {}


async def test_a_shortage_holds_new_work_without_interrupting_and_ends_well_clear_of_it(desk: Desktop) -> None:
    machine = Machine()
    watch = PressureWatch(desk.books, desk.clock, desk.state, machine.read, lambda: LIMITS)
    machine.now = replace(FINE, memory_available=3_100 * MIB)
    await watch.tick()
    await watch.tick()
    desk.look()
    (pause,) = desk.store.pauses()
    assert sentence(pause) == "memory: 3100 MiB available, 10 % of all (no new session begins; what runs goes on)"
    assert desk.state.pause(desk.clock.now()) == pause
    assert desk.state.wanted_stop() is None
    assert desk.store.lease("a", RULES, desk.clock.now()) is None
    machine.now = replace(FINE, memory_available=3_900 * MIB)
    await watch.tick()
    assert len(desk.store.pauses()) == 1
    machine.now = replace(FINE, memory_available=4_001 * MIB)
    await watch.tick()
    assert desk.store.pauses() == []
    assert [kind for kind in desk.kinds() if kind.startswith("pause")] == ["pause.opened", "pause.closed"]


async def test_a_hold_that_an_earlier_loop_left_ends_when_all_is_well(desk: Desktop) -> None:
    desk.store.open_pause("loop", "hold", "descriptors: 900 of 1000", "descriptors", desk.clock.now())
    desk.store.open_pause("loop", "hold", "budget", "budget", desk.clock.now())
    await PressureWatch(desk.books, desk.clock, desk.state, Machine().read, lambda: LIMITS).tick()
    assert [pause.source for pause in desk.store.pauses()] == ["budget"]


def test_our_own_descriptors_and_the_pressure_are_measured() -> None:
    before, most = resources.descriptors()
    handle = os.open("/dev/null", os.O_RDONLY)
    try:
        assert resources.descriptors() == (before + 1, most)
    finally:
        os.close(handle)
    stalled = resources.cpu_stalled()
    assert stalled is None or 0 <= stalled <= 100
