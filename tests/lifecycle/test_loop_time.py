"""Limits seen from outside: the session's time, the API's silence, a tool's own limit (A5, A6, H12, H22)."""

from __future__ import annotations

import shlex
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.proc.lock import is_free
from tests.kit.loop import COMPLETE, DONE, bash, commit, sessions, until, work, yard
from tests.lifecycle.zoo.den import ZOO
from tests.lifecycle.zoo.zoo import KINDS

pytestmark = [pytest.mark.cli, pytest.mark.process]

STALL_SECONDS = 3


def carrying(marker: str) -> list[int]:
    """Who lives and has the marker among its arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.mark.slow
def test_nothing_of_a_session_outlives_its_timeout(tmp_path: Path) -> None:
    marker, seconds = f"zoo-{uuid.uuid4().hex}", 6
    zoo = shlex.join([sys.executable, "-I", "-S", str(ZOO), marker, "then-ignore"])
    script = (bash(f"echo half > half.txt; {zoo}"),)
    with yard(tmp_path, sessions(zoo=script)) as place:
        place.add("zoo")
        loop = place.start(MAX_ITERATIONS="1", SESSION_TIMEOUT=str(seconds))
        until(lambda: len(carrying(marker)) >= len(KINDS), what="the zoo")
        (row,) = place.sessions()
        assert row.started_at is not None
        lock = place.home.session(row.id) / "lock"
        until(lambda: not carrying(marker) and is_free(lock), 40, "the end of the zoo")
        assert (datetime.now(UTC) - row.started_at).total_seconds() < seconds + 15
        assert loop.ended() == 0, loop.output
        (row,) = place.sessions()
        assert (row.status, row.ending, row.ended_by) == ("timeout", "timeout", "watchdog")
        found = place.item("zoo")
        assert (found.state, found.attempts, found.continuation is not None) == ("delayed", 1, True)
        saves = place.refs(f"refs/harness/{row.id}/wip/*")
        assert "half" in [place.git("show", f"{ref}:half.txt") for ref in saves]
        assert place.living() == []


def test_a_silent_tool_may_be_silent_for_longer_than_the_stall_threshold(tmp_path: Path) -> None:
    script = (bash(f"sleep {2 * STALL_SECONDS}"), *work())
    with yard(tmp_path, sessions(mute=script)) as place:
        place.add("mute")
        status, said = place.run(MAX_ITERATIONS="1", STALL_THRESHOLD=str(STALL_SECONDS))
        assert status == 0, said
        assert place.item("mute").outcome == "verified", said
        assert "stalled" not in place.log()


@pytest.mark.parametrize("fault", ["hang", "hang_mid"])
def test_an_api_that_stops_sending_is_called_stalled(tmp_path: Path, fault: str) -> None:
    script = ({"text": "never heard whole", "fault": {fault: "forever"}},)
    with yard(tmp_path, sessions(quiet=script)) as place:
        place.add("quiet")
        loop = place.start(MAX_ITERATIONS="1", STALL_THRESHOLD=str(STALL_SECONDS))
        until(place.asked, what="the request that is never answered")
        asked = time.monotonic()
        until(lambda: "stalled" in place.log(), STALL_SECONDS + 15, "the stall")
        assert loop.ended(20) == 0, loop.output
        assert time.monotonic() - asked < STALL_SECONDS + 20
        (row,) = place.sessions()
        assert (row.status, row.ending) == ("stalled", "stalled_api")
        found = place.item("quiet")
        assert (found.state, found.attempts, found.deferrals) == ("delayed", 0, 1)
        assert place.living() == []


def test_a_tool_that_hangs_for_ever_ends_by_its_own_limit(tmp_path: Path) -> None:
    script = (bash("python3 -c 'import time; time.sleep(1000)'", timeout=2000), commit(), COMPLETE, DONE)
    with yard(tmp_path, sessions(hang=script)) as place:
        place.add("hang")
        status, said = place.run(MAX_ITERATIONS="1", STALL_THRESHOLD=str(STALL_SECONDS))
        assert status == 0, said
        assert place.item("hang").outcome == "verified", said


def test_an_empty_queue_ends_a_finite_loop_and_is_said_once(tmp_path: Path) -> None:
    with yard(tmp_path, sessions()) as place:
        status, said = place.run(MAX_ITERATIONS="1")
        assert status == 0, said
        assert place.log().count("No work available") == 1


def test_consecutive_failures_over_two_items_pause_the_loop_and_name_them(tmp_path: Path) -> None:
    idle = ({"text": "I will not."}, {"text": "No."}, {"text": "No."})
    with yard(tmp_path, sessions(one=idle, two=idle)) as place:
        for item in ("one", "two"):
            place.add(item)
        loop = place.start(MAX_CONSECUTIVE_FAILURES="2")
        until(place.home.interrupt_file.exists, 30, "the interrupt file")
        reason = place.home.interrupt_file.read_text()
        assert reason.startswith("consecutive_failures: the last 2 sessions failed")
        assert "- one: unreported" in reason
        assert "- two: unreported" in reason
        until(lambda: "Loop paused" in loop.output, what="the pause")
        assert place.ask("status")["state"] == "paused"
