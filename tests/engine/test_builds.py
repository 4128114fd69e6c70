"""A build follows an integration: what works stays until something that works takes its place (P3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.model.journal import Followup
from harness.model.work import WorkState
from harness.ops.snapshot import take
from harness.ports import Store
from tests.engine.test_integration import repository
from tests.kit.engine import Engine, engine
from tests.kit.loop import until

pytestmark = pytest.mark.process
MAKE = "mkdir out && cp *.txt out/ && ls > out/list"


def building(folder: Path, run: str = MAKE, *, gate: str = "true", **more: Any) -> list[dict[str, Any]]:
    return repository(folder, gate=gate, after={"build": {"run": run, "artefacts": ["out"], **more}})


async def builds(loop: Engine) -> Sequence[Followup]:
    def ask(store: Store) -> list[Followup]:
        return [step for item in store.items(limit=100) for step in store.followups(item=item.id)]

    return sorted(await loop.parts.books(ask), key=lambda step: step.id)


async def integrated(loop: Engine, *names: str) -> None:
    """One after the other, before anything that follows them is worked on; then the course is at its end."""
    for name in names:
        await loop.add(name, priority=0)
        await loop.run(drain=True, max_iterations=loop.parts.state.iterations + 1)
    assert await loop.outcomes(*names) == ["verified"] * len(names)
    await loop.parts.aftermath.close()


def current(loop: Engine) -> Path:
    return loop.parts.home.builds / "app" / "current"


async def given_up(loop: Engine, item: str) -> None:
    await loop.parts.books(lambda s: s.move(item, WorkState.CANCELLED, "no", actor="test", now=loop.now))


async def test_what_is_built_takes_the_place_of_what_was_there_in_one_step(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=building(tmp_path)) as loop:
        await integrated(loop, "one")
        first = current(loop).resolve()
        assert (current(loop) / "out" / "list").read_text().split() == ["README.md", "one.txt", "out"]
        await integrated(loop, "two")
        assert (current(loop) / "out" / "two.txt").read_text() == "two\n"
        assert (first / "out" / "one.txt").exists(), "whoever runs from it still has it"
        assert [step.state for step in await builds(loop)] == ["done", "done"]
        assert loop.git("status", "--porcelain") == "", "it was built elsewhere"
        assert (loop.parts.home.command_logs / "build-app.log").exists()


async def test_a_failed_build_replaces_nothing_and_makes_one_item(tmp_path: Path) -> None:
    run = f"{MAKE}; test ! -f two.txt || {{ echo two is wrong; exit 3; }}"
    async with engine(tmp_path, repositories=building(tmp_path, run)) as loop:
        await integrated(loop, "one")
        before = current(loop).resolve()
        for name in ("two", "three"):
            await integrated(loop, name)
        assert current(loop).resolve() == before
        _, failed, again = await builds(loop)
        assert (failed.state, again.state, failed.made, again.made) == ("failed", "failed", failed.made, failed.made)
        item = await loop.item(failed.made or "")
        assert "two is wrong" in item.description
        assert (item.state, item.repo, item.priority) == ("ready", "app", 20)
        assert any("build of" in line and "stays in use" in line for line in take(loop.parts.home, loop.now).reasons)
        assert "followup.failed" in loop.heard.kinds()


async def test_builds_that_nobody_mends_do_not_make_items_for_ever(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=building(tmp_path, "exit 1")) as loop:
        for name in ("one", "two", "three", "four"):
            await integrated(loop, name)
            if made := (await builds(loop))[-1].made:
                await given_up(loop, made)
        found = await builds(loop)
        assert [bool(step.made) for step in found] == [True, True, True, False]
        assert "a person is needed" in found[-1].reason


@pytest.mark.parametrize(
    "run",
    ["true", "ln -s /etc out", "mkfifo out", "sleep 60", "no-such-program"],
    ids=["nothing", "link", "pipe", "late", "missing"],
)
async def test_what_is_no_build_is_a_failed_one(tmp_path: Path, run: str) -> None:
    async with engine(tmp_path, repositories=building(tmp_path, run, timeout_seconds=1)) as loop:
        await integrated(loop, "one")
        assert [step.state for step in await builds(loop)] == ["failed"]
        assert not current(loop).exists()


async def test_a_build_that_is_cut_off_is_begun_again_by_the_next_loop(tmp_path: Path) -> None:
    run = f"test -e {tmp_path}/again || {{ touch {tmp_path}/again; sleep 60; }}; mkdir out"
    async with engine(tmp_path, repositories=building(tmp_path, run)) as loop:
        await loop.add("one")
        await loop.run(once=True)  # ends with its course, the build still at work or not begun
        if not (tmp_path / "again").exists():
            closing = asyncio.create_task(loop.parts.aftermath.close())
            await asyncio.to_thread(until, (tmp_path / "again").exists)
            loop.parts.state.stop("TERM")
            await closing
        assert [step.state for step in await builds(loop)] == ["wanted"]
        assert any("build of" in line for line in take(loop.parts.home, loop.now).reasons)
        loop.parts.state.stopping = None
        await loop.parts.aftermath.close()
        assert [step.state for step in await builds(loop)] == ["done"]
        assert (current(loop) / "out").is_dir()


async def test_the_log_of_commits_follows_the_journal_once_whatever_was_cut_off(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        log = loop.parts.home.state / "logs" / "commits.log"
        await loop.add("one")
        await loop.add("two", kind="bug-fix")
        await loop.run(drain=True)
        await loop.parts.aftermath.close()
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert [(line["event"], line["item"]) for line in lines] == [("integrated", "one"), ("integrated", "two")]
        assert lines[1]["message"] == "[pipeline] bug-fix two: title of two"
        assert lines[1]["commit"] == loop.git("rev-parse", "main")
        whole = log.read_text()
        log.write_text(whole.splitlines(keepends=True)[0] + '{"seq": ')  # killed while it wrote the second
        fresh = replace(loop.parts.aftermath.commits, _seen=None)
        await fresh.tick()
        again = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        assert [line["item"] for line in again] == ["one", "two"]


async def test_a_log_of_commits_that_cannot_be_written_is_said_once_and_made_up_for(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        log = loop.parts.home.state / "logs" / "commits.log"
        log.mkdir(parents=True)  # in the way, as no mode is for root
        await loop.add("one")
        await loop.run(drain=True)
        for _ in range(2):
            await loop.parts.aftermath.close()
        assert loop.heard.kinds().count("followup.unlogged") == 1
        assert await loop.outcomes("one") == ["verified"]
        log.rmdir()
        await loop.parts.aftermath.close()
        assert [json.loads(line)["item"] for line in log.read_text().splitlines()] == ["one"]
