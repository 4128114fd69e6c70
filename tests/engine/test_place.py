"""`mv state …` under a loop: it ends in order and says so, and leaves no trace at the place of the folder (H24)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from harness.engine.place import PlaceWatch
from harness.model.errors import StoreError
from harness.model.session import SessionStatus
from harness.model.work import WorkState
from harness.store.audit import audit
from tests.kit.command import ENVIRON, home_at
from tests.kit.engine import Engine, engine
from tests.kit.loop import until

pytestmark = pytest.mark.process

SLEEPS = ({"run": ["sleep", "600"]},)


async def moved(loop: Engine, kind: str) -> tuple[Path, StoreError]:
    """The folder that was moved once the journal said `kind`, and what the loop ended with."""
    running = asyncio.ensure_future(loop.run())
    await loop.until(kind)
    state = loop.parts.home.state
    aside = state.rename(state.with_name("state.old"))
    with pytest.raises(StoreError, match="was moved or replaced") as caught:
        await running
    return aside, caught.value


async def test_a_loop_at_work_ends_and_what_it_did_is_whole_where_it_is(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await loop.add("one", *SLEEPS)
        aside, error = await moved(loop, "session.updated")
        assert not loop.parts.home.state.exists(), sorted(loop.parts.home.state.rglob("*"))
        assert "./loop run" in error.hint
        aside.rename(loop.parts.home.state)
        item, (session,) = await loop.item("one"), await loop.sessions("one")
    assert audit(loop.parts.home.database).violations == ()
    assert (item.state, session.status in SessionStatus) == (WorkState.LEASED, True)


async def test_an_idle_loop_ends_too(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await moved(loop, "loop.idle")
        assert not loop.parts.home.state.exists()


async def test_the_watch_stops_a_loop_that_has_nothing_to_write(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        state = loop.parts.state
        (watch,) = [part for part in loop.parts.others if isinstance(part, PlaceWatch)]
        running = asyncio.ensure_future(watch.run())
        loop.parts.home.state.rename(tmp_path / "elsewhere")
        async with asyncio.timeout(20):
            while not state.stopping:
                ticket = state.bell.ticket()
                await state.bell.after(ticket, 1)
        running.cancel()
        assert state.stop_now
        assert "was moved or replaced" in state.stopping


def test_the_program_says_it_and_exits_1_and_the_folder_is_not_made_anew(tmp_path: Path) -> None:
    home = home_at(tmp_path / "home")
    loop = subprocess.Popen(
        [sys.executable, "-I", "-m", "harness", "run"], cwd=home.root, env=ENVIRON, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: home.iteration_log.exists() and "No work" in home.iteration_log.read_text(), what="idling")
        aside = home.state.rename(home.root / "state.old")
        said = loop.communicate(timeout=60)[1]
    finally:
        loop.kill()
    assert loop.returncode == 1, said
    assert "error:" in said
    assert "harness.db was moved or replaced" in said
    assert not home.state.exists(), sorted(home.state.rglob("*"))
    assert audit(aside / "harness.db").violations == ()
