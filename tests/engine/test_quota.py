"""Workspaces and refs stay within bounds: what is idle goes first, saved; what is in use never (O13, P17)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.clock import SystemClock
from harness.engine.housekeeper import Housekeeper
from harness.engine.quota import QuotaWatch
from harness.git.upkeep import GitUpkeep
from harness.model.retention import Quota, Retention
from harness.model.work import WorkState
from harness.ports import RepositoryRef
from tests.kit.engine import Engine, engine
from tests.kit.loop import git

pytestmark = pytest.mark.process


async def left(loop: Engine, name: str, state: WorkState, size: int = 10) -> Path:
    """The workspace of an item in `state`, with a file that is nowhere else."""
    await loop.add(name)
    workspace = await loop.parts.workspaces.prepare(repository(loop), name)
    (workspace.path / "half.txt").write_text("x" * size)
    if state is not WorkState.READY:
        await loop.parts.books(lambda s: s.move(name, state, "test", actor="eva", now=loop.now))
    return workspace.path


def repository(loop: Engine) -> RepositoryRef:
    return RepositoryRef("app", loop.repository, "main")


def quota(loop: Engine, **limits: Any) -> QuotaWatch:
    parts = loop.parts
    upkeep = GitUpkeep(parts.home.worktrees)
    return QuotaWatch(parts.books, parts.clock, parts.state, parts.workspaces, upkeep, lambda: Quota(**limits))


async def test_beyond_the_count_idle_workspaces_go_saved_the_least_needed_first(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        ready = await left(loop, "ready", WorkState.READY)
        waiting = await left(loop, "waiting", WorkState.WAITING)
        parked = await left(loop, "parked", WorkState.PARKED)
        await quota(loop, max_count=4).tick()
        assert parked.exists()
        await quota(loop, max_count=3).tick()
        assert [path.exists() for path in (parked, waiting, ready)] == [False, True, True]
        assert loop.git("show", "refs/harness/parked/wip/1:half.txt") == "x" * 10
        assert await loop.pauses() == []
        await quota(loop, max_count=2).tick()
        assert [path.exists() for path in (waiting, ready)] == [False, True]


async def test_beyond_the_bytes_it_is_the_same(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        small = await left(loop, "small", WorkState.READY)
        big = await left(loop, "big", WorkState.PARKED, size=4 << 20)
        await quota(loop, max_bytes=8 << 20).tick()
        assert big.exists()
        await quota(loop, max_bytes=2 << 20).tick()
        assert (big.exists(), small.exists()) == (False, True)


async def test_where_nothing_can_go_nothing_new_begins_until_there_is_room(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        path = await left(loop, "taken", WorkState.READY)
        await loop.parts.books(lambda s: s.take("taken", "eva", actor="eva", now=loop.now))
        watch = quota(loop, max_count=1)
        await watch.tick()
        (pause,) = await loop.pauses()
        assert pause.kind == "hold"
        assert "1 of workspaces.max_count 1 are there; ./loop worktree list" in pause.reason
        assert path.exists()
        await loop.parts.interrupt_watch.tick()
        watch.limits = lambda: Quota(max_count=2)
        await watch.tick()
        assert await loop.pauses() == []


async def test_what_cannot_be_saved_stays_and_is_said_once(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        path = await left(loop, "odd", WorkState.PARKED)
        (loop.parts.home.worktrees / ".meta/odd.json").write_text("{")
        watch = quota(loop, max_count=1)
        await watch.tick()
        await watch.tick()
        assert path.exists()
        assert loop.heard.kinds().count("workspace.left") == 1
        assert len(await loop.pauses()) == 1


class Later(SystemClock):
    """Today in `days` days."""

    days = 0

    def now(self) -> Any:
        return super().now() + timedelta(days=self.days)


def housekeeper(loop: Engine, clock: Later) -> Housekeeper:
    parts = loop.parts
    upkeep, repos = GitUpkeep(parts.home.worktrees), [repository(loop)]
    keep = Retention(parked_days=14, refs_days=30)
    return Housekeeper(parts.books, clock, parts.state, parts.workspaces, lambda: keep, upkeep, lambda: repos)


def refs(loop: Engine, pattern: str = "refs/harness/") -> set[str]:
    return set(loop.git("for-each-ref", "--format=%(refname)", pattern).split())


async def test_refs_of_work_finished_long_ago_go_and_all_others_stay(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await loop.add("done")
        await loop.run(drain=True)
        assert await loop.outcomes("done") == ["verified"]
        await left(loop, "gone", WorkState.CANCELLED)
        parked = await left(loop, "parked", WorkState.PARKED)
        loop.git("update-ref", "refs/harness/stranger/wip/1", "HEAD")
        clock = Later()
        keeper = housekeeper(loop, clock)
        await keeper.tick()
        before = refs(loop)
        assert {"refs/harness/done/sealed", "refs/harness/gone/wip/1"} <= before
        clock.days = 15
        await keeper.tick()
        assert not parked.exists(), "saved and removed after 14 days"
        clock.days = 31
        await keeper.tick()
        assert refs(loop) == {"refs/harness/parked/wip/1", "refs/harness/stranger/wip/1"}
        assert "refs.dropped" in loop.heard.kinds()


async def test_refs_stay_while_their_work_is_on_no_branch(tmp_path: Path) -> None:
    async with engine(tmp_path, gate=None) as loop:
        await loop.add("claims")
        await loop.run(drain=True)
        clock = Later()
        clock.days = 400
        before = refs(loop)
        assert "refs/harness/claims/claimed" in before
        await housekeeper(loop, clock).tick()
        assert refs(loop) == before
        loop.git("merge", "-q", "refs/harness/claims/claimed")
        await housekeeper(loop, clock).tick()
        assert refs(loop) == set()


async def test_git_gc_takes_nothing_that_a_workspace_borrows(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        (loop.repository / "new.txt").write_text("new\n")
        loop.git("add", "-A")
        loop.git("commit", "-qm", "New")
        path = await left(loop, "one", WorkState.PARKED)
        keeper = housekeeper(loop, Later())
        await keeper.tick()
        loop.git("reset", "-q", "--hard", "HEAD^")
        loop.git("reflog", "expire", "--expire=now", "--all")
        loop.git("gc", "-q", "--prune=now")
        assert git(path, "show", "HEAD:new.txt") == "new"
        await loop.parts.books(lambda s: s.move("one", WorkState.CANCELLED, "test", actor="eva", now=loop.now))
        await keeper.tick()
        assert refs(loop, "refs/harness-bases/") == set()
