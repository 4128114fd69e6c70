"""What a loop that died has left behind is settled from evidence, uncounted, and never lost (P17, architecture 6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harness.model.journal import Entry
from harness.model.session import SessionRow, SessionStatus, new_session_id
from harness.model.work import Lease, Phase
from harness.ports import LeaseRules, Workspace
from tests.kit.engine import Engine, engine
from tests.kit.loop import git

pytestmark = pytest.mark.process


@pytest.fixture
async def loop(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path) as made:
        yield made


class Dead:
    """A loop that leased `one` and died; nobody holds its lock. Its methods are what it had got to."""

    def __init__(self, loop: Engine, owner: str = "loop-dead") -> None:
        self._loop = loop
        self._books = loop.parts.books
        self._owner = owner

    async def leased(self) -> Lease:
        loop, rules = self._loop, LeaseRules("loop", {}, "app")
        register = {"pid": 1, "boot": "b", "start": 1, "kind": "loop", "now": loop.now}
        await self._books(lambda s: s.register(self._owner, **register))
        lease = await self._books(lambda s: s.lease(self._owner, rules, loop.now))
        assert lease is not None
        return lease

    async def running(self) -> tuple[Lease, SessionRow, Workspace]:
        loop, lease = self._loop, await self.leased()
        plan = loop.parts.planner.plan(lease.item)
        workspace = await loop.parts.workspaces.prepare(plan.repo, "one")
        facts = {"base": workspace.base, "workspace": str(workspace.path)}
        await self._books(lambda s: s.phase(lease, Phase.PREPARING, loop.now, **facts))
        row = SessionRow(
            new_session_id(), "one", lease.fence, 1, "scripted", SessionStatus.RUNNING, 1, "run", "claude-1",
            started_at=loop.now, updated_at=loop.now, workspace=str(workspace.path),
        )  # fmt: skip
        await self._books(lambda s: s.open_session(lease, row))
        return lease, row, workspace

    async def heard(self, row: SessionRow, kind: str, **data: Any) -> None:
        await self._books(lambda s: s.note(Entry(self._loop.now, kind, "loop", "one", row.id, data)))


async def test_a_lease_without_a_session_is_given_back(loop: Engine) -> None:
    await loop.add("one")
    await Dead(loop).leased()
    assert await loop.parts.reconciler.tick() == 1
    item = await loop.item("one")
    assert (item.state, item.attempts, item.rescues) == ("ready", 0, 0)
    assert await loop.parts.reconciler.tick() == 0


async def test_a_session_that_was_cut_off_is_saved_and_goes_on_uncounted(loop: Engine) -> None:
    await loop.add("one")
    _, row, workspace = await Dead(loop).running()
    (workspace.path / "half.txt").write_text("half\n")
    await loop.parts.reconciler.tick()
    item = await loop.item("one")
    assert (item.state, item.attempts, item.rescues) == ("ready", 0, 1)
    assert item.continuation is not None
    assert (item.continuation.session, item.continuation.claude_session_id) == (row.id, "claude-1")
    assert loop.git("show", f"{item.continuation.wip_ref}:half.txt") == "half"
    (closed,) = await loop.sessions("one")
    assert (closed.status, closed.ending, closed.pid) == ("killed", "lost", None)


async def test_a_second_loop_that_dies_with_the_same_item_parks_it(loop: Engine) -> None:
    await loop.add("one")
    for owner in ("first", "second"):
        await Dead(loop, owner).running()
        await loop.parts.reconciler.tick()
    item = await loop.item("one")
    assert (item.state, item.attempts) == ("parked", 0)


async def test_work_that_was_claimed_is_proved_without_another_session(loop: Engine) -> None:
    await loop.add("one")
    dead = Dead(loop)
    _, row, workspace = await dead.running()
    (workspace.path / "one.txt").write_text("one\n")
    git(workspace.path, "add", "one.txt")
    git(workspace.path, "commit", "-qm", "add one.txt")
    await dead.heard(row, "session.claimed", status="done", summary="all of it")
    await loop.parts.reconciler.tick()
    await loop.run(drain=True)
    assert await loop.outcomes("one") == ["verified"]
    assert loop.git("show", "main:one.txt") == "one"
    assert len(await loop.sessions("one")) == 1
    assert not workspace.path.exists()


async def test_work_that_a_dead_loop_had_integrated_but_not_settled_is_not_integrated_again(loop: Engine) -> None:
    await loop.add("one")
    dead = Dead(loop)
    _, row, workspace = await dead.running()
    (workspace.path / "one.txt").write_text("one\n")
    git(workspace.path, "add", "one.txt")
    git(workspace.path, "commit", "-qm", "add one.txt")
    await dead.heard(row, "session.claimed", status="done", summary="all of it")
    await loop.parts.reconciler.tick()
    loop.git("commit", "-q", "--allow-empty", "-m", "theirs")  # so that integrating means merging
    lease = await Dead(loop, "second").leased()
    assert lease.item.continuation is not None
    await loop.parts.integrator.resume(lease, loop.parts.planner.plan(lease.item), lease.item.continuation)
    tip = loop.git("rev-parse", "main")
    await loop.parts.reconciler.tick()
    await loop.run(drain=True)
    assert await loop.outcomes("one") == ["verified"]
    assert loop.git("rev-parse", "main") == tip
    assert [each.state for each in await loop.parts.books(lambda s: s.integrations())] == ["applied"]


async def test_a_question_that_was_asked_waits_for_its_answer(loop: Engine) -> None:
    await loop.add("one")
    dead = Dead(loop)
    _, row, _ = await dead.running()
    await dead.heard(row, "session.asked", question="red or blue?", options=["red", "blue"])
    await loop.parts.reconciler.tick()
    item = await loop.item("one")
    assert (item.state, "red or blue?" in item.reason) == ("waiting", True)


async def test_a_loop_that_lives_is_left_alone(loop: Engine) -> None:
    await loop.add("one")
    owner = loop.parts.state.owner
    lease = await Dead(loop, owner).leased()
    assert await loop.parts.reconciler.tick() == 0
    assert (await loop.item("one")).fence == lease.fence
    assert (await loop.item("one")).state == "leased"
