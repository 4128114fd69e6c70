"""The interrupt file stops the loop and its session, and the same conversation goes on afterwards (A4, H16)."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.rehearsal.records import Received
from tests.kit.loop import COMPLETE, DONE, LoopProcess, Turn, Yard, bash, commit, sessions, until, work, yard

pytestmark = [pytest.mark.cli, pytest.mark.process]

LONG_TOOL = bash("touch begun; python3 -c 'import time; time.sleep(100)'")
LONG: tuple[Turn, ...] = (LONG_TOOL, commit(), COMPLETE, DONE)
HANGING: tuple[Turn, ...] = (
    bash("touch begun"),
    {**commit(), "fault": {"hang": "forever", "times": 1}},
    COMPLETE,
    DONE,
)


@pytest.fixture
def long(tmp_path: Path) -> Iterator[Yard]:
    with yard(tmp_path, sessions(long=LONG)) as place:
        place.add("long")
        yield place


def begun(place: Yard, loop: LoopProcess) -> None:
    until(lambda: place.tool() or not loop.running, what="the tool of the agent")
    assert loop.running, loop.output


def request_interrupt(place: Yard, reason: str) -> float:
    place.home.interrupt_file.write_text(reason)
    return time.monotonic()


def clear_interrupt(place: Yard) -> None:
    place.home.interrupt_file.unlink()


def interrupted(place: Yard, count: int = 1) -> None:
    until(lambda: sum(row.status == "interrupted" for row in place.sessions()) == count, 12, "the interruption")


def said(request: Received) -> str:
    return json.dumps(request.body["messages"])


def assert_one_conversation(place: Yard, item: str) -> None:
    """Two agent processes, one Claude conversation: the endpoint saw what was done before."""
    first, second = place.sessions(item)
    assert first.claude_session_id == second.claude_session_id
    assert second.parent == first.id
    assert {request.conversation for request in place.asked()} == {first.claude_session_id}
    assert "touch begun" in said(place.asked()[-1])


def assert_verified_and_uncounted(place: Yard, item: str) -> None:
    found = place.item(item)
    assert (found.state, found.outcome, found.attempts) == ("done", "verified", 0), found.reason
    assert place.git("cat-file", "-p", "main:work.txt") == "done"


def test_interrupt_during_a_tool_pauses_within_two_seconds_and_the_conversation_goes_on(long: Yard) -> None:
    loop = long.start(MAX_ITERATIONS="1")
    begun(long, loop)
    asked = request_interrupt(long, "database is being moved\n")
    until(lambda: "Session is being stopped" in long.log(), 5, "the notice")
    assert time.monotonic() - asked < 2
    interrupted(long)
    assert long.living() == []
    (row,) = long.sessions()
    assert long.context(row.id)["stopped_while"].startswith("Bash")
    status = long.ask("status")
    assert (status["state"], status["pid"]) == ("paused", loop.pid)
    assert "database is being moved" in json.dumps(status["reasons"])
    assert "database is being moved" in long.log()
    assert loop.running
    clear_interrupt(long)
    assert loop.ended() == 0, loop.output
    assert_verified_and_uncounted(long, "long")
    assert_one_conversation(long, "long")


def test_interrupt_while_the_api_hangs_goes_on_in_the_same_conversation(tmp_path: Path) -> None:
    with yard(tmp_path, sessions(hang=HANGING)) as place:
        place.add("hang")
        loop = place.start(MAX_ITERATIONS="1")
        until(lambda: len(place.asked()) == 2, what="the request that hangs")
        request_interrupt(place, "stop")
        interrupted(place)
        clear_interrupt(place)
        assert loop.ended() == 0, loop.output
        assert_verified_and_uncounted(place, "hang")
        assert_one_conversation(place, "hang")


def test_a_loop_that_is_restarted_while_paused_starts_paused_and_goes_on_after_removal(long: Yard) -> None:
    first = long.start()
    begun(long, first)
    request_interrupt(long, "over the weekend")
    interrupted(long)
    first.signal(signal.SIGTERM)
    assert first.ended(5) == 0
    second = long.start(MAX_ITERATIONS="1")
    until(lambda: "over the weekend" in second.output, what="the reason at start")
    assert len(long.sessions()) == 1
    assert long.ask("status")["state"] == "paused"
    clear_interrupt(long)
    assert second.ended() == 0, second.output
    assert_verified_and_uncounted(long, "long")
    assert_one_conversation(long, "long")


def test_touch_pauses_without_a_reason_and_says_since_when(long: Yard) -> None:
    long.home.interrupt_file.touch()
    loop = long.start(MAX_ITERATIONS="1")
    until(lambda: "Loop paused" in loop.output, what="the pause")
    assert "no reason given, created 20" in loop.output
    assert "no reason given" in json.dumps(long.ask("status")["reasons"])
    assert long.sessions() == []
    loop.signal(signal.SIGTERM)
    assert loop.ended(5) == 0


def test_pause_and_resume_as_commands(tmp_path: Path) -> None:
    with yard(tmp_path, sessions(quick=work())) as place:
        assert place.run("pause", "lunch")[0] == 0
        place.add("quick")
        loop = place.start(MAX_ITERATIONS="1")
        until(lambda: "lunch" in loop.output, what="the pause")
        assert place.run("resume")[0] == 0
        assert loop.ended() == 0, loop.output
        assert_verified_and_uncounted(place, "quick")


@pytest.mark.parametrize("flag", ["--once", "--drain"])
def test_a_course_that_does_not_wait_ends_paused(long: Yard, flag: str) -> None:
    loop = long.start("run", flag)
    begun(long, loop)
    request_interrupt(long, "not now")
    assert loop.ended(15) == 5, loop.output
    found = long.item("long")
    assert (found.state, found.attempts) == ("ready", 0)


def test_interrupt_before_the_agent_has_said_anything_begins_afresh(long: Yard) -> None:
    """There is no conversation yet that could go on."""
    loop = long.start(MAX_ITERATIONS="1")
    until(lambda: bool(long.home.database.exists() and long.sessions()), what="the session row")
    request_interrupt(long, "too early")
    interrupted(long)
    long.api.requests.clear()
    clear_interrupt(long)
    begun(long, loop)
    request_interrupt(long, "again")
    interrupted(long, 2)
    found = long.item("long")
    assert (found.attempts, found.rescues) == (0, 0)
    loop.signal(signal.SIGTERM)
    assert loop.ended(5) == 0
