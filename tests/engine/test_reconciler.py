"""What a loop that died has left behind is settled from evidence, uncounted, and never lost (P17, architecture 6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine.breakers import MOST_FAILURES
from harness.model.journal import Entry
from harness.model.outcome import Disposition, Failed
from harness.model.session import SessionRow, SessionStatus, new_session_id
from harness.model.work import Lease, Phase, WorkState
from harness.ports import LeaseRules, Settlement, Workspace
from harness.proc.identity import alive, boot_id, identify
from tests.kit.engine import Engine, engine
from tests.kit.loop import git

pytestmark = pytest.mark.process


@pytest.fixture
async def loop(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path) as made:
        yield made


class Dead:
    """A loop that leased `one` and died; nobody holds its lock. Its methods are what it had got to."""

    def __init__(self, loop: Engine, owner: str = "loop-dead", boot: str | None = None) -> None:
        self._loop = loop
        self._boot = boot or boot_id()
        self._books = loop.parts.books
        self._owner = owner

    async def leased(self) -> Lease:
        loop, rules = self._loop, LeaseRules("loop", {}, "app")
        register = {"pid": 1, "boot": self._boot, "start": 1, "kind": "loop", "now": loop.now}
        await self._books(lambda s: s.register(self._owner, **register))
        lease = await self._books(lambda s: s.lease(self._owner, rules, loop.now))
        assert lease is not None
        return lease

    async def running(self) -> tuple[Lease, SessionRow, Workspace]:
        loop, lease = self._loop, await self.leased()
        plan = loop.parts.planner.plan(lease.item)
        workspace = await loop.parts.workspaces.prepare(plan.repo, lease.item.id)
        facts = {"base": workspace.base, "workspace": str(workspace.path)}
        await self._books(lambda s: s.phase(lease, Phase.PREPARING, loop.now, **facts))
        row = SessionRow(
            new_session_id(), lease.item.id, lease.fence, 1, "scripted", SessionStatus.RUNNING, 1, "run", "claude-1",
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


async def test_the_last_of_too_many_failures_opens_the_breaker_although_its_loop_died_before_it_could(
    loop: Engine,
) -> None:
    """Else the new loop leases on into an API that has failed five times, until the next session has failed too."""
    dead = Dead(loop)
    for number in range(MOST_FAILURES):
        await loop.add(f"item{number}", priority=number)
        lease, row, _ = await dead.running()
        over = replace(row, status=SessionStatus.FAILED, ending="api_down", ended_at=loop.now)
        if number < MOST_FAILURES - 1:
            told = Settlement(Failed("api_down"), Disposition(WorkState.DONE, "over"), session=over)
            await loop.parts.books(lambda s, held=lease, told=told: s.settle(held, told, loop.now))
        else:
            await loop.parts.books(lambda s, over=over: s.update_session(over))
    await loop.parts.guards.begin()
    assert await loop.pauses() == []
    await loop.parts.reconciler.tick()
    await loop.parts.guards.remember()
    (pause,) = await loop.pauses()
    assert (pause.source, pause.kind) == ("breaker default", "probe")
    assert "5 of 5 sessions" in pause.reason


class Proving(Dead):
    """A loop that died while work was proved that a session had sealed, or left as a document."""

    async def sealed(self, row: SessionRow, lease: Lease, workspace: Workspace) -> None:
        (workspace.path / "one.txt").write_text("one\n")
        git(workspace.path, "add", "one.txt")
        git(workspace.path, "commit", "-qm", "add one.txt")
        seal = await self._loop.parts.workspaces.seal(workspace, (("Harness-Item", "one"),))
        await self.heard(row, "session.claimed", status="done", summary="all of it")
        await self._books(lambda s: s.phase(lease, Phase.PROVING, self._loop.now, seal=seal.commit))

    async def proved_again(self) -> None:
        """What a later loop does with the seal, up to its end by SIGKILL."""
        lease = await self.leased()
        goes_on = lease.item.continuation
        assert goes_on is not None
        facts = {"seal": goes_on.seal, "base": goes_on.base}
        await self._books(lambda s: s.phase(lease, Phase.PROVING, self._loop.now, **facts))


@pytest.mark.parametrize("kind", ["commit", "document"])
async def test_work_whose_proof_kills_a_second_loop_is_parked_with_its_dossier_and_its_seal(
    loop: Engine, kind: str
) -> None:
    await loop.add("one")
    first = Proving(loop, "first")
    lease, row, workspace = await first.running()
    if kind == "commit":
        await first.sealed(row, lease, workspace)
    else:
        await first.heard(row, "session.claimed", status="done", summary="all of it")
        await loop.parts.books(lambda s: s.phase(lease, Phase.PROVING, loop.now))
    await loop.parts.reconciler.tick()
    item = await loop.item("one")
    assert (item.state, item.rescues) == ("ready", 1)
    goes_on = item.continuation
    await Proving(loop, "second").proved_again()
    await loop.parts.reconciler.tick()
    item = await loop.item("one")
    assert (item.state, item.attempts, item.continuation) == ("parked", 0, goes_on)
    assert "poison" in item.reason
    assert len(await loop.sessions("one")) == 1
    dossier = (loop.parts.home.state / "dossiers" / "one.md").read_text()
    assert "its work was being proved" in dossier


async def test_a_loop_puts_on_record_that_it_proves_before_it_proves(tmp_path: Path) -> None:
    gate = f"test -e {tmp_path}/go || {{ touch {tmp_path}/began; sleep 60; }}"
    async with engine(tmp_path, gate=gate) as loop:
        await loop.add("one")
        first = Proving(loop, "first")
        lease, row, workspace = await first.running()
        await first.sealed(row, lease, workspace)
        await loop.parts.reconciler.tick()
        running = asyncio.ensure_future(loop.run(drain=True))
        await loop.until("attempt.phase", loop.heard.kinds().count("attempt.phase") + 1)
        last = (await loop.parts.books(lambda s: s.attempts("one")))[-1]
        assert (last.phase, last.seal is not None) == ("proving", True)
        (tmp_path / "go").touch()
        loop.parts.state.stop("test")
        await running


@pytest.mark.parametrize("phase", ["running", "proving"])
async def test_after_a_reboot_a_lease_is_dead_at_once_and_nobody_is_suspected(loop: Engine, phase: str) -> None:
    await loop.add("one")
    for owner in ("first", "second", "third"):
        dead = Proving(loop, owner, boot="another boot")
        if phase == "proving" and owner != "first":
            await dead.proved_again()
        else:
            lease, row, workspace = await dead.running()
            if phase == "proving":
                await dead.sealed(row, lease, workspace)
        assert await loop.parts.reconciler.tick() == 1
        item = await loop.item("one")
        assert (item.state, item.attempts, item.rescues) == ("ready", 0, 0)
    outcomes = [attempt.outcome for attempt in await loop.parts.books(lambda s: s.attempts("one"))]
    assert outcomes == ["interrupted"] * 3


async def test_after_a_reboot_a_stranger_with_the_pid_of_an_agent_is_not_touched(loop: Engine) -> None:
    await loop.add("one")
    _, row, _ = await Dead(loop, boot="another boot").running()
    stranger = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    try:
        me = identify(stranger.pid)
        assert me is not None
        record = {
            "pid": me.pid,
            "start": me.start,
            "boot": "another boot",
            "agent_pid": me.pid,
            "agent_start": me.start,
        }
        (folder := loop.parts.home.session(row.id)).mkdir(parents=True, exist_ok=True)
        (folder / "agent-init.json").write_text(json.dumps(record))
        await loop.parts.reconciler.tick()
        assert (await loop.item("one")).state == "ready"
        assert alive(me)
    finally:
        stranger.kill()
        await stranger.wait()


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
