"""Set-up, agent and gates find files, ports and caches under the same names (C17, O13)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.model.work import WorkState
from tests.kit.engine import Engine, engine

pytestmark = pytest.mark.process

TELL = 'printf "%s %s %s\\n" "$HARNESS_PORT_1 $HARNESS_PORT_2" "$PIP_CACHE_DIR" "$(cat .env.test)" >> {where}'
WORK = {"write": {"path": "work.txt", "content": "x\n"}}


def told(folder: Path, where: str) -> list[list[str]]:
    return [line.split() for line in (folder / where).read_text().splitlines()]


def repository(folder: Path, **more: Any) -> list[dict[str, Any]]:
    outfit = {"include": [".env.test"], "caches": ["PIP_CACHE_DIR"], "ports": 2}
    gate = {"name": "tests", "run": TELL.format(where=folder / "gate")}
    return [{"name": "app", "path": str(folder / "app"), "gates": [gate], **outfit, **more}]


async def run(loop: Engine, *items: str) -> None:
    await loop.run(max_iterations=len(items))


async def test_set_up_agent_and_gates_see_the_same_names(tmp_path: Path) -> None:
    setup = [TELL.format(where=tmp_path / "setup"), 'touch "$PIP_CACHE_DIR/made"']
    async with engine(tmp_path, repositories=repository(tmp_path, setup=setup)) as loop:
        (tmp_path / "app/.env.test").write_text("KEY=1\n")
        agent = {"run": ["sh", "-c", f'test -e "$PIP_CACHE_DIR/made" && {TELL.format(where=tmp_path / "agent")}']}
        await loop.add("one", agent, WORK, {"commit": "work"}, {"complete": "all"})
        await run(loop, "one")
        assert await loop.outcomes("one") == ["verified"]
        ((*ports, cache, env),) = told(tmp_path, "setup")
        assert told(tmp_path, "agent") == [[*ports, cache, env]]
        assert len(set(ports)) == 2
        assert env == "KEY=1"
        ((*others, gates_cache, env),) = told(tmp_path, "gate")
        assert not {*ports, *others} - set(map(str, range(20_000, 30_000)))
        assert not set(ports) & set(others)
        assert (gates_cache != cache, env) == (True, "KEY=1")
        assert "KEY" not in loop.git("log", "-p", "main")
        assert not Path(cache).exists(), "it goes with the workspace"


@pytest.mark.parametrize(("inputs", "runs"), [(["*.lock"], [1, 1, 2]), ([], [1, 2, 3])])
async def test_setup_runs_again_only_when_an_input_changed(tmp_path: Path, inputs: list[str], runs: list[int]) -> None:
    said = tmp_path / "setup"
    more = {"setup": [f"echo run >> {said}"], "setup_inputs": inputs, "include": [], "max_attempts": 9}
    async with engine(tmp_path, repositories=repository(tmp_path, **more)) as loop:
        await loop.add("one", WORK, {"say": "I forgot the rest"})
        seen = []
        for n in range(3):
            if n == 2:
                (loop.parts.home.worktrees / "one/deps.lock").write_text("new\n")
            if n:
                await loop.parts.books(lambda s: s.move("one", WorkState.READY, "again", actor="test", now=loop.now))
            await loop.run(max_iterations=n + 1)
            seen.append(len(said.read_text().splitlines()))
        assert len(await loop.sessions("one")) == 3
        assert seen == runs


async def test_a_file_that_is_not_there_is_the_set_ups_failure_and_named(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=repository(tmp_path)) as loop:
        await loop.add("one")
        await run(loop, "one")
        (attempt,) = await loop.parts.books(lambda s: s.attempts("one"))
        assert attempt.ending == "setup"
        assert "include: .env.test is not in" in (attempt.evidence or "")
