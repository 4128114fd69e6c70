"""Budgets from outside: tokens of a session are a limit like its time, and a killed loop leaks no reservation (H34)."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.kit.loop import COMPLETE, DONE, bash, commit, sessions, until, yard

pytestmark = [pytest.mark.cli, pytest.mark.process]

AGENT = {"type": "claude", "max_cost_usd": 5}


def test_a_session_that_used_up_its_tokens_is_interrupted_and_its_work_saved(tmp_path: Path) -> None:
    dear = {**bash("echo half > half.txt; touch begun; sleep 30", timeout=40_000), "usage": {"input": 60_000}}
    agents = {"default": {**AGENT, "max_tokens": 50_000}}
    with yard(tmp_path, sessions(dear=(dear, COMPLETE, DONE)), agents=agents) as place:
        place.add("dear")
        status, said = place.run(MAX_ITERATIONS="1", seconds=40)
        assert status == 0, said
        (row,) = place.sessions()
        assert (row.status, row.ending, row.ended_by) == ("failed", "budget", "watchdog")
        assert (place.item("dear").state, place.item("dear").attempts) == ("delayed", 1)
        assert place.living() == []


def test_a_loop_that_is_killed_leaks_no_reservation_and_forgets_no_cost(tmp_path: Path) -> None:
    """$6 a day, $5 a session: two reservations at a time are one too many. The killed session had used $0.18."""
    wait = "touch begun; until [ -e go ]; do sleep 0.1; done"
    script = ({**bash(wait), "usage": {"input": 90_000, "output": 0}}, commit(), COMPLETE, DONE)
    agents = {"default": {**AGENT, "model": "sonnet"}}
    with yard(tmp_path, sessions(one=script), agents=agents, budgets={"day_usd": 6}) as place:
        place.add("one")
        loop = place.start(MAX_ITERATIONS="1")
        until(place.tool, what="the tool")
        loop.signal(signal.SIGKILL)
        loop.process.wait(20)
        (place.workspace("one") / "go").touch()
        status, said = place.run(MAX_ITERATIONS="1")
        assert status == 0, said
        assert place.item("one").outcome == "verified", said
        killed, *_ = place.sessions()
        assert killed.metrics["cost_usd"] is None
        assert float(killed.metrics["estimated_cost_usd"]) == pytest.approx(0.18, abs=0.01)
        with place.store() as store:
            assert float(store.spent()["default"]) >= 0.18
            assert store.pauses() == []
