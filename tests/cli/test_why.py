"""`why` answers for every state an item or session can be in: the record, the rule, the next event or time (B7)."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from harness.engine.dossier import options
from harness.model.journal import Integration
from harness.model.outcome import ENDINGS, Asked, Claimed, Disposition, Failed, Interrupted, Verdict, Verified
from harness.model.session import SessionStatus
from harness.model.work import WorkState
from harness.ports import LeaseRules, Settlement
from harness.proc.lock import FileLock
from tests.kit import stores
from tests.kit.stores import NOW

SESSION = "ses_0123456789ab"
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def running(loop):
    """The home with a loop on it, as far as the lock tells."""
    with FileLock(loop.home.lock):
        yield loop


def item(loop, name="a", **fields):
    assert loop("queue", "add", json.dumps({"id": name, "title": "x", **fields})).code == 0


def lease(store, owner="me"):
    store.register(owner, pid=1, boot="b", start=1, kind="loop", now=NOW)
    found = store.lease(owner, LeaseRules("loop", {}, "app"), NOW)
    assert found is not None
    return found


def worked(loop, outcome, disposition, **fields):
    """Item `a` after one attempt with one session."""
    item(loop, **fields)
    with closing(loop.store()) as store:
        held = lease(store)
        store.open_session(held, stores.session(held, SESSION, SessionStatus.RUNNING))
        row = replace(stores.session(held, SESSION, SessionStatus.FAILED), ended_by="agent", ended_at=NOW)
        store.settle(held, Settlement(outcome, disposition, session=row), NOW)


def told(loop, subject="a"):
    said = loop("why", subject, "--json")
    assert said.code == 0, said.err
    return said.json


# --- ready: why not leased ----------------------------------------------------------------------------------------------


def test_ready_without_a_loop(loop):
    item(loop)
    assert told(loop)["next"] == "no loop runs here: ./loop run"
    loop("pause", "moving house")
    assert told(loop)["next"] == "no loop runs here: ./loop run; it will start paused: moving house"


def test_ready_and_next_in_line(running):
    item(running)
    assert told(running)["next"] == "leased as soon as a worker is free, in the order of ./loop queue show"


def test_ready_under_the_interrupt_file(running):
    item(running)
    running("pause", "moving house")
    assert "paused: moving house" in told(running)["next"]
    assert "./loop resume" in told(running)["next"]


@pytest.mark.parametrize("scope", ["loop", "credential", "kind:review", "repo:app", "item:a"])
def test_ready_under_a_pause_of_its_own_scope(running, scope):
    item(running, kind="review", repo="app")
    with closing(running.store()) as store:
        store.open_pause(scope, "probe", "the account is empty", "ending", NOW, until=LATER)
        store.open_pause("kind:other", "probe", "not this one", "ending", NOW)
    said = told(running)["next"]
    assert "the account is empty" in said
    assert "not this one" not in said


def test_ready_and_a_persons(running):
    item(running, assigned="eva")
    assert "assigned to eva" in told(running)["next"]


def test_ready_and_its_lane_is_full(running):
    config = running.home.config
    config.write_text(config.read_text() + "lanes: {default: {}, narrow: {running: 1}}\n")
    item(running, "first", lane="narrow", priority="critical")
    with closing(running.store()) as store:
        lease(store)
    item(running, lane="narrow")
    assert told(running)["next"] == "its lane narrow is full: first (1 at a time)"


def test_ready_and_the_reserve_is_for_urgent_work(running):
    item(running)
    item(running, "urgent", priority="high")
    with closing(running.store()) as store:
        store.open_pause("credential", "reserve", "the account is nearly used up", "throttle", NOW)
    assert "nearly used up" in told(running)["next"]
    assert "nearly used up" not in told(running, "urgent")["next"]


# --- the other states ---------------------------------------------------------------------------------------------------


def test_blocked_names_what_it_waits_for(loop):
    item(loop, "first")
    item(loop, depends_on=["first"])
    said = told(loop)
    assert (said["state"], said["because"]) == ("blocked", "waits for first")
    assert said["next"] == "ready when first is done: ./loop why first"
    loop("queue", "park", "first")
    assert "./loop queue retry first" in told(loop)["next"]


def test_delayed_by_a_failure_has_the_rule_and_the_time(loop):
    waits = Disposition(WorkState.DELAYED, "gate_failed: red", counted=True, not_before=LATER)
    worked(loop, Failed("gate_failed", "2 tests red"), waits)
    said = told(loop)
    assert (said["state"], said["rule"]["ending"], said["rule"]["counted"]) == ("delayed", "gate_failed", True)
    assert LATER.astimezone().isoformat(timespec="seconds") in said["next"]
    assert said["evidence"] == "2 tests red"


def test_delayed_by_its_own_wish(loop):
    item(loop, not_before="2100-01-01T00:00:00+00:00")
    said = told(loop)
    assert (said["state"], said["rule"]) == ("delayed", None)
    assert "not to be begun before" in said["because"]
    assert "2100-01-01" in said["next"] or "2099-12-31" in said["next"]


def test_leased_names_its_session_and_what_it_does(running):
    item(running)
    with closing(running.store()) as store:
        held = lease(store)
        assert "workspace is prepared" in told(running)["next"]
        row = stores.session(held, SESSION)
        store.open_session(held, row)
        store.update_session(replace(row, status=SessionStatus.RUNNING, doing="Bash: make test"))
    said = told(running)
    assert said["next"] == f"session {SESSION} is running: Bash: make test; ./loop session watch {SESSION}"


def test_leased_by_a_loop_that_was_killed(loop):
    item(loop)
    with closing(loop.store()) as store:
        lease(store)
    assert "its loop was killed" in told(loop)["next"]


def test_waiting_for_an_answer(loop):
    worked(loop, Asked("red or blue?"), Disposition(WorkState.WAITING, "needs a person: red or blue?"))
    said = told(loop)
    assert (said["state"], said["because"]) == ("waiting", "needs a person: red or blue?")
    assert "./loop queue retry a" in said["next"]


def test_waiting_for_a_checkout_names_the_files(loop):
    verdict = (Verdict("tests", "passed", 1.0),)
    worked(loop, Verified("c" * 40, verdict, held="x"), Disposition(WorkState.WAITING, "verified, waits"))
    with closing(loop.store()) as store:
        wanted = Integration(0, "a", 1, "app", "main", "b" * 40, "5" * 40, "intended", began_at=NOW)
        store.resolve(store.intend(wanted).id, "held", NOW, paths=("src/a.py",))
    said = told(loop)["next"]
    assert "once src/a.py is out of the way" in said
    assert "./loop merge apply a" in said


def test_waiting_for_the_configuration(loop):
    worked(loop, Failed("model_unknown", "no such model"), Disposition(WorkState.WAITING, "model_unknown: …"))
    said = told(loop)
    assert (said["rule"]["cause"], said["rule"]["scope"]) == ("config", "item")
    assert "./loop config show" in said["rule"]["hint"]


def test_done_and_verified_on_its_branch(loop):
    verdict = (Verdict("tests", "passed", 1.0),)
    worked(loop, Verified("c" * 40, verdict), Disposition(WorkState.DONE, "verified: tests"))
    with closing(loop.store()) as store:
        wanted = Integration(0, "a", 1, "app", "main", "b" * 40, "5" * 40, "intended", merged="c" * 40, began_at=NOW)
        store.resolve(store.intend(wanted).id, "applied", NOW)
    said = told(loop)
    assert (said["state"], said["because"]) == ("done", "verified: tests")
    assert said["next"] == f"nothing: on main of app as {'c' * 40}"


def test_done_and_claimed(loop):
    worked(loop, Claimed("c" * 40), Disposition(WorkState.DONE, "claimed: no gate proves this kind"))
    assert "./loop merge apply a" in told(loop)["next"]


def test_parked_by_hand(loop):
    item(loop)
    loop("queue", "park", "a", "later")
    said = told(loop)
    assert (said["state"], said["because"]) == ("parked", "parked by operator: later")
    assert "./loop queue retry a" in said["next"]
    assert "dossier" not in loop("queue", "show", "a", "--json").json["item"]


def test_parked_with_a_dossier_asks_its_one_question(loop):
    worked(loop, Failed("gate_failed", "red"), Disposition(WorkState.PARKED, "gate_failed: spent", counted=True))
    known = {"reason": "gate_failed: spent", "symptom": "gate_failed/tests/abc", "question": "What now?"}
    loop.home.dossiers.mkdir()
    path = loop.home.dossiers / "a.json"
    path.write_text(json.dumps(known | {"options": options("a")}))
    said = told(loop)
    assert said["symptom"] == "gate_failed/tests/abc"
    assert said["next"].startswith("What now?")
    assert {"./loop queue retry a", "./loop queue remove a"} <= {
        line.split(": ", 1)[1] for line in said["next"].splitlines()[1:]
    }
    assert loop("queue", "show", "a", "--json").json["item"]["dossier"] == str(path.with_suffix(".md"))
    loop("queue", "retry", "a")
    assert told(loop)["symptom"] == ""


def test_cancelled(loop):
    item(loop)
    loop("queue", "remove", "a")
    said = told(loop)
    assert (said["state"], said["because"]) == ("cancelled", "removed by operator")
    assert "./loop queue retry a" in said["next"]


# --- sessions and endings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", SessionStatus)
def test_a_session_of_every_status_says_why(loop, status):
    item(loop)
    with closing(loop.store()) as store:
        held = lease(store)
        row = stores.session(held, SESSION)
        store.open_session(held, row)
        ending = {SessionStatus.TIMEOUT: "timeout", SessionStatus.STALLED: "stalled"}.get(status)
        final = replace(row, status=status, ending=ending, ended_by="watchdog" if ending else None)
        outcome = Failed(ending) if ending else Interrupted("pause", "operator")
        disposition = Disposition(WorkState.READY, f"{ending}: what happened" if ending else "a question was asked")
        store.settle(held, Settlement(outcome, disposition, session=final), NOW)
    said = told(loop, SESSION)
    assert said["state"] == status
    assert said["because"] not in ("", f"it is {status}")
    assert said["next"] == "its item: ./loop why a"
    if ending:
        assert ENDINGS[ending].sentence in said["because"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_tells_its_rule_and_a_command_that_exists(loop, ending):
    worked(loop, Failed(ending, "seen"), Disposition(WorkState.WAITING, f"{ending}: x"))
    rule = told(loop)["rule"]
    assert (rule["ending"], rule["cause"]) == (ending, ENDINGS[ending].cause)
    assert rule["hint"]
    assert "ITEM" not in rule["hint"]
