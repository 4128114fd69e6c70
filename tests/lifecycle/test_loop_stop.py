"""Ending the loop: TERM, INT, a second loop, kill -9; what ran goes on at the next start (A9, H19)."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.loop import COMPLETE, DONE, LoopProcess, Turn, Yard, bash, commit, sessions, until, work, yard

pytestmark = [pytest.mark.cli, pytest.mark.process]

DEAF = "trap '' TERM INT HUP; (setsid nohup python3 -c 'import time; time.sleep(300)' >/dev/null 2>&1 &) "
LONG: tuple[Turn, ...] = (
    bash(f"{DEAF}; echo half > half.txt; touch begun; python3 -c 'import time; time.sleep(100)'"),
    commit(),
    COMPLETE,
    DONE,
)
SLOW_GATE = "touch {mark}; test -f {go} || sleep 100"


@pytest.fixture
def long(tmp_path: Path) -> Iterator[Yard]:
    with yard(tmp_path, sessions(long=LONG)) as place:
        place.add("long")
        yield place


def begun(place: Yard, loop: LoopProcess) -> None:
    until(lambda: place.tool() or not loop.running, what="the tool of the agent")
    assert loop.running, loop.output
    until(place.running, what="the row of the session")


def finishes(place: Yard, item: str = "long") -> None:
    status, said = place.run(MAX_ITERATIONS="1")
    assert status == 0, said
    found = place.item(item)
    assert (found.state, found.outcome, found.attempts) == ("done", "verified", 0), said


def test_term_ends_the_session_and_the_next_start_resumes_the_conversation(long: Yard) -> None:
    loop = long.start()
    begun(long, loop)
    began = time.monotonic()
    loop.signal(signal.SIGTERM)
    assert loop.ended(20) == 0, loop.output
    assert time.monotonic() - began < 12
    assert long.living() == []
    assert not long.home.pid_file.exists()
    found = long.item("long")
    assert (found.state, found.attempts, found.rescues) == ("ready", 0, 0)
    finishes(long)
    first, second = long.sessions()
    assert (first.status, second.parent) == ("interrupted", first.id)
    assert {request.conversation for request in long.asked()} == {first.claude_session_id}


def test_second_loop_is_refused_and_names_the_first(long: Yard) -> None:
    long.home.interrupt_file.parent.mkdir(exist_ok=True)
    long.home.interrupt_file.touch()
    loop = long.start()
    until(lambda: "Loop paused" in loop.output, what="the first loop")
    status, said = long.run()
    assert status == 75
    assert str(loop.pid) in said
    loop.signal(signal.SIGINT)
    assert loop.ended(5) == 0


def test_interrupting_twice_ends_everything_at_once(long: Yard) -> None:
    loop = long.start()
    begun(long, loop)
    agent = long.running()
    assert agent is not None
    assert agent.pid is not None
    os.kill(_cli_of(long, agent.id), signal.SIGSTOP)  # hears no interrupt: the ladder alone would take its 4 s
    loop.signal(signal.SIGINT)
    until(lambda: "Session is being stopped" in loop.output, what="the first INT")
    began = time.monotonic()
    loop.signal(signal.SIGINT)
    assert loop.ended(20) == 130, loop.output
    assert time.monotonic() - began < 3
    assert long.living() == []
    assert long.item("long").attempts == 0
    finishes(long)


def test_stop_timeout_is_kept_with_a_cli_that_hears_nothing(tmp_path: Path) -> None:
    with yard(tmp_path, sessions(long=LONG), harness={"stop_timeout": 2}) as place:
        place.add("long")
        loop = place.start()
        begun(place, loop)
        row = place.running()
        assert row is not None
        os.kill(_cli_of(place, row.id), signal.SIGSTOP)
        began = time.monotonic()
        loop.signal(signal.SIGTERM)
        assert loop.ended(20) == 0, loop.output
        assert time.monotonic() - began < 5
        assert place.living() == []


def test_killed_loop_takes_its_agents_along_and_the_next_start_goes_on(long: Yard) -> None:
    loop = long.start()
    begun(long, loop)
    loop.signal(signal.SIGKILL)
    loop.ended()
    until(lambda: long.living() == [], 10, "the end of the agent's tree")
    finishes(long)
    first, second = long.sessions()
    assert (first.status, first.ending) == ("killed", "lost")
    assert second.claude_session_id == first.claude_session_id
    assert long.refs(f"refs/harness/{first.id}/wip/*"), "half.txt is saved before anything else touches it"
    assert long.git("show", f"refs/harness/{first.id}/wip/1:half.txt") == "half"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_being_proved_goes_on_from_its_seal_without_a_session(tmp_path: Path, signum: signal.Signals) -> None:
    mark, go = tmp_path / "gate-runs", tmp_path / "go"
    with yard(tmp_path, sessions(quick=work()), gate=SLOW_GATE.format(mark=mark, go=go)) as place:
        place.add("quick")
        loop = place.start()
        until(mark.exists, what="the gate")
        loop.signal(signum)
        assert loop.ended(10) == (0 if signum is signal.SIGTERM else -9), loop.output
        go.touch()
        finishes(place, "quick")
        assert len(place.sessions()) == 1
        assert place.git("show", "main:work.txt") == "done"


def test_a_document_that_was_being_judged_is_judged_again_without_a_session(tmp_path: Path) -> None:
    mark, go = tmp_path / "gate-runs", tmp_path / "go"
    judge = f"{SLOW_GATE.format(mark=mark, go=go)}; grep -q found $HARNESS_DOCUMENT"
    gates = [{"name": "read", "run": judge, "kinds": ["review"]}]
    script = (bash("echo found > result.md"), COMPLETE, DONE)
    repository = {"name": "app", "path": str(tmp_path / "app"), "branch": "main", "gates": gates}
    with yard(tmp_path, sessions(look=script), repositories=[repository]) as place:
        place.add("look", kind="review")
        loop = place.start()
        until(mark.exists, what="the gate")
        loop.signal(signal.SIGTERM)
        assert loop.ended(10) == 0, loop.output
        go.touch()
        finishes(place, "look")
        assert len(place.sessions()) == 1


def _cli_of(place: Yard, session: str) -> int:
    record = json.loads((place.home.session(session) / "agent-init.json").read_text())
    return int(record["agent_pid"])
