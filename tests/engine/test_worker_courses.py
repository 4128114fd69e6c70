"""How long a loop goes on: once, drain, max_iterations, until; and what it never waits for (contract 2 and 4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from harness.agents.scripted import ScriptedAgent
from harness.model.work import WorkState
from tests.kit.engine import Engine, engine, work

pytestmark = pytest.mark.process

HANGING = ({"hang": True},)


@pytest.fixture
async def loop(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path) as made:
        yield made


async def test_once_works_on_one_item_and_leaves_the_rest(loop: Engine) -> None:
    await loop.add("one")
    await loop.add("two")
    await loop.run(once=True)
    assert await loop.outcomes("one", "two") == ["verified", None]
    assert (await loop.item("two")).fence == 0


@pytest.mark.parametrize("course", [{"once": True}, {"drain": True}, {"max_iterations": 1}])
async def test_an_empty_queue_ends_the_course(loop: Engine, course: dict[str, object]) -> None:
    await loop.run(**course)
    assert loop.heard.kinds().count("loop.idle") == 1


async def test_a_pass_that_finds_nothing_counts_and_the_last_one_does_not_wait(loop: Engine) -> None:
    began = loop.parts.clock.monotonic()
    await loop.run(max_iterations=3, pass_seconds=0.2)
    assert loop.parts.state.iterations == 3
    assert 0.3 < loop.parts.clock.monotonic() - began < 2


async def test_drain_works_through_everything_also_what_is_due_later_or_added_by_an_agent(loop: Engine) -> None:
    await loop.add(
        "one", {"add": {"id": "found", "title": "found on the way", "script": list(work("found"))}}, *work("one")
    )
    await loop.add("later", state=WorkState.DELAYED, not_before=loop.now + timedelta(seconds=0.5))
    await loop.run(drain=True)
    assert [word for word in await loop.outcomes("one", "found", "later") if word is None] == []


async def test_drain_does_not_wait_for_what_is_assigned_to_a_person(loop: Engine) -> None:
    await loop.add("hers", assigned="ada")
    await loop.add("ours")
    await loop.run(drain=True)
    assert await loop.outcomes("hers", "ours") == [None, "verified"]


@pytest.mark.parametrize("scope", ["loop", "credential", "repo:app", "kind:default"])
@pytest.mark.parametrize("course", [{"once": True}, {"drain": True}])
async def test_a_course_that_does_not_wait_ends_at_a_pause(loop: Engine, course: dict[str, object], scope: str) -> None:
    await loop.add("one")
    await loop.pause(scope, "probe", loop.now + timedelta(hours=1))
    await loop.run(**course)
    assert (await loop.item("one")).fence == 0


async def test_no_pass_is_counted_while_paused(loop: Engine) -> None:
    await loop.pause("credential", "probe", loop.now + timedelta(seconds=0.6))
    await loop.run(max_iterations=2, pass_seconds=0.1)
    assert loop.heard.kinds().count("loop.paused") == 1
    assert loop.heard.kinds().index("loop.paused") < loop.heard.kinds().index("loop.idle")


async def test_a_persons_pause_holds_behind_the_pause_of_a_probe_whose_time_has_come(loop: Engine) -> None:
    await loop.add("one")
    await loop.pause("loop", "probe", loop.now)
    loop.parts.home.interrupt_file.write_text("and a person's")
    await loop.run(once=True)
    assert (await loop.item("one")).fence == 0
    assert "loop.paused" in loop.heard.kinds()


async def test_max_iterations_leaves_the_next_item_untouched(loop: Engine) -> None:
    for name in ("one", "two", "three"):
        await loop.add(name)
    await loop.run(max_iterations=2)
    assert [(await loop.item(name)).state for name in ("one", "two", "three")] == ["done", "done", "ready"]


async def test_resuming_an_interrupted_item_is_the_same_iteration(loop: Engine) -> None:
    await loop.add("one", {"sleep": 0.4}, *work("one"))
    await loop.add("two")
    running = asyncio.create_task(loop.run(max_iterations=1))
    await loop.until("session.opened")
    loop.parts.home.interrupt_file.write_text("wait")
    await loop.until("item.settled")
    loop.parts.home.interrupt_file.unlink()
    await running
    first, second = await loop.sessions("one")
    assert (first.iteration, second.iteration, first.outcome) == (1, 1, "interrupted")
    assert await loop.outcomes("one", "two") == ["verified", None]
    assert (await loop.item("two")).fence == 0


async def test_an_interrupted_item_that_is_removed_is_not_waited_for(loop: Engine) -> None:
    await loop.add("one", *HANGING)
    running = asyncio.create_task(loop.run(max_iterations=1))
    await loop.until("session.opened")
    loop.parts.home.interrupt_file.write_text("wait")
    await loop.until("item.settled")
    await loop.parts.books(lambda s: s.move("one", WorkState.CANCELLED, "no more", actor="ada", now=loop.now))
    loop.parts.home.interrupt_file.unlink()
    await running
    assert (await loop.item("one")).state == WorkState.CANCELLED
    assert len(await loop.sessions("one")) == 1


async def test_until_lets_what_runs_finish_and_begins_nothing_more(loop: Engine) -> None:
    await loop.add("one", {"sleep": 1.6}, *work("one"))
    await loop.add("two")
    await loop.run(until=loop.now + timedelta(seconds=1.2))
    assert await loop.outcomes("one", "two") == ["verified", None]


async def test_two_workers_run_two_sessions_at_a_time(loop: Engine) -> None:
    for name in ("one", "two", "three"):
        await loop.add(name, {"sleep": 0.3}, *work(name))
    await loop.run(drain=True, workers=2)
    one, two, three = [(await loop.sessions(name))[0] for name in ("one", "two", "three")]
    assert two.started_at < one.ended_at
    assert three.started_at >= min(one.ended_at, two.ended_at)


async def test_the_next_session_begins_while_the_last_work_is_proved(tmp_path: Path) -> None:
    async with engine(tmp_path, gate="sleep 1") as loop:
        await loop.add("one")
        await loop.add("two")
        await loop.run(drain=True)
        (one,), (two,) = [await loop.sessions(name) for name in ("one", "two")]
        assert one.ended_at is not None
        assert two.started_at is not None
        assert (two.started_at - one.ended_at).total_seconds() < 1


async def test_stop_while_proving_goes_on_from_the_seal(tmp_path: Path) -> None:
    async with engine(tmp_path, gate=f"test -f {tmp_path}/go || sleep 60") as loop:
        await loop.add("one")
        running = asyncio.create_task(loop.run())
        await loop.until("attempt.phase", 3)
        loop.parts.state.stop("TERM")
        await running
        item = await loop.item("one")
        assert (item.state, item.attempts) == ("ready", 0)
        assert item.continuation is not None
        assert (item.continuation.mode, bool(item.continuation.seal)) == ("seal", True)


async def test_work_that_turns_out_red_after_a_stop_goes_back_to_the_conversation_that_made_it(tmp_path: Path) -> None:
    gate = f"test -f {tmp_path}/go || sleep 60; test ! -f one.txt"
    async with engine(tmp_path, gate=gate) as loop:
        await loop.add("one")
        running = asyncio.create_task(loop.run())
        await loop.until("attempt.phase", 3)
        loop.parts.state.stop("TERM")
        await running
        (tmp_path / "go").touch()
        loop.parts.state.stopping = None
        await loop.run(max_iterations=2)
        item, (session,) = await loop.item("one"), await loop.sessions("one")
        assert (item.state, item.attempts) == ("delayed", 1)
        assert item.continuation is not None
        assert (item.continuation.mode, item.continuation.session) == ("session", session.id)


@pytest.mark.parametrize("by", ["pause", "stop"])
async def test_what_an_agent_has_claimed_stands_when_it_is_stopped_before_its_turn_is_over(
    loop: Engine, by: str
) -> None:
    await loop.add("one", *work("one"), {"hang": True})
    running = asyncio.create_task(loop.run(max_iterations=1))
    await loop.until("session.claimed")
    if by == "pause":
        loop.parts.home.interrupt_file.write_text("wait")
        await loop.until("item.settled")
        loop.parts.home.interrupt_file.unlink()
    else:
        loop.parts.state.stop("TERM")
    await running
    item = await loop.item("one")
    assert len(await loop.sessions("one")) == 1
    if by == "pause":
        assert item.outcome == "verified"
    else:
        assert item.outcome == "verified" or (item.continuation is not None and item.continuation.mode == "seal")


async def test_what_an_agent_has_asked_stands_when_it_is_paused(loop: Engine) -> None:
    await loop.add("one", {"ask": {"question": "red or blue?", "options": ["red", "blue"]}}, {"hang": True})
    running = asyncio.create_task(loop.run(max_iterations=1))
    await loop.until("session.asked")
    loop.parts.home.interrupt_file.write_text("wait")
    await loop.until("item.settled")
    loop.parts.home.interrupt_file.unlink()
    await running
    assert (await loop.item("one")).state == "waiting"


async def test_an_agent_gets_ready_once_it_has_an_item_and_before_its_workspace_is_made(
    loop: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, list[Path]]] = []
    spaces = loop.parts.home.worktrees

    def warm(_agent: ScriptedAgent) -> None:
        seen.append(("item.leased" in loop.heard.kinds(), list(spaces.rglob("one"))))

    monkeypatch.setattr(ScriptedAgent, "warm", warm)
    await loop.add("one")
    await loop.run(once=True)
    assert seen == [(True, [])]
