"""The loop's own memory: said when it is too much, and a loop in order where that is configured."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.engine.own_memory import LOOK_SECONDS, MIB, SOURCE, OwnMemory
from harness.model.outcome import Claimed, Disposition
from harness.model.vitals import Bound, Rule
from harness.model.work import WorkState
from harness.ports import Settlement
from harness.proc import resources
from tests.kit.books import Desktop, desktop
from tests.kit.stores import RULES, add, item, lease


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desktop]:
    async with desktop(tmp_path) as made:
        add(made.store, item("a"), item("b"))
        yield made


class Memory:
    """The component and the figure it reads."""

    def __init__(self, desk: Desktop, *, acts: bool) -> None:
        self.mib: int | None = 100
        self.desk = desk
        rule = Rule(Bound(512, 60), Bound(1024, 60), acts)
        read = lambda: None if self.mib is None else self.mib * MIB  # noqa: E731 - one line reads best
        self.component = OwnMemory(desk.books, desk.clock, desk.state, read, lambda: rule)

    async def go(self, seconds: float, mib: int | None = None) -> None:
        self.mib = mib if mib is not None else self.mib
        for _ in range(int(seconds / LOOK_SECONDS)):
            self.desk.clock.move(LOOK_SECONDS)
            await self.component.tick()
        self.desk.look()


async def test_too_much_is_said_once_and_when_it_is_over(desk: Desktop) -> None:
    memory = Memory(desk, acts=False)
    await memory.go(300)
    assert desk.kinds() == ["item.added", "item.added"]
    await memory.go(300, mib=600)
    await memory.go(300, mib=2000)
    await memory.go(300, mib=100)
    assert desk.kinds()[2:] == ["loop.strained", "loop.alert", "loop.relieved"]
    assert desk.heard()[2].data["reason"].startswith("the loop's own process holds ")
    assert desk.store.pauses() == []
    assert desk.state.stopping is None


async def test_where_it_is_wished_what_runs_is_finished_and_then_the_loop_ends(desk: Desktop) -> None:
    memory, held = Memory(desk, acts=True), lease(desk.store, now=desk.clock.now())
    await memory.go(300, mib=2000)
    (pause,) = desk.store.pauses()
    assert (pause.kind, pause.source) == ("hold", SOURCE)
    assert "the loop ends when what runs is finished" in pause.reason
    assert desk.state.wanted_stop() is None, "nothing is interrupted"
    assert desk.store.lease("a", RULES, desk.clock.now()) is None
    assert desk.state.stopping is None
    desk.store.settle(held, Settlement(Claimed(None), Disposition(WorkState.DONE, "done")), desk.clock.now())
    await memory.go(LOOK_SECONDS)
    assert "MiB" in (desk.state.stopping or "")
    assert desk.store.pauses() == [], "the next loop begins with its own memory"


async def test_memory_that_is_given_back_lets_work_begin_again(desk: Desktop) -> None:
    memory = Memory(desk, acts=True)
    lease(desk.store, now=desk.clock.now())
    await memory.go(120, mib=2000)
    assert len(desk.store.pauses()) == 1
    await memory.go(300, mib=100)
    assert desk.store.pauses() == []
    assert desk.state.stopping is None


async def test_a_hold_of_a_loop_that_was_killed_does_not_hold_the_next_one(desk: Desktop) -> None:
    desk.store.open_pause("loop", "hold", "left", SOURCE, desk.clock.now())
    desk.store.open_pause("loop", "hold", "another", "budget", desk.clock.now())
    await Memory(desk, acts=True).component.begin()
    assert [pause.source for pause in desk.store.pauses()] == ["budget"]


async def test_a_system_that_does_not_tell_is_left_alone(desk: Desktop) -> None:
    memory = Memory(desk, acts=True)
    memory.mib = None
    await memory.go(600)
    assert desk.kinds() == ["item.added", "item.added"]


def test_our_own_memory_is_measured() -> None:
    before = resources.own_rss()
    assert before is not None
    held = bytearray(50 * MIB)
    assert (resources.own_rss() or 0) - before > 40 * MIB
    del held
