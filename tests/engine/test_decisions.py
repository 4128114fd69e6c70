"""A question of an agent under the engine: the slot is free meanwhile, and the same conversation goes on (C11)."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.app.rendering import render
from harness.engine.plan import handover_of
from harness.model.decision import Decision
from harness.model.work import Continuation
from tests.kit.engine import MOST_SECONDS, Engine, engine, work

pytestmark = pytest.mark.process

ASK = {"ask": {"question": "red or blue?", "options": ["red", "blue"]}}
ASKS = ({"say": "There is paint in two colours."}, ASK)
NIGHT = timedelta(hours=25)


async def question(loop: Engine, item: str = "paint") -> Decision:
    found = await loop.parts.books(lambda s: s.decisions(item))
    return found[-1]


async def plays(loop: Engine, item: str, *script: Any) -> None:
    """What the next session of the item does."""
    changes = {"extra": {"script": list(script)}}
    await loop.parts.books(lambda s: s.update(item, changes, actor="test", now=loop.now))


async def prompt(loop: Engine, item: str) -> dict[str, Any]:
    """As `./loop prompt render` shows it."""
    rendered = await asyncio.to_thread(render, loop.parts.home, item, {"PATH": os.environ["PATH"]}, loop.now)
    facts: dict[str, Any] = rendered.facts
    return facts


async def test_the_answer_reaches_the_next_session_of_the_same_conversation(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await loop.add("paint", *ASKS)
        await loop.add("other")
        await loop.run(drain=True)
        assert [(await loop.item(name)).state for name in ("paint", "other")] == ["waiting", "done"]
        await plays(loop, "paint", *work("paint"))
        asked = await question(loop)
        await loop.parts.books(lambda s: s.answer(asked.id, "2", by="eva", via="command", now=loop.now))
        goes_on = (await loop.item("paint")).continuation
        conversation = goes_on.claude_session_id if goes_on is not None else None
        told = await prompt(loop, "paint")
        assert told["template"] == "continue"
        assert "this is the answer, and it decides:\n\nblue\n" in told["text"]
        assert "red or blue?" in told["text"]
        await loop.run(drain=True)
        assert await loop.outcomes("paint") == ["verified"]
        first, second = await loop.sessions("paint")
        assert (second.parent, conversation) == (first.id, first.claude_session_id)
        assert (await loop.item("paint")).attempts == 0


async def test_an_answer_stays_known_to_sessions_that_begin_afresh(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await loop.add("paint", *ASKS)
        for answer in ("red", "dark"):
            await loop.run(drain=True)
            number = (await question(loop)).id
            await loop.parts.books(lambda s: s.answer(number, answer, by="eva", via="command", now=loop.now))  # noqa: B023 - called at once
        assert "1. red\n2. dark" in (await prompt(loop, "paint"))["text"]
        afresh = Continuation("work", "context_full", session="ses_000000000000")
        for goes_on in (afresh, None):
            found = await loop.parts.books(lambda s: s.decisions("paint"))
            told = handover_of(goes_on, loop.parts.tools.session.records, found)
            assert told is not None
            assert told.answer == "1. red\n2. dark"


async def test_a_running_loop_takes_an_answer_from_its_file_within_two_seconds(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await loop.add("paint", *ASKS)
        course = asyncio.create_task(loop.run(pass_seconds=30))
        await loop.until("decision.asked")
        path = loop.parts.home.decisions / "1.md"
        async with asyncio.timeout(MOST_SECONDS):
            while not path.exists():
                await loop.parts.state.bell.after(loop.parts.state.bell.ticket(), 0.05)
        await plays(loop, "paint", *work("paint"))
        with path.open("a") as out:
            out.write("answer: red\n")
        began = loop.parts.clock.monotonic()
        await loop.until("decision.answered")
        took = loop.parts.clock.monotonic() - began
        await loop.until("integration.applied")
        loop.parts.state.stop("test")
        await course
        assert await loop.outcomes("paint") == ["verified"]
        assert took < 10, "a poll a second and a ring: two seconds, with a loaded machine in mind"
        assert "answered by" in (loop.parts.home.decisions / "closed" / "1.md").read_text()


async def test_a_loop_that_was_down_over_a_deadline_acts_at_its_next_start(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await loop.add("paint", *ASKS)
        await loop.run(drain=True)
        asked = await question(loop)
        assert asked.deadline_at is not None
        assert round((asked.deadline_at - asked.asked_at) / timedelta(hours=1), 3) == 24
        await loop.parts.books(lambda s: s.begin_waits_anew(loop.now - NIGHT))  # as if it had been asked a day ago
        await loop.parts.deadlines.tick()
        assert (await question(loop)).state == "skipped"
        found = await loop.item("paint")
        assert (found.state, found.reason.startswith("skipped: nobody answered")) == ("cancelled", True)
        assert loop.heard.kinds().count("decision.skipped") == 1


@pytest.mark.parametrize(
    ("config", "options", "state"),
    [
        ({"decisions": {"on_timeout": "default"}}, ["red", "blue"], "ready"),
        ({"decisions": {"on_timeout": "default"}}, [], "cancelled"),
        ({"kinds": {"default": {"decisions": {"on_timeout": "hold"}}}}, ["red"], "waiting"),
    ],
)
async def test_what_happens_then_is_configured(tmp_path: Path, config: Any, options: Any, state: str) -> None:
    async with engine(tmp_path, **config) as loop:
        await loop.add("paint", {"ask": {"question": "which?", "options": options}})
        await loop.run(drain=True)
        await loop.parts.books(lambda s: s.begin_waits_anew(loop.now - NIGHT))
        await loop.parts.deadlines.tick()
        assert (await loop.item("paint")).state == state
