"""Kinds that produce a document are judged on it by gates that name them, and touch no branch (R13)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.model.work import WorkState
from tests.kit.command import Caller
from tests.kit.engine import Engine, Step, engine

pytestmark = pytest.mark.process

POOR, GOOD = "It is slow.\n", "It reads the file twice.\n\n## Evidence\n\nREADME.md:1\n"
CHECK = 'test -f README.md && grep -q "^## Evidence" "$HARNESS_DOCUMENT" || { echo no evidence; exit 1; }'


def report(*texts: str) -> Sequence[Step]:
    """What an agent does that writes the next of `texts` each time it is asked."""
    files = [{"write": {"path": f".git/{number}", "content": text}} for number, text in enumerate(texts)]
    pick = "test -e result.md && cp .git/1 result.md || cp .git/0 result.md"
    return (*files, {"run": ["sh", "-c", pick]}, {"complete": "written"})


def judged(folder: Path, *kinds: str) -> list[dict[str, Any]]:
    """The repository, with one gate for commits, which is red, and one for the documents of `kinds`."""
    gates = [{"name": "tests", "run": "false", "retry": 0}]
    gates += [{"name": "report-check", "kinds": list(kinds), "run": CHECK, "retry": 0}] if kinds else []
    return [{"name": "app", "path": str(folder / "app"), "branch": "main", "gates": gates}]


async def evidence(loop: Engine, name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((loop.parts.home.evidence / name / "evidence.json").read_text())
    return facts


async def test_a_report_is_verified_by_the_gate_that_names_its_kind_and_the_evidence_has_it(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=judged(tmp_path, "report")) as loop:
        before = loop.git("rev-parse", "main")
        await loop.add("one", *report(GOOD), kind="report")
        await loop.run(drain=True)
        assert await loop.outcomes("one") == ["verified"]
        assert loop.git("rev-parse", "main") == before
        (session,) = await loop.sessions("one")
        assert session.prompt["template"] == "report"
        assert (loop.parts.home.session(session.id) / "result.md").read_text() == GOOD
        facts = await evidence(loop, "one")
        assert (facts["commit"], [gate["gate"] for gate in facts["gates"]]) == (None, ["report-check"])
        assert (loop.parts.home.evidence / "one" / "result.md").read_text() == GOOD
        assert (await asyncio.to_thread(Caller(loop.parts.home), "evidence", "one")).code == 0


async def test_a_red_document_goes_back_and_the_next_one_is_judged_anew(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=judged(tmp_path, "report")) as loop:
        await loop.add("one", *report(POOR, GOOD), kind="report")
        await loop.run(once=True)
        item = await loop.item("one")
        assert (item.state, item.attempts) == ("delayed", 1)
        assert "no evidence" in (await asyncio.to_thread(Caller(loop.parts.home), "why", "one")).out
        await loop.parts.books(lambda s: s.move("one", WorkState.READY, "now", actor="ada", now=loop.now))
        await loop.run(max_iterations=2)
        assert await loop.outcomes("one") == ["verified"]
        assert (loop.parts.home.evidence / "one" / "result.md").read_text() == GOOD


async def test_a_document_that_no_gate_judges_is_only_claimed(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=judged(tmp_path)) as loop:
        await loop.add("one", *report(GOOD), kind="report")
        await loop.run(once=True)
        assert await loop.outcomes("one") == ["claimed"]


async def test_no_document_is_no_change(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=judged(tmp_path, "report")) as loop:
        await loop.add("one", {"complete": "done"}, {"complete": "really"}, kind="report")
        await loop.run(once=True)
        (attempt,) = await loop.parts.books(lambda s: s.attempts("one"))
        assert attempt.ending == "no_change"
