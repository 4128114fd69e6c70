"""A conversation that no longer fits goes on in a fresh one, twice an item and uncounted (H55)."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.work import WorkState
from tests.kit.engine import engine

pytestmark = pytest.mark.process


async def test_the_third_full_conversation_counts_and_each_follows_from_the_last(tmp_path: Path) -> None:
    async with engine(tmp_path, harness={"max_attempts": 1}) as loop:
        full = (
            {"write": {"path": "half.txt", "content": "half\n"}},
            {"progress": "half done"},
            {"exit": "context_full"},
        )
        await loop.add("long", *full, max_attempts=1)
        await loop.run(drain=True)
        found = await loop.item("long")
        assert (found.state, found.attempts, found.rescues) == (WorkState.PARKED, 1, 0)
        first, second, third = await loop.sessions("long")
        assert (second.parent, third.parent) == (first.id, second.id)
        assert len({row.claude_session_id for row in (first, second, third)}) == 3
        assert len({row.workspace for row in (first, second, third)}) == 1
        history = await loop.parts.books(lambda s: s.attempts("long"))
        assert [(row.ending, row.counted) for row in history] == [("context_full", n == 2) for n in range(3)]
        assert "hand-over 2 of 2" in history[1].sentence
