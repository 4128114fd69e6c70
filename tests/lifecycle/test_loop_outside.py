"""Sessions ended by somebody else, and starts that come at once: nothing counted, nothing lost (contract 2, P17)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.loop import COMPLETE, DONE, LoopProcess, Turn, Yard, bash, commit, sessions, until, yard

pytestmark = [pytest.mark.cli, pytest.mark.process]

LONG: tuple[Turn, ...] = (
    bash("echo half > half.txt; touch begun; python3 -c 'import time; time.sleep(100)'"),
    commit(),
    COMPLETE,
    DONE,
)


@pytest.fixture
def long(tmp_path: Path) -> Iterator[Yard]:
    with yard(tmp_path, sessions(long=LONG)) as place:
        place.add("long")
        yield place


def begun(place: Yard, loop: LoopProcess) -> int:
    """The pid of the live session."""
    until(lambda: place.tool() or not loop.running, what="the tool of the agent")
    row = until(place.running, what="the row of the session")
    assert row is not None
    assert row.pid is not None
    return row.pid


def assert_verified_in_one_conversation(place: Yard, sessions_: int = 2) -> None:
    found = place.item("long")
    assert (found.state, found.outcome, found.attempts) == ("done", "verified", 0), found.reason
    rows = place.sessions("long")
    assert len(rows) == sessions_
    assert len({row.claude_session_id for row in rows}) == 1
    assert place.git("show", "main:half.txt") == "half"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_session_that_somebody_else_ends_goes_on_uncounted(long: Yard, signum: signal.Signals) -> None:
    loop = long.start(MAX_ITERATIONS="2")
    os.kill(begun(long, loop), signum)
    until(lambda: long.item("long").state == "done", 30, "the end of the work")
    assert_verified_in_one_conversation(long)
    assert long.sessions("long")[0].status == "killed"
    loop.signal(signal.SIGTERM)
    assert loop.ended(5) == 0


def test_a_start_at_once_after_a_kill_ends_what_is_left_before_it_goes_on(long: Yard) -> None:
    first = long.start()
    begun(long, first)
    first.signal(signal.SIGKILL)
    first.ended()
    status, said = long.run(MAX_ITERATIONS="1")
    assert status == 0, said
    assert_verified_in_one_conversation(long)


def test_two_workers_are_paused_and_stopped_together(tmp_path: Path) -> None:
    scripts = sessions(one=LONG[:1], two=LONG[:1])
    with yard(tmp_path, scripts) as place:
        for item in ("one", "two"):
            place.add(item)
        loop = place.start("run", "--workers", "2")
        until(lambda: len(list(place.home.worktrees.rglob("begun"))) == 2, 30, "both tools")
        place.home.interrupt_file.touch()
        until(lambda: [row.status for row in place.sessions()] == ["interrupted"] * 2, 12, "both interruptions")
        place.home.interrupt_file.unlink()
        until(lambda: len(place.sessions()) == 4, 10, "both resumptions")
        loop.signal(signal.SIGTERM)
        assert loop.ended(20) == 0, loop.output
        assert place.living() == []
        assert [place.item(item).attempts for item in ("one", "two")] == [0, 0]


@pytest.mark.parametrize("seconds", [0.6, 0.8, 1.0, 1.3])
def test_a_term_in_the_first_moments_is_a_good_end(long: Yard, seconds: float) -> None:
    """From the lock that a second loop would meet to the first session."""
    loop = long.start()
    until(long.home.pid_file.exists, what="the lock")
    until(lambda: _older(loop, seconds))
    loop.signal(signal.SIGTERM)
    assert loop.ended(15) == 0, loop.output
    assert long.living() == []
    found = long.item("long")
    assert (found.state, found.attempts) == ("ready", 0)


def _older(loop: LoopProcess, seconds: float) -> bool:
    ticks = int(Path(f"/proc/{loop.pid}/stat").read_text().rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return uptime - ticks / os.sysconf("SC_CLK_TCK") >= seconds
