"""What a red gate said reaches whoever goes on, and the agent knows beforehand what will be asked of it."""

import os
from datetime import UTC, datetime

import pytest

from harness.app.rendering import render
from tests.kit.engine import engine

pytestmark = pytest.mark.process
RED = "echo the very line that explains it; test ! -f one.txt"


@pytest.fixture
async def red(tmp_path):
    async with engine(tmp_path, gate=RED) as loop:
        await loop.add("one")
        await loop.run(once=True)
        yield loop, await loop.item("one")


@pytest.fixture
async def fresh(tmp_path):
    gates = [
        {"name": "tests", "run": "true"},
        {"name": "fix", "type": "regression", "run": "sh {tests}", "kinds": ["default"]},
    ]
    repositories = [{"name": "app", "path": str(tmp_path / "app"), "branch": "main", "gates": gates}]
    async with engine(tmp_path, repositories=repositories) as loop:
        await loop.add("one", scope=("src/**",))
        yield loop


def prompt(loop):
    environ = {"PATH": os.environ["PATH"]}
    return render(loop.parts.home, "one", environ, datetime.now(UTC)).facts["text"]


def test_the_red_gates_output_is_in_the_next_prompt_and_its_session_may_go_on(red):
    loop, item = red
    assert (item.attempts, item.continuation.mode, item.continuation.session is not None) == (1, "session", True)
    text = prompt(loop)
    assert "gate `tests`" in text
    assert "the very line that explains it" in text


def test_an_agent_is_told_what_gates_and_guards_will_ask(fresh):
    text = prompt(fresh)
    for line in (
        "- tests: `true`",
        "- fix: `sh {tests}`: the tests you add or change must fail without your fix and pass with it",
        "- scope: only files inside the item's scope may be changed",
        "- tamper: a person is asked if you change CI",
    ):
        assert line in text
