"""What a settled attempt does to the rest: scoped pauses, automatic interrupts, consecutive failures (contract 2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.model.work import WorkState
from tests.kit.engine import Engine, Step, engine, work

pytestmark = pytest.mark.process

RED: tuple[Step, ...] = work("one")
ASKS: tuple[Step, ...] = ({"ask": {"question": "red or blue?", "options": ["red", "blue"]}},)
BLOCKED: tuple[Step, ...] = ({"blocked": "no access to the database"},)
LONG: tuple[Step, ...] = ({"hang": True},)
SWITCHES = {
    "quality_gate_failure": (RED, {"max_attempts": 1}, "parked"),
    "session_timeout": (LONG, {"max_attempts": 1, "timeout_seconds": 0.3}, "parked"),
    "blocked_work": (BLOCKED, {}, "waiting"),
    "approval_required": (ASKS, {}, "waiting"),
}


@pytest.fixture
async def loop(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path) as made:
        yield made


@pytest.mark.parametrize("switch", [True, "item", False])
@pytest.mark.parametrize("condition", SWITCHES)
async def test_each_switch_pauses_the_loop_or_stops_the_item_with_or_without_notice(
    tmp_path: Path, condition: str, switch: bool | str
) -> None:
    script, fields, state = SWITCHES[condition]
    async with engine(tmp_path, gate="test ! -f one.txt", harness={"interrupts": {condition: switch}}) as loop:
        await loop.add("one", *script, **fields)
        await loop.run(once=True)
        assert (await loop.item("one")).state == state
        file = loop.parts.home.interrupt_file
        assert file.exists() is (switch is True)
        assert ("interrupt.item" in loop.heard.kinds()) is (switch == "item")
        if switch is True:
            text = file.read_text()
            assert text.startswith(f"{condition}: item one")
            assert "./loop why one" in text
            assert "./loop resume" in text


async def test_an_automatic_interrupt_waits_until_the_attempts_are_used_up(tmp_path: Path) -> None:
    async with engine(
        tmp_path, gate="test ! -f one.txt", harness={"interrupts": {"quality_gate_failure": True}}
    ) as loop:
        await loop.add("one", max_attempts=2)
        await loop.run(once=True)
        item = await loop.item("one")
        assert (item.state, item.attempts) == ("delayed", 1)
        assert not loop.parts.home.interrupt_file.exists()


async def test_failures_in_a_row_of_one_item_never_stop_the_fleet(tmp_path: Path) -> None:
    async with engine(tmp_path, harness={"max_consecutive_failures": 2}) as loop:
        await loop.add("one", {"exit": "max_turns"}, max_attempts=5)
        for _ in range(2):
            await loop.parts.books(lambda s: s.move("one", WorkState.READY, "again", actor="ada", now=loop.now))
            await loop.run(drain=False, once=False, until=loop.now + timedelta(seconds=1))
        assert (await loop.item("one")).attempts == 2
        assert not loop.parts.home.interrupt_file.exists()


async def test_failures_in_a_row_over_two_items_pause_the_loop_and_name_them(tmp_path: Path) -> None:
    async with engine(tmp_path, harness={"max_consecutive_failures": 2}) as loop:
        for name in ("one", "two", "three"):
            await loop.add(name, {"exit": "max_turns"})
        await loop.run(drain=True)
        text = loop.parts.home.interrupt_file.read_text()
        assert "- one: max_turns" in text
        assert "- two: max_turns" in text
        assert (await loop.item("three")).fence == 0


@pytest.mark.parametrize("ending", ["api_down", "crashed", "throttled", "auth"])
async def test_failures_that_are_not_the_agents_make_no_row(tmp_path: Path, ending: str) -> None:
    async with engine(tmp_path, harness={"max_consecutive_failures": 1}) as loop:
        for name in ("one", "two"):
            await loop.add(name, {"exit": ending})
        await loop.run(once=True)
        assert not loop.parts.home.interrupt_file.exists()
        assert (await loop.item("one")).attempts == 0


@pytest.mark.parametrize(
    ("ending", "scope"),
    [
        ("auth", "loop"),
        ("billing", "loop"),
        ("cli_missing", "loop"),
        ("throttled", "credential"),
        ("sandbox_missing", "repo:app"),
    ],
)
async def test_a_failure_that_is_not_the_items_pauses_what_shares_its_cause(
    loop: Engine, ending: str, scope: str
) -> None:
    await loop.add("one", {"exit": ending})
    await loop.run(once=True)
    (pause,) = await loop.pauses()
    assert (pause.scope, pause.kind, pause.reason.startswith(ending)) == (scope, "probe", True)
    assert pause.until is not None
    item = await loop.item("one")
    assert (item.state, item.attempts, item.deferrals) == ("ready", 0, 1)


async def test_a_usage_limit_waits_until_its_reset(loop: Engine) -> None:
    began = loop.now
    await loop.add("one", {"limit": 3600})
    await loop.run(once=True)
    (pause,) = await loop.pauses()
    assert pause.until is not None
    assert timedelta(seconds=3600) < pause.until - began < timedelta(seconds=3640)


async def test_a_probe_that_goes_well_ends_the_pause(loop: Engine) -> None:
    await loop.parts.books(
        lambda s: s.open_pause("credential", "probe", "throttled", "ending", loop.now, until=loop.now)
    )
    await loop.add("one")
    await loop.add("two")
    await loop.run(drain=True)
    assert await loop.outcomes("one", "two") == ["verified", "verified"]
    assert list(await loop.pauses()) == []


async def test_success_ends_no_pause_that_a_person_made(loop: Engine) -> None:
    await loop.pause("repo:other", "operator")
    await loop.add("one")
    await loop.run(once=True)
    assert [pause.scope for pause in await loop.pauses()] == ["repo:other"]


async def test_a_setup_command_that_fails_pauses_the_repository_with_its_words(tmp_path: Path) -> None:
    repository: dict[str, Any] = {
        "name": "app",
        "path": str(tmp_path / "app"),
        "setup": ["echo no network >&2; exit 3"],
    }
    async with engine(tmp_path, repositories=[repository]) as loop:
        await loop.add("one")
        await loop.run(once=True)
        (pause,) = await loop.pauses()
        assert (pause.scope, pause.reason.startswith("setup")) == ("repo:app", True)
        (attempt,) = await loop.parts.books(lambda s: s.attempts("one"))
        assert "no network" in attempt.evidence
        assert list(await loop.sessions("one")) == []


async def test_a_template_that_breaks_pauses_its_kind_and_reaches_no_agent(loop: Engine) -> None:
    loop.parts.home.prompts.mkdir()
    (loop.parts.home.prompts / "bootstrap.md.j2").write_text("{{ no_such_thing }}")
    await loop.add("one")
    await loop.run(once=True)
    (pause,) = await loop.pauses()
    assert (pause.scope, pause.reason.startswith("template")) == ("kind:default", True)
    assert list(await loop.sessions("one")) == []
