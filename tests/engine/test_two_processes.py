"""What a loop and the worker processes beside it share: who writes what, and whose shortage holds whom (decision 0020)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.app.turns import turns
from harness.engine.housekeeper import Housekeeper
from harness.engine.own_memory import LOOK_SECONDS, MIB, OwnMemory
from harness.engine.pressure import MACHINE, PressureWatch
from harness.engine.reconciler import INTERVAL_SECONDS, Reconciler
from harness.engine.reconciler import LOOK_SECONDS as OWNERS_SECONDS
from harness.gates.slots import Resources
from harness.model.home import Home
from harness.model.pressure import Readings, Thresholds
from harness.model.session import SessionStatus
from harness.model.vitals import Bound, Rule
from harness.ports import LeaseRules
from harness.store.files import SessionFiles
from tests.kit.books import Desktop, desktop
from tests.kit.engine import Heard
from tests.kit.stores import NOW, add, item, lease, session


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desktop]:
    async with desktop(tmp_path) as made:
        add(made.store, item("a"), item("b"))
        yield made


async def test_memory_of_a_worker_process_ends_that_process_and_holds_nobody(desk: Desktop) -> None:
    desk.store.open_pause("loop", "hold", "of the loop", "loop-memory", NOW)
    rule = Rule(Bound(512, 60), Bound(1024, 60), acts=True)
    watch = OwnMemory(desk.books, desk.clock, desk.state, lambda: 2000 * MIB, lambda: rule, beside=True)
    await watch.begin()
    for _ in range(30):
        desk.clock.move(LOOK_SECONDS)
        await watch.tick()
    assert desk.state.leaving is not None
    assert desk.state.leaving.startswith("the loop's own process holds ")
    assert (desk.state.stopping, desk.state.wanted_stop()) == (None, None)
    assert [pause.reason for pause in desk.store.pauses()] == ["of the loop"]


async def test_descriptors_of_one_process_are_no_matter_of_another(desk: Desktop) -> None:
    desk.store.open_pause("loop", "hold", "of the loop", "descriptors", NOW)
    readings = Readings(8000 * MIB, 100 * MIB, 0.0, 1000, 1024)
    limits = Thresholds(memory_percent=10, descriptors_percent=80)
    watch = PressureWatch(desk.books, desk.clock, desk.state, lambda: readings, lambda: limits, MACHINE)
    await watch.tick()
    assert [pause.source for pause in desk.store.pauses()] == ["descriptors", "memory"]
    readings = replace(readings, memory_available=7000 * MIB, descriptors=10)
    await watch.tick()
    assert [pause.source for pause in desk.store.pauses()] == ["descriptors"]


async def test_the_session_that_began_last_has_the_file_whoever_tells_of_it(tmp_path: Path, desk: Desktop) -> None:
    loop, worker = SessionFiles(tmp_path), SessionFiles(tmp_path)
    held = lease(desk.store)
    first, second = session(held, "ses_1", SessionStatus.RUNNING), session(held, "ses_2", SessionStatus.RUNNING)

    def shown() -> tuple[str, str]:
        document = json.loads(loop.current_path.read_text())
        return document["session_id"], document["status"]

    loop.current(first)
    loop.current(replace(first, status=SessionStatus.WAITING_API))
    assert shown() == ("ses_1", "waiting_api")
    worker.current(second)
    loop.current(replace(first, status=SessionStatus.COMPLETED))
    assert shown() == ("ses_2", "running")
    worker.current(replace(second, status=SessionStatus.COMPLETED))
    assert shown() == ("ses_2", "completed")
    loop.current_path.write_text("half a docu")
    worker.current(replace(second, status=SessionStatus.FAILED))
    assert shown() == ("ses_2", "failed")


async def test_a_room_of_a_review_in_another_process_is_left_alone(desk: Desktop) -> None:
    keeper = Housekeeper(desk.books, desk.clock, desk.state, None)  # type: ignore[arg-type]
    assert not await keeper.is_wanted("ses_0123456789ab"), "nobody else is there"
    desk.store.register("worker-1", pid=1, boot="b", start=1, kind="worker", now=NOW)
    assert await keeper.is_wanted("ses_0123456789ab"), "its session may not be on record yet"
    assert not await keeper.is_wanted("gone")
    held = desk.store.lease("worker-1", LeaseRules("loop", {}, "app"), NOW)
    assert held is not None
    row = session(held, "ses_0123456789ab", SessionStatus.RUNNING)
    desk.store.open_session(held, row)
    assert await keeper.is_wanted("ses_0123456789ab")
    desk.store.update_session(replace(row, status=SessionStatus.COMPLETED, ended_at=NOW))
    assert not await keeper.is_wanted("ses_0123456789ab")


class Locks:
    """Who is dead, by hand."""

    def __init__(self) -> None:
        self.dead: set[str] = set()

    def owner_is_dead(self, owner: str) -> bool:
        return owner in self.dead


async def test_a_worker_that_dies_is_seen_at_once_and_with_nobody_there_nobody_is_asked_after(desk: Desktop) -> None:
    locks = Locks()
    tools: Any = SimpleNamespace(books=desk.books, clock=desk.clock, state=desk.state, processes=locks)
    reconciler = Reconciler(tools, settler=None)  # type: ignore[arg-type]
    desk.store.register("worker-1", pid=1, boot="b", start=1, kind="worker", now=NOW)
    assert await reconciler.tick() == 0
    await reconciler._until_due()
    assert desk.clock.now() - NOW == timedelta(seconds=INTERVAL_SECONDS)
    locks.dead.add("worker-1")
    await reconciler._until_due()
    assert desk.clock.now() - NOW == timedelta(seconds=INTERVAL_SECONDS + OWNERS_SECONDS)
    await reconciler.tick()
    assert desk.store.owners() == []
    await reconciler._until_due()
    assert desk.clock.now() - NOW == timedelta(seconds=2 * INTERVAL_SECONDS + OWNERS_SECONDS)


async def test_a_resource_is_one_for_all_processes(tmp_path: Path) -> None:
    home = Home(tmp_path)
    loop, worker = (Resources(turns(home.resource, Heard())) for _ in range(2))
    inside: list[str] = []

    async def uses(resources: Resources, names: list[str]) -> None:
        async with resources.hold(names):
            inside.append("x")
            assert len(inside) == 1
            await asyncio.sleep(0.02)
            inside.pop()

    async with asyncio.timeout(30):
        await asyncio.gather(
            *(uses(each, names) for each in (loop, worker) for names in (["gpu", "db"], ["db", "gpu"]))
        )
