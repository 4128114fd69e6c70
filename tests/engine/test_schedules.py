"""Schedules in a whole loop: what their items are, events, and commands (C22)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.engine.recurring import MOST_TRIES
from harness.model.schedule import Due, Firing
from harness.model.work import WorkState
from harness.ops.snapshot import take
from tests.kit.engine import Engine, engine
from tests.kit.loop import until


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
