"""status, health, why, version: what they say and how they end (contract 3 and 4, H10, H20, H36)."""

import os
import time
from datetime import timedelta

import pytest

from harness.model.outcome import Disposition, Failed
from harness.model.session import SessionRow, SessionStatus
from harness.model.work import WorkState
from harness.ports import LeaseRules, Settlement
from harness.proc.lock import FileLock
from tests.kit.stores import NOW

STATUS = {"state", "pid", "since", "reasons", "sessions", "counts", "next", "spend"}


@pytest.fixture
def alive(loop):
    """A loop lives here as far as its lock tells."""
    lock = FileLock(loop.home.lock)
    assert lock.acquire(f"pid {os.getpid()}")
    yield loop
    lock.release()


def _working(loop):
    loop("queue", "add", '{"id": "a", "title": "Mend the state"}')
    store = loop.store()
    store.register("me", pid=1, boot="b", start=1, kind="loop", now=NOW)
    lease = store.lease("me", LeaseRules("loop", {}, "app"), NOW)
    row = SessionRow(
        id="ses_0123456789ab",
        item="a",
        fence=lease.fence,
        attempt=1,
        agent="default",
        status=SessionStatus.RUNNING,
        iteration=1,
        run="r",
        claude_session_id="c",
        started_at=NOW,
        heartbeat=NOW + timedelta(seconds=50),
        updated_at=NOW,
        doing="Bash: pytest",
    )
    store.open_session(lease, row)
    return store, lease


# --- status -----------------------------------------------------------------------------------------------------------


def test_a_fresh_home_is_stopped_and_nothing_is_made_by_looking(loop):
    said = loop("status", "--json")
    assert said.code == 3
    assert set(said.json) >= STATUS
    assert (said.json["schema"], said.json["state"], said.json["pid"]) == ("loop.status/1", "stopped", None)
    assert not loop.home.state.exists()


def test_a_running_loop_is_named_with_its_sessions(alive):
    store, _lease = _working(alive)
    store.close()
    alive.now = NOW + timedelta(seconds=60)
    said = alive("status", "--json")
    assert (said.code, said.json["state"], said.json["pid"]) == (0, "running", os.getpid())
    (session,) = said.json["sessions"]
    assert session["id"] == "ses_0123456789ab"
    assert (session["item"], session["state"], session["doing"]) == ("a", "running", "Bash: pytest")
    assert (session["silent_seconds"], session["running_seconds"]) == (10.0, 60.0)
    assert said.json["counts"]["leased"] == 1
    text = alive("status").out
    assert "● running" in text
    assert "a  Mend the state  1m  Bash: pytest  10s ago" in text


def test_the_interrupt_file_makes_it_paused(alive):
    alive.home.interrupt_file.write_text("waiting for Eric\n")
    said = alive("status", "--json")
    assert (said.code, said.json["state"], said.json["reasons"]) == (5, "paused", ["waiting for Eric"])


def test_a_pause_of_the_whole_loop_counts_and_one_of_a_repository_is_only_told(alive):
    store = alive.store()
    store.open_pause("repo:app", "probe", "a gate is broken", "gate_broken", NOW)
    assert alive("status", "--json").json["state"] == "running"
    assert "repo:app: a gate is broken" in alive("status", "--json").json["reasons"][0]
    store.open_pause("credential", "probe", "usage limit", "usage_limit", NOW, NOW + timedelta(hours=1))
    assert alive("status").code == 5
    store.close()


def test_the_next_item_and_who_needs_a_person_are_named(loop):
    loop("queue", "add", '{"id": "a", "title": "x"}')
    loop("queue", "add", '{"id": "b", "title": "x"}')
    store = loop.store()
    store.move("b", WorkState.PARKED, "3 attempts failed", actor="test", now=NOW)
    store.close()
    said = loop("status", "--json").json
    assert said["next"]["id"] == "a"
    assert said["needs"] == [{"id": "b", "state": "parked", "title": "x", "reason": "3 attempts failed"}]
    assert "Next: ./loop why b" in loop("status").out


def test_outcomes_and_money_of_the_last_day(worked):
    said = worked("status", "--json").json
    assert said["outcomes"] == {"verified": 1}
    assert said["spend"] == {"hours": 24.0, "usd": "0", "unknown": 0}
    assert said["last"][0]["item"] == "test-001"
    assert "1 verified · 100 % verified" in worked("status").out


def test_a_database_of_a_newer_program_is_an_error_that_says_so(loop):
    loop("queue", "add", '{"title": "x"}')
    store = loop.store()
    store._connection.execute("PRAGMA user_version = 99")
    store.close()
    said = loop("status", "--json")
    assert (said.code, said.error["kind"]) == (1, "store")


# --- health -----------------------------------------------------------------------------------------------------------


def test_no_loop_is_exit_3(loop):
    said = loop("health")
    assert said.code == 3
    assert said.out.splitlines()[0] == "✗ process:  not running"


def test_an_idle_loop_is_healthy(alive):
    said = alive("health")
    assert said.code == 0
    assert said.out.splitlines()[-1] == "✓ Health check passed"
    assert alive("health", "--json").json["healthy"] is True


def test_a_loop_that_does_not_move_any_more_is_not(alive):
    alive.home.current_session.write_text("{}")
    os.utime(alive.home.current_session, (time.time() - 400, time.time() - 400))
    said = alive("health")
    assert said.code == 1
    assert "✗ activity: none for 40" in said.out
    assert alive("health", "--max-silence", "500").code == 0


def test_errors_in_the_log_and_a_pause_are_warnings_only(alive):
    alive.home.iteration_log.write_text(
        "2026-01-27T22:00:00+01:00 ERROR Session failed\n" * 5 + "… INFO an ERROR word\n"
    )
    alive.home.interrupt_file.write_text("why not")
    said = alive("health")
    assert said.code == 0
    assert "⚠ errors:   5 in the last 100 lines" in said.out
    assert "⚠ pause:    paused: why not" in said.out


def test_a_disk_that_is_too_full_is_not_healthy(alive):
    said = alive("health", "--min-disk", "101")
    assert said.code == 1
    assert "✗ disk:" in said.out


# --- why --------------------------------------------------------------------------------------------------------------


def test_why_tells_the_rule_behind_a_failure_and_what_happens_next(loop):
    store, lease = _working(loop)
    waits = Disposition(
        WorkState.DELAYED, "gate_failed: a gate is red", counted=True, not_before=NOW + timedelta(hours=1)
    )
    store.settle(lease, Settlement(Failed("gate_failed", "2 tests red"), waits), NOW)
    store.close()
    said = loop("why", "a", "--json").json
    assert (said["kind"], said["state"], said["because"]) == ("item", "delayed", "gate_failed: a gate is red")
    assert (said["rule"]["cause"], said["rule"]["counted"], said["rule"]["hint"]) == (
        "agent",
        True,
        "./loop session timeline ses_0123456789ab",
    )
    assert said["evidence"] == "2 tests red"
    assert "./loop queue retry a" in said["next"]
    assert [attempt["ending"] for attempt in said["attempts"]] == ["gate_failed"]
    text = loop("why", "a").out
    assert "rule   gate_failed: cause agent, counted" in text
    assert "seen   2 tests red" in text


def test_why_follows_the_item_of_a_session(alive):
    _working(alive)[0].close()
    said = alive("why", "latest", "--json").json
    assert (said["subject"], said["kind"], said["next"]) == ("ses_0123456789ab", "session", "its item: ./loop why a")
    assert "./loop session watch ses_0123456789ab" in alive("why", "a").out


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (WorkState.PARKED, "./loop queue retry a"),
        (WorkState.WAITING, "./loop queue retry a"),
        (WorkState.CANCELLED, "./loop queue retry a"),
        (WorkState.READY, "no loop runs here: ./loop run"),
    ],
)
def test_why_names_the_command_that_helps_in_every_state(loop, state, told):
    loop("queue", "add", '{"id": "a", "title": "x"}')
    store = loop.store()
    store.move("a", state, "because", actor="test", now=NOW)
    store.close()
    assert told in loop("why", "a").out


def test_why_pause_tells_every_pause_and_what_ends_it(loop):
    assert loop("why", "pause", "--json").json["because"] == "nothing is paused"
    loop("pause", "waiting", "for", "Eric")
    store = loop.store()
    store.open_pause("repo:app", "probe", "a gate is broken", "gate_broken", NOW)
    store.close()
    said = loop("why", "pause", "--json").json
    assert said["because"] == "waiting for Eric\nrepo:app: a gate is broken (until ./loop resume)"
    assert "./loop resume" in said["next"]


def test_why_of_nothing_known_is_exit_4(loop):
    loop("queue", "add", '{"title": "x"}')
    assert loop("why", "nobody").code == 4
    assert loop("why", "ses_000000000000").code == 4


# --- version ----------------------------------------------------------------------------------------------------------


def test_version_names_everything_that_answers_for_a_result(loop):
    said = loop("version", "--json").json
    assert said["schema"] == "loop.version/1"
    assert all(said[name] for name in ("program", "python", "claude_cli", "claude_sdk", "sqlite", "schema_version"))
