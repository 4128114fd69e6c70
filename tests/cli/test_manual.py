"""What a person does by hand when a loop has died, or must be ended (H24, H45)."""

import os
import subprocess
from contextlib import closing
from dataclasses import replace

import pytest

from harness.model.session import SessionStatus
from harness.model.work import WorkState
from harness.ports import LeaseRules
from harness.proc.lock import FileLock
from tests.kit import stores
from tests.kit.stores import NOW

SESSION = "ses_0123456789ab"
OWNER = "loop-1-abc"


@pytest.fixture
def dead(loop):
    """A home whose loop was killed while a session ran: the lease stands, all locks are free."""
    assert loop("queue", "add", '{"id": "one", "title": "One"}').code == 0
    with closing(loop.store()) as store:
        store.register(OWNER, pid=1, boot="b", start=1, kind="loop", now=NOW)
        lease = store.lease(OWNER, LeaseRules("loop", {}, "app"), NOW)
        store.open_session(lease, stores.session(lease, SESSION, SessionStatus.RUNNING))
    return loop


def facts(loop):
    with closing(loop.store()) as store:
        return store.item("one"), store.session(SESSION)


# --- mark ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "status", "state"),
    [("--completed", SessionStatus.COMPLETED, WorkState.DONE), ("--failed", SessionStatus.FAILED, WorkState.PARKED)],
)
def test_a_dead_session_is_marked_and_its_item_settled_uncounted(dead, flag, status, state):
    told = dead("session", "mark", SESSION, flag)
    assert told.code == 0, told.err
    item, session = facts(dead)
    assert (session.status, session.ended_by, session.pid) == (status, "operator", None)
    assert (item.state, item.attempts) == (state, 0)
    assert "by operator" in item.reason
    again = dead("session", "mark", SESSION, flag)
    assert again.code == 0, again.err
    assert facts(dead)[0].state is state


def test_a_mark_can_be_corrected(dead):
    assert dead("session", "mark", SESSION, "--failed").code == 0
    assert dead("session", "mark", SESSION, "--completed").code == 0
    item, session = facts(dead)
    assert (item.state, item.outcome, session.status) == (WorkState.DONE, "claimed", SessionStatus.COMPLETED)


@pytest.mark.parametrize("held", [f"owners/{OWNER}.lock", f"sessions/{SESSION}/lock"])
def test_a_living_session_is_refused(dead, held):
    with FileLock(dead.home.state / held):
        refused = dead("session", "mark", SESSION, "--completed", "--json")
    assert (refused.code, refused.error["kind"]) == (1, "refused")
    assert facts(dead)[0].state is WorkState.LEASED


def test_only_the_newest_session_of_an_item_speaks_for_it(dead):
    assert dead("session", "mark", SESSION, "--failed").code == 0
    assert dead("queue", "unpark", "one").code == 0
    with closing(dead.store()) as store:
        store.register("second", pid=1, boot="b", start=1, kind="loop", now=NOW)
        lease = store.lease("second", LeaseRules("loop", {}, "app"), NOW)
        store.open_session(lease, replace(stores.session(lease, "ses_ffffffffffff"), started_at=stores.later(60)))
    refused = dead("session", "mark", SESSION, "--completed", "--json")
    assert "ses_ffffffffffff" in refused.error["message"]


def test_mark_asks_what_became_of_it(dead):
    assert dead("session", "mark", SESSION).code == 2
    assert dead("session", "mark", SESSION, "--completed", "--failed").code == 2


# --- stop ---------------------------------------------------------------------------------------------------------------


def test_a_session_without_a_process_cannot_be_stopped_and_the_way_is_named(dead):
    refused = dead("session", "stop", SESSION, "--json")
    assert (refused.code, refused.error["kind"]) == (1, "refused")
    assert "--orphans" in refused.error["next"]


def test_a_session_that_has_ended_is_not_stopped_again(dead):
    assert dead("session", "mark", SESSION, "--completed").code == 0
    told = dead("session", "stop", SESSION, "--json")
    assert (told.code, told.json["applied"]) == (0, False)


@pytest.fixture
def leftover():
    """A process that carries the mark of the session, as everything does that an agent starts."""
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, "HARNESS_SESSION": SESSION}, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_orphans_of_a_dead_loop_are_ended(dead, leftover):
    told = dead("stop", "--orphans")
    assert told.code == 0, told.err
    assert "1 process(es)" in told.out
    assert leftover.wait(5) == -9
    assert dead("stop", "--orphans", "--json").json["applied"] is False
    assert facts(dead)[0].state is WorkState.LEASED


def test_what_a_living_loop_runs_is_no_orphan(dead, leftover):
    with FileLock(dead.home.owners / f"{OWNER}.lock"):
        assert dead("stop", "--orphans", "--json").json["applied"] is False
    assert leftover.poll() is None


# --- park ---------------------------------------------------------------------------------------------------------------


def test_a_parked_item_is_not_leased_until_it_is_unparked_and_keeps_its_attempts(loop):
    loop("queue", "add", '{"id": "one", "title": "One"}')
    assert loop("queue", "park", "one", "waits", "for", "the", "schema").code == 0
    with closing(loop.store()) as store:
        assert store.item("one").reason == "parked by operator: waits for the schema"
        assert store.lease("me", LeaseRules("loop", {}, "app"), NOW) is None
    assert loop("queue", "unpark", "one").code == 0
    refused = loop("queue", "unpark", "one", "--json")
    assert "it is ready" in refused.error["message"]


# --- reset --------------------------------------------------------------------------------------------------------------


def test_reset_moves_everything_aside_keeps_configuration_and_login_and_prints_the_way_back(loop):
    loop("queue", "add", '{"id": "one", "title": "One"}')
    (loop.home.claude).mkdir()
    (loop.home.claude / ".credentials.json").write_text("{}")
    before = (loop.home.root / "config.yaml").read_text()
    assert loop("state", "reset").code == 2
    told = loop("state", "reset", "--yes")
    assert told.code == 0, told.err
    assert loop("queue", "show", "--json").json["rows"] == []
    assert (loop.home.root / "config.yaml").read_text() == before
    assert (loop.home.claude / ".credentials.json").read_text() == "{}"
    undo = told.out.splitlines()[-1].removeprefix("undo: ")
    subprocess.run(undo, shell=True, check=True)
    assert [row["id"] for row in loop("queue", "show", "--json").json["rows"]] == ["one"]


@pytest.mark.parametrize("who", ["loop.lock", "owners/worker-1.lock"])
def test_reset_is_refused_while_somebody_works_there(loop, who):
    loop("queue", "add", '{"id": "one", "title": "One"}')
    with FileLock(loop.home.state / who):
        refused = loop("state", "reset", "--yes", "--json")
    assert (refused.code, refused.error["kind"]) == (1, "refused")
    assert len(loop("queue", "show", "--json").json["rows"]) == 1
