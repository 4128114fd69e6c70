"""The loop dies right after each thing that an integration does: each item is integrated and pushed once (D3)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.engine.integrator import Integrator
from harness.engine.rollback import still_there
from harness.model.errors import Refused
from harness.model.journal import Integration
from harness.model.work import Continuation, Phase
from harness.ports import Clock
from tests.engine.test_integration import repository
from tests.engine.test_reconciler import Dead
from tests.kit.engine import Engine, engine
from tests.kit.remote import Remote, remote_of

pytestmark = pytest.mark.process
EFFECTS = {"keep", "advance", "push"}
WRITES = {"phase", "intend", "resolve", "publish", "note"}


class Killed(BaseException):
    """No `except Exception` hears of a kill -9."""


@dataclass
class Fuse:
    """Blows right after the step of that number: the loop does nothing any more. Never, if it is not reached."""

    steps: int
    done: list[str] = field(default_factory=list)

    def alive(self) -> None:
        if len(self.done) >= self.steps:
            raise Killed

    def step(self, name: str) -> None:
        self.done.append(name)
        self.alive()


class Mortal:
    """What it stands for, until the fuse has blown; which calls count is said."""

    def __init__(self, real: Any, fuse: Fuse, counted: set[str]) -> None:
        self._real, self._fuse, self._counted = real, fuse, counted

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._real, name)

        async def watched(*given: Any, **named: Any) -> Any:
            self._fuse.alive()
            try:
                return await call(*given, **named)
            finally:
                if name in self._counted:
                    self._fuse.step(name)

        return watched


class Spy:
    """A store that says which methods were called."""

    def __init__(self, store: Any) -> None:
        self._store, self.called = store, ""

    def __getattr__(self, name: str) -> Any:
        self.called = name
        return getattr(self._store, name)


def mortal_books(books: Callable[..., Awaitable[Any]], fuse: Fuse) -> Callable[..., Awaitable[Any]]:
    async def watched(call: Callable[[Any], Any]) -> Any:
        fuse.alive()
        spies: list[Spy] = []

        def spied(store: Any) -> Any:
            spies.append(Spy(store))
            return call(spies[0])

        found = await books(spied)
        if spies[0].called in WRITES:
            fuse.step(spies[0].called)
        return found

    return watched


async def dies(loop: Engine, name: str, fuse: Fuse) -> None:
    """A loop that integrates sealed work of an item until the fuse blows."""
    await loop.add(name)
    lease, session, workspace = await Dead(loop, f"loop-{name}").running()
    (workspace.path / f"{name}.txt").write_text(f"{name}\n")
    await loop.parts.workspaces.commit(workspace, f"add {name}.txt", "test")
    seal = await loop.parts.workspaces.seal(workspace, (("Harness-Item", name),))
    await loop.parts.books(lambda s: s.phase(lease, Phase.PROVING, loop.now, seal=seal.commit))
    goes_on = Continuation("seal", "sealed", session.id, seal=seal.commit, base=workspace.base)
    with suppress(Killed):
        await mortal(loop, fuse).resume(lease, loop.parts.planner.plan(lease.item), goes_on)


async def rows_of(loop: Engine, name: str) -> Sequence[Integration]:
    return await loop.parts.books(lambda s: s.integrations(item=name))


async def assert_once(loop: Engine, there: Remote, name: str, pushes: int) -> None:
    await loop.parts.integrator.tick()
    assert await loop.outcomes(name) == ["verified"]
    assert loop.git("log", "--no-merges", "--format=%s", "main").splitlines().count(f"add {name}.txt") == 1
    assert there.main == loop.git("rev-parse", "main")
    rows = await rows_of(loop, name)
    assert [(row.push, row.merged is not None) for row in rows if (row.kind, row.state) == ("work", "applied")] == [
        ("pushed", True)
    ]
    assert [row for row in rows if row.state == "intended"] == []
    assert len(there.taken) == pushes


async def test_after_a_death_at_any_step_work_is_integrated_and_pushed_once(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=repository(tmp_path, gate="true", push=True)) as loop:
        there, steps = remote_of(loop.repository), 0
        seen: list[str] = []
        while len(seen) >= steps:
            steps += 1
            fuse = Fuse(steps)
            await dies(loop, f"work{steps}", fuse)
            seen = fuse.done
            await loop.parts.reconciler.tick()
            await loop.run(drain=True)
            await assert_once(loop, there, f"work{steps}", steps)
        assert {"phase", "keep", "intend", "advance", "resolve", "push", "publish"} <= set(seen), seen


@pytest.mark.night
async def test_after_a_death_while_the_remotes_commits_are_merged_in(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=repository(tmp_path, gate="true", push=True)) as loop:
        there, steps, pushes = remote_of(loop.repository), 0, 0
        seen: list[str] = []
        while len(seen) >= steps:
            steps += 1
            there.theirs(**{f"theirs{steps}__txt": "x"})
            fuse = Fuse(steps)
            await dies(loop, f"work{steps}", fuse)
            seen = fuse.done
            await loop.parts.reconciler.tick()
            await loop.run(drain=True)
            pushes += 2
            await assert_once(loop, there, f"work{steps}", pushes)
            assert loop.git("show", f"main:theirs{steps}.txt") == "x"
        assert seen.count("intend") == 2, seen


def mortal(loop: Engine, fuse: Fuse) -> Integrator:
    """The integrator of a command that somebody kills."""
    tools = loop.parts.aftermath.tools
    return Integrator(replace(tools, books=mortal_books(tools.books, fuse), merger=Mortal(tools.merger, fuse, EFFECTS)))


async def test_after_a_death_at_any_step_of_merge_apply_the_next_try_ends_it(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=repository(tmp_path, push=True)) as loop:
        there, steps = remote_of(loop.repository), 0
        seen: list[str] = []
        while len(seen) >= steps:
            steps += 1
            name, fuse = f"work{steps}", Fuse(steps)
            await loop.add(name)
            await loop.run(drain=True)
            assert await loop.outcomes(name) == ["claimed"]
            with suppress(Killed):
                await mortal(loop, fuse).apply(name, by="alice")
            seen = fuse.done
            with suppress(Refused):  # it is there already
                await loop.parts.integrator.apply(name, by="bob")
            await loop.parts.integrator.tick()
            assert loop.git("log", "--no-merges", "--format=%s", "main").splitlines().count(f"add {name}.txt") == 1
            rows = await rows_of(loop, name)
            assert [row.push for row in rows if row.state == "applied"] == ["pushed"], seen
            assert there.main == loop.git("rev-parse", "main")
            facts = json.loads((loop.parts.home.evidence / name / "evidence.json").read_text())
            assert (facts["integrated"], facts["commit"]) == (True, loop.git("rev-parse", "main")), seen
        assert {"intend", "advance", "resolve", "note", "push", "publish"} <= set(seen), seen


@pytest.mark.night
async def test_after_a_death_at_any_step_of_a_rollback_it_is_taken_back_once(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=repository(tmp_path, gate="true")) as loop:
        steps = 0
        seen: list[str] = []
        while len(seen) >= steps:
            steps += 1
            name, fuse = f"work{steps}", Fuse(steps)
            await loop.add(name)
            await loop.run(drain=True)
            (row,) = await rows_of(loop, name)
            with suppress(Killed):
                await mortal(loop, fuse).undo([row], "alice")
            seen = fuse.done
            await loop.parts.integrator.settle_cut_off()
            if (left := still_there(await rows_of(loop, name))) is not None:
                await loop.parts.integrator.undo([left], "alice")
            assert f"{name}.txt" not in loop.git("ls-tree", "--name-only", "main")
            reverts = [line for line in loop.git("log", "--format=%s", "main").splitlines() if f"{name}.txt" in line]
            assert len(reverts) == 2, reverts
        assert {"intend", "advance", "resolve", "note"} <= set(seen), seen


@pytest.mark.night
async def test_after_a_death_at_any_step_of_trying_held_work_it_is_integrated_and_pushed_once(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=repository(tmp_path, gate="true", push=True)) as loop:
        there, steps = remote_of(loop.repository), 0
        seen: list[str] = []
        while len(seen) >= steps:
            steps += 1
            name, fuse = f"work{steps}", Fuse(steps)
            (loop.repository / f"{name}.txt").write_text("a person's own\n")
            await loop.add(name)
            await loop.run(drain=True)
            assert (await loop.item(name)).state == "waiting"
            (loop.repository / f"{name}.txt").unlink()
            with suppress(Killed):
                await mortal(loop, fuse).tick()
            seen = fuse.done
            await loop.parts.integrator.tick()
            await assert_once(loop, there, name, steps)
        assert {"advance", "resolve", "push", "publish"} <= set(seen), seen


async def test_an_intent_whose_branch_did_not_move_is_given_up_once_nobody_can_be_at_it(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=repository(tmp_path)) as loop:
        await loop.add("one")
        await loop.run(drain=True)
        with suppress(Killed):
            await mortal(loop, Fuse(1)).apply("one")

        async def states() -> list[str]:
            return [row.state for row in await rows_of(loop, "one")]

        await loop.parts.integrator.settle_cut_off()
        assert await states() == ["intended"], "somebody may be about to move the branch"
        tools = loop.parts.aftermath.tools
        await Integrator(replace(tools, clock=Later(tools.clock))).settle_cut_off()
        assert await states() == ["aborted"]


@dataclass
class Later:
    """A clock that is an hour ahead."""

    real: Clock

    def now(self) -> datetime:
        return self.real.now() + timedelta(hours=1)

    def monotonic(self) -> float:
        return self.real.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self.real.sleep(seconds)
