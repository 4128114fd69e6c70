"""What a killed loop leaves is settled from evidence: nothing lost, nothing done twice, nothing counted (P17, O1, O7)."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.proc.identity import identify
from tests.kit.loop import COMPLETE, DONE, Yard, bash, commit, sessions, until, yard
from tests.kit.scripted import CLAIM, COMMIT, HANG, MARKED, WRITE, scripted, told

pytestmark = [pytest.mark.process]


def killed_after(place: Yard, event: str, **matching: Any) -> None:
    """Start the loop, and kill -9 it as soon as the journal has `event`."""
    before = len(told(place, event)) if place.home.database.exists() else 0
    loop = place.start()
    until(lambda: len(told(place, event)) > before or not loop.running, what=event)
    assert loop.running, loop.output
    loop.signal(signal.SIGKILL)
    loop.ended()


def goes_on(place: Yard) -> str:
    status, said = place.run(MAX_ITERATIONS="1")
    assert status == 0, said
    return said


def assert_verified(place: Yard, item: str, *, sessions: int) -> None:
    found = place.item(item)
    assert (found.state, found.outcome, found.attempts) == ("done", "verified", 0), found.reason
    assert len(place.sessions(item)) == sessions
    assert place.git("rev-list", "--count", "main") == "2"


def test_work_that_was_claimed_and_committed_is_proved_without_another_session(tmp_path: Path) -> None:
    with scripted(tmp_path) as place:
        place.add("claimed", script=[WRITE, COMMIT, CLAIM, HANG])
        killed_after(place, "session.claimed")
        assert place.item("claimed").state == "leased"
        status, said = place.run("run", "--drain")
        assert status == 0, said
        assert_verified(place, "claimed", sessions=1)
        (row,) = place.sessions()
        assert (row.status, row.ending, row.ended_by) == ("completed", None, "loop")
        assert "The loop before this one was killed" in said
        assert place.item("claimed").rescues == 0


def test_a_claim_over_uncommitted_changes_is_not_believed_the_conversation_goes_on(tmp_path: Path) -> None:
    again = {"write": {"path": "later.txt", "content": "x\n"}}
    with scripted(tmp_path) as place:
        place.add("dirty", script=[WRITE, COMMIT, CLAIM, again, {"progress": "more"}, HANG])
        killed_after(place, "session.progress")
        place.run("queue", "show", "dirty")
        loop = place.start()
        until(lambda: len(place.sessions()) == 2, what="the second session")
        loop.signal(signal.SIGTERM)
        assert loop.ended() == 0
        assert place.item("dirty").attempts == 0
        first, _second = place.sessions()
        assert place.refs(f"refs/harness/{first.id}/wip/") == [f"refs/harness/{first.id}/wip/1"]


def test_a_question_that_was_asked_before_the_loop_died_waits_for_its_answer(tmp_path: Path) -> None:
    with scripted(tmp_path) as place:
        place.add("asking", script=[{"ask": {"question": "red or blue?", "options": ["red", "blue"]}}, HANG])
        killed_after(place, "session.asked")
        goes_on(place)
        found = place.item("asking")
        assert (found.state, found.attempts) == ("waiting", 0)
        assert "red or blue?" in found.reason
        assert len(place.sessions()) == 1
        assert [entry.data["question"] for entry in told(place, "decision.asked")] == ["red or blue?"]


def test_a_document_that_was_claimed_is_judged_without_another_session(tmp_path: Path) -> None:
    document = {"write": {"path": "result.md", "content": "# findings\n"}}
    with scripted(tmp_path) as place:
        place.add("doc", kind="review", script=[document, CLAIM, HANG])
        killed_after(place, "session.claimed")
        goes_on(place)
        found = place.item("doc")
        assert (found.state, found.outcome) == ("done", "claimed"), found.reason
        (row,) = place.sessions()
        assert (place.home.session(row.id) / "result.md").read_text() == "# findings\n"


def test_a_killed_loop_leaves_a_context_with_progress_and_diff_for_the_next_session(tmp_path: Path) -> None:
    with scripted(tmp_path) as place:
        place.add("half", script=[WRITE, {"progress": "half is done"}, HANG])
        killed_after(place, "session.progress")
        loop = place.start()
        until(lambda: len(place.sessions()) == 2, what="the second session")
        loop.signal(signal.SIGTERM)
        assert loop.ended() == 0
        first = place.sessions()[0]
        kept = place.context(first.id)
        assert (kept["progress"], kept["why"], kept["dirty"]) == (["half is done"], "lost", ["work.txt"])
        assert kept["wip_ref"] == f"refs/harness/{first.id}/wip/1"
        assert place.git("show", f"{kept['wip_ref']}:work.txt") == "done"


def test_poison_the_second_loop_that_is_killed_under_an_item_parks_it_and_the_others_go_on(tmp_path: Path) -> None:
    with scripted(tmp_path) as place:
        place.add("poison", priority="critical", script=[{"progress": "here it comes"}, HANG])
        killed_after(place, "session.progress")
        killed_after(place, "session.progress")
        place.add("healthy", script=[WRITE, COMMIT, CLAIM])
        goes_on(place)
        parked = place.item("poison")
        assert (parked.state, parked.attempts) == ("parked", 0)
        assert "poison: 2 loops" in parked.reason
        dossier = json.loads((place.home.state / "dossiers" / "poison.json").read_text())
        assert dossier["question"].startswith("2 loops or agent-inits were killed")
        assert_verified(place, "healthy", sessions=1)
        assert len(place.sessions("poison")) == 2


def edited(path: Path, **changes: Any) -> Mapping[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(document))
    return document


def test_after_a_reboot_leases_are_dead_at_once_nobody_is_killed_and_nothing_is_held_against_the_item(
    tmp_path: Path,
) -> None:
    with scripted(tmp_path) as place:
        place.add("booted", script=[MARKED, {"progress": "at work"}, HANG])
        killed_after(place, "session.progress")
        (row,) = place.sessions()
        me = identify(os.getpid())
        assert me is not None
        record = {
            "pid": me.pid,
            "start": me.start,
            "boot": "another-boot",
            "agent_pid": me.pid,
            "agent_start": me.start,
        }
        (place.home.session(row.id) / "agent-init.json").write_text(json.dumps(record))
        with closing(sqlite3.connect(place.home.database, isolation_level=None)) as database:
            database.execute("UPDATE owners SET boot = 'another-boot'")
        loop = place.start()
        until(lambda: len(place.sessions()) == 2, what="the second session")
        loop.signal(signal.SIGTERM)
        assert loop.ended() == 0
        assert place.item("booted").rescues == 0
        assert "the machine was started again" in told(place, "item.settled")[0].data["reason"]


@pytest.mark.cli
def test_a_session_whose_agent_init_is_killed_goes_on_in_the_same_conversation(tmp_path: Path) -> None:
    long = bash("echo half > half.txt; touch begun; python3 -c 'import time; time.sleep(100)'")
    with yard(tmp_path, sessions(killed=(long, commit(), COMPLETE, DONE))) as place:
        place.add("killed")
        loop = place.start(MAX_ITERATIONS="1")
        until(lambda: place.tool() or not loop.running, what="the tool of the agent")
        row = until(place.running, what="the row of the session")
        assert row.pid is not None
        os.kill(row.pid, signal.SIGKILL)
        assert loop.ended(40) == 0, loop.output
        goes_on(place)
        found = place.item("killed")
        assert (found.state, found.outcome, found.attempts) == ("done", "verified", 0), loop.output
        first, second = place.sessions()
        assert (first.status, first.ending, first.ended_by) == ("killed", "agent_init_killed", "signal")
        assert second.claude_session_id == first.claude_session_id
        assert place.living() == []
        assert place.git("show", f"refs/harness/{first.id}/wip/1:half.txt") == "half"


@pytest.mark.cli
def test_a_session_that_an_operator_stops_is_saved_uncounted_and_goes_on(tmp_path: Path) -> None:
    long = bash("echo half > half.txt; touch begun; python3 -c 'import time; time.sleep(100)'")
    with yard(tmp_path, sessions(stopped=(long, commit(), COMPLETE, DONE))) as place:
        place.add("stopped")
        loop = place.start(MAX_ITERATIONS="1")
        until(lambda: place.tool() or not loop.running, what="the tool of the agent")
        row = until(place.running, what="the row of the session")
        status, said = place.run("session", "stop", row.id, BD_ACTOR="eva")
        assert status == 0, said
        assert loop.ended(40) == 0, loop.output
        found = place.item("stopped")
        assert (found.state, found.outcome, found.attempts, found.rescues) == ("done", "verified", 0, 0), loop.output
        first, second = place.sessions()
        assert second.claude_session_id == first.claude_session_id
        (entry,) = told(place, "session.ended_by_operator")
        assert (entry.actor, entry.session) == ("eva", first.id)
        assert "ended by an operator" in told(place, "item.settled")[0].data["reason"]
        assert place.git("show", f"refs/harness/{first.id}/wip/1:half.txt") == "half"


def test_an_item_whose_attempts_are_used_up_is_parked_with_its_dossier(tmp_path: Path) -> None:
    wrong = {"write": {"path": "other.txt", "content": "no\n"}}
    with scripted(tmp_path, gate="test ! -f other.txt || { echo no other.txt, please; exit 1; }") as place:
        place.add("hard", max_attempts=2, script=[wrong, {"commit": "wrong"}, CLAIM])
        place.run(MAX_ITERATIONS="1")
        assert not (place.home.state / "dossiers").exists()
        place.run("queue", "retry", "hard")
        place.run(MAX_ITERATIONS="1")
        found = place.item("hard")
        assert (found.state, found.attempts) == ("parked", 2), found.reason
        dossier = json.loads((place.home.state / "dossiers" / "hard.json").read_text())
        assert dossier["symptom"].startswith("gate_failed/tests/")
        assert list(dossier["symptoms"].values()) == [2]
        assert "in the same way (gate_failed)" in dossier["question"]
        for attempt in dossier["attempts"]:
            assert Path(attempt["log"]).is_file()
            assert Path(attempt["gates"][0]["log"]).is_file()
            assert "other.txt" in attempt["diffstat"]
            assert len(attempt["commits"]) == 1
        text = (place.home.state / "dossiers" / "hard.md").read_text()
        assert "no other.txt, please" in text
        assert dossier["question"] in place.run("why", "hard")[1]


@pytest.mark.cli
def test_a_conversation_that_is_gone_is_replaced_once_by_a_fresh_session_with_a_handover(tmp_path: Path) -> None:
    long = bash("test -f half.txt || { echo half > half.txt; touch begun; python3 -c 'import time; time.sleep(100)'; }")
    with yard(tmp_path, sessions(gone=(long, commit(), COMPLETE, DONE))) as place:
        place.add("gone")
        loop = place.start(MAX_ITERATIONS="1")
        until(lambda: place.tool() or not loop.running, what="the tool of the agent")
        until(place.running, what="the row of the session")
        loop.signal(signal.SIGTERM)
        assert loop.ended(20) == 0, loop.output
        (first,) = place.sessions()
        assert first.transcript is not None
        Path(first.transcript).write_text('{"type":"user"}\n')
        goes_on(place)
        goes_on(place)
        found = place.item("gone")
        assert (found.state, found.outcome, found.attempts, found.rescues) == ("done", "verified", 0, 0), found.reason
        _first, refused, fresh = place.sessions()
        assert refused.ending == "conversation_gone"
        assert fresh.claude_session_id != first.claude_session_id
        assert fresh.parent == first.id
        prompt = json.dumps(place.asked()[-1].body["messages"][0])
        assert "What the last session left" in prompt
        assert "half.txt" in prompt
