"""What happens before a session begins may be cut short, and takes nothing of the item's past with it (H16, A9)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness.engine.attempt import Attempt
from harness.model.work import Continuation
from tests.kit.engine import Engine, engine

pytestmark = pytest.mark.process


def slow(folder: Path) -> list[dict[str, Any]]:
    command = f"touch {folder}/setting-up; test -e {folder}/go || sleep 60"
    return [{"name": "app", "path": str(folder / "app"), "setup": [command]}]


async def setting_up(loop: Engine) -> asyncio.Task[None]:
    await loop.add("one")
    running = asyncio.create_task(loop.run(max_iterations=1))
    async with asyncio.timeout(10):
        while not (loop.folder / "setting-up").exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.02)
    return running


async def test_a_stop_does_not_wait_for_a_set_up_command(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=slow(tmp_path)) as loop:
        running = await setting_up(loop)
        loop.parts.state.stop("TERM")
        async with asyncio.timeout(8):
            await running
        item = await loop.item("one")
        assert (item.state, item.attempts, item.rescues) == ("ready", 0, 0)
        assert list(await loop.sessions("one")) == []


async def test_a_pause_does_not_wait_for_a_set_up_command(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=slow(tmp_path)) as loop:
        running = await setting_up(loop)
        loop.parts.home.interrupt_file.write_text("wait")
        async with asyncio.timeout(8):
            await loop.until("item.settled")
        (tmp_path / "go").touch()
        loop.parts.home.interrupt_file.unlink()
        await running
        assert await loop.outcomes("one") == ["claimed"]
        assert loop.parts.state.iterations == 1


@pytest.mark.parametrize("by", ["stop", "failure"])
async def test_the_conversation_of_an_item_survives_a_preparation_that_does_not_come_to_its_end(
    tmp_path: Path, by: str
) -> None:
    if by == "failure":
        repositories = [{"name": "app", "path": str(tmp_path / "app"), "setup": ["exit 3"]}]
    else:
        repositories = slow(tmp_path)
    async with engine(tmp_path, repositories=repositories) as loop:
        await loop.add("one", continuation=Continuation("work", "interrupted", "ses_0", wip_ref=None))
        if by == "failure":
            await loop.run(once=True)
        else:
            running = asyncio.create_task(loop.run())
            async with asyncio.timeout(10):
                while not (tmp_path / "setting-up").exists():  # noqa: ASYNC110 - another process makes it
                    await asyncio.sleep(0.02)
            loop.parts.state.stop("TERM")
            await running
        item = await loop.item("one")
        assert item.continuation is not None
        assert (item.continuation.session, item.continuation.mode) == ("ses_0", "work")


async def test_an_item_that_is_leased_in_the_moment_of_a_stop_is_given_back(tmp_path: Path) -> None:
    """A task that is cancelled before its first step would never settle its lease."""
    async with engine(tmp_path) as loop:
        await loop.add("one")
        make = loop.parts.attempt

        def attempt(*arguments: Any) -> Attempt:
            loop.parts.state.stop("TERM")
            return make(*arguments)

        loop.parts.attempt = attempt
        await loop.run()
        item = await loop.item("one")
        assert (item.state, item.fence, item.attempts) == ("ready", 1, 0)
