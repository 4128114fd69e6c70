"""`./loop worker`: processes beside a loop on the same home; each has its own lock, and what it leaves is found (R6)."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from harness.proc.tree import marked
from tests.kit.loop import Yard, until
from tests.kit.scripted import CLAIM, COMMIT, HANG, MARKED, WRITE, scripted, told

pytestmark = [pytest.mark.process]


def writes(name: str) -> list[object]:
    """A script whose work is a file of its own."""
    return [{"write": {"path": f"{name}.txt", "content": f"{name}\n"}}, {"commit": f"add {name}"}, CLAIM]


def lease_owners(place: Yard) -> set[str]:
    """Kinds of the processes that leased."""
    return {str(entry.data["owner"]).partition("-")[0] for entry in told(place, "item.leased")}


def test_a_loop_and_a_worker_share_a_queue_and_status_shows_both_until_stop_ends_both(tmp_path: Path) -> None:
    barrier = 'touch "$0-here"; until [ -e ../../../first-here -a -e ../../../second-here ]; do sleep 0.05; done'
    meet = {name: {"run": ["sh", "-c", barrier, f"../../../{name}"]} for name in ("first", "second")}
    with scripted(tmp_path, gate="test -f README.md") as place:
        for name in ("first", "second"):
            place.add(name, script=[meet[name], *writes(name)])
        loop, worker = place.start(), place.start("worker")
        until(lambda: place.item("first").state == place.item("second").state == "done", what="both done")
        found = place.ask("status")
        assert (found["state"], found["pid"]) == ("running", loop.pid)
        assert [each["pid"] for each in found["workers"]] == [worker.pid]
        assert lease_owners(place) == {"loop", "worker"}, "the two items met, so two processes worked on them"
        assert place.git("show", "main:first.txt", "main:second.txt") == "first\nsecond"
        current = json.loads(place.home.current_session.read_text())
        assert current["session_id"] == place.sessions()[-1].id
        status, said = place.run("stop")
        assert status == 0, said
        assert f"worker {worker.pid} has ended" in said
        assert (loop.ended(), worker.ended()) == (0, 0)
        assert list(place.home.owners.iterdir()) == []
        assert place.run("audit", "verify")[0] == 0


def test_a_killed_worker_is_settled_by_the_loop_and_a_loop_that_starts_leaves_a_live_one_alone(tmp_path: Path) -> None:
    with scripted(tmp_path, gate="test -f README.md") as place:
        place.add("slow", script=[MARKED, {"progress": "at work"}, HANG])
        worker = place.start("worker")
        until(lambda: place.home.database.exists() and told(place, "session.progress"), what="the worker at work")
        assert place.ask("status")["state"] == "stopped"
        assert place.run("why", "slow")[1].count("session")
        place.add("other", script=writes("other"))
        first = place.start("run", "--max-iterations", "1")
        assert first.ended() == 0, first.output
        assert (place.item("slow").state, place.item("slow").fence) == ("leased", 1)
        assert place.item("other").outcome == "verified"
        os.kill(worker.pid, signal.SIGKILL)
        worker.ended()
        second = place.start()
        until(lambda: len(place.sessions("slow")) == 2, what="the second session")
        second.signal(signal.SIGTERM)
        assert second.ended() == 0
        assert place.item("slow").attempts == 0
        assert [entry.data["phase"] for entry in told(place, "item.rescued")] == ["running"]
        assert place.run("audit", "verify")[0] == 0


def test_a_worker_pauses_with_the_interrupt_file_and_ends_in_order_with_term(tmp_path: Path) -> None:
    with scripted(tmp_path) as place:
        place.add("paused", script=[WRITE, COMMIT, {"progress": "half"}, HANG])
        worker = place.start("worker", "--workers", "2")
        until(lambda: place.home.database.exists() and told(place, "session.progress"), what="the worker at work")
        assert place.run("pause", "look first")[0] == 0
        until(lambda: place.item("paused").state == "ready", what="the item back in the queue")
        assert told(place, "loop.paused")[-1].data["reason"] == "look first"
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0, worker.output
        found = place.item("paused")
        assert (found.state, found.attempts, found.continuation and found.continuation.mode) == ("ready", 0, "session")
        assert told(place, "worker.ended")[-1].data["reason"] == "TERM"


def test_a_frozen_worker_whose_work_was_taken_over_writes_nothing_when_it_comes_back(tmp_path: Path) -> None:
    with scripted(tmp_path) as place:
        place.add("taken", script=[MARKED, {"progress": "at work"}, {"run": ["sleep", "600"]}])
        worker = place.start("worker", "--drain")
        until(lambda: place.home.database.exists() and told(place, "session.progress"), what="the worker at work")
        os.kill(worker.pid, signal.SIGSTOP)
        (lock,) = place.home.owners.glob("worker-*.lock")
        lock.unlink()
        loop = place.start()
        until(lambda: len(place.sessions("taken")) == 2, what="the session of the loop")
        before = (place.item("taken"), place.sessions("taken")[0], place.git("for-each-ref"))
        assert before[1].status == "killed"
        os.kill(worker.pid, signal.SIGCONT)
        assert worker.ended() == 1, worker.output
        assert "was taken" in worker.output
        assert (place.item("taken"), place.sessions("taken")[0], place.git("for-each-ref")) == before
        first, second = (each.id for each in place.sessions())
        assert marked({first}) == [], "its agent was ended"
        until(lambda: marked({second}), what="the agent of the loop, which works on")
        loop.signal(signal.SIGTERM)
        assert loop.ended() == 0
        assert place.run("audit", "verify")[0] == 0
        assert (place.item("taken").state, place.item("taken").attempts) == ("ready", 0)
        assert [entry.session for entry in told(place, "session.opened")] == [each.id for each in place.sessions()]
