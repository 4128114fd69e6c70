"""Workspaces that nobody needs go beside the work, and never one that somebody may go on in (P17)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from harness.engine.housekeeper import Housekeeper
from harness.model.work import WorkState
from tests.kit.engine import Engine, engine

pytestmark = pytest.mark.process


async def left(loop: Engine, name: str, state: WorkState) -> Path:
    """The workspace of an item that is in `state` now, with a file that is nowhere else."""
    await loop.add(name)
    item = await loop.item(name)
    plan = loop.parts.planner.plan(item)
    workspace = await loop.parts.workspaces.prepare(plan.repo, name)
    (workspace.path / "half.txt").write_text(f"{name}\n")
    if state is not item.state:
        await loop.parts.books(lambda s: s.move(name, state, "test", actor="eva", now=loop.now))
    return workspace.path


def housekeeper(loop: Engine) -> Housekeeper:
    return Housekeeper(loop.parts.books, loop.parts.clock, loop.parts.state, loop.parts.workspaces)


async def test_workspaces_of_finished_items_are_saved_and_removed_and_all_others_stay(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        gone = await left(loop, "gone", WorkState.CANCELLED)
        stays = [await left(loop, state.value, state) for state in (WorkState.PARKED, WorkState.READY)]
        stranger = loop.parts.home.worktrees / "stranger"
        stranger.mkdir()
        await housekeeper(loop).tick()
        assert not gone.exists()
        assert loop.git("show", "refs/harness/gone/wip/1:half.txt") == "gone"
        assert [(path / "half.txt").exists() for path in stays] == [True, True]
        assert stranger.is_dir()
        (said,) = [entry for entry in loop.heard.entries if entry.kind == "workspace.left"]
        assert "stranger" in said.data["cause"]


async def test_the_first_lease_does_not_wait_for_what_others_left(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        old = [await left(loop, f"old{n}", WorkState.CANCELLED) for n in range(8)]
        await loop.add("one")
        running = asyncio.ensure_future(loop.run(seconds=60))
        await loop.until("workspace.pruned", len(old))
        loop.parts.state.stop("test")
        await running
        assert not any(path.exists() for path in old)
        kinds = loop.heard.kinds()
        assert kinds.index("item.leased") < kinds.index("workspace.pruned")
