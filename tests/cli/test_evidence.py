"""`./loop evidence`: what proves finished work, and that nobody changed it since."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness import fs
from harness.app import merging
from harness.model.errors import NotFound, Refused
from harness.model.home import Home
from harness.ops.evidence import evidence
from tests.kit.engine import engine

pytestmark = pytest.mark.process
ENVIRON = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
GATES = [
    {"name": "tests", "run": "echo looked; test -f one.txt"},
    {"name": "bounds", "type": "scope"},
]


@pytest.fixture
async def done(tmp_path):
    """One verified item, and its loop ended."""
    repositories = [{"name": "app", "path": str(tmp_path / "app"), "branch": "main", "gates": GATES}]
    async with engine(tmp_path, repositories=repositories) as loop:
        await loop.add("one", scope=("one.txt",))
        await loop.run(once=True)
        assert await loop.outcomes("one") == ["verified"]
    return Ended(loop)


class Ended:
    def __init__(self, loop):
        self.loop = loop
        self.home: Home = loop.parts.home
        self.folder = self.home.evidence / "one"

    def ask(self, **more):
        return evidence(self.home, {}, "one", datetime.now(UTC), **more)

    def wrong(self):
        return [check.what for check in self.ask().facts["checks"] if not check.ok]

    @property
    def log(self) -> Path:
        (found,) = (self.folder / "logs").iterdir()
        return found


def test_a_verified_item_has_its_proof_in_one_folder(done):
    answer = done.ask()
    facts = json.loads((done.folder / "evidence.json").read_text())
    assert (answer.exit_code, answer.facts["holds"]) == (0, True)
    assert facts["commit"] == done.loop.git("rev-parse", "main")
    assert (facts["outcome"], facts["branch"], facts["integrated"]) == ("verified", "main", True)
    assert [(gate["gate"], gate["verdict"], gate["proves"]) for gate in facts["gates"]] == [
        ("tests", "passed", True), ("bounds", "passed", False), ("tamper", "passed", False),
    ]  # fmt: skip
    (run,) = facts["gates"][0]["runs"]
    assert (run["on"], run["exit_code"], run["commit"]) == ("head", 0, facts["commit"])
    assert (done.folder / run["log"]).read_text() == "looked\n"
    assert [session["attempt"] for session in facts["sessions"]] == [1]
    assert {"cost_usd", "tests", "attempts", "base", "seal"} <= set(facts)


def test_a_changed_log_is_named(done):
    done.log.write_text("nobody looked\n")
    assert done.ask().exit_code == 1
    assert done.wrong() == [f"logs/{done.log.name}"]


def test_a_missing_log_is_named(done):
    name = f"logs/{done.log.name}"
    done.log.unlink()
    assert done.wrong() == [name]


@pytest.mark.parametrize("change", [lambda text: text.replace("verified", "Verified"), lambda text: "no json"])
def test_changed_facts_are_found_out_by_the_journal(done, change):
    file = done.folder / "evidence.json"
    file.write_text(change(file.read_text()))
    assert "evidence.json" in done.wrong()
    assert done.ask().exit_code == 1


def test_a_commit_that_left_the_branch_is_named(done):
    commit = done.loop.git("rev-parse", "main")
    done.loop.git("reset", "-q", "--hard", "HEAD~1")
    assert done.wrong() == [f"commit {commit[:12]}"]


def test_an_item_without_evidence_says_why_and_gets_it_on_request(done):
    fs.discard(done.folder, under=done.home.state)
    with pytest.raises(NotFound, match="no evidence of one") as raised:
        done.ask()
    assert "--write" in raised.value.hint
    assert done.ask(anew=True).exit_code == 0


@pytest.fixture
async def claimed(tmp_path):
    async with engine(tmp_path, gate=None) as loop:
        await loop.add("one")
        await loop.run(once=True)
    return Ended(loop)


def test_claimed_work_is_held_against_its_ref(claimed):
    assert claimed.ask().exit_code == 0
    for name in ("claimed", "sealed"):
        claimed.loop.git("update-ref", "-d", f"refs/harness/one/{name}")
    (wrong,) = claimed.wrong()
    assert wrong.startswith("commit ")
    assert claimed.ask().exit_code == 1


@pytest.fixture
async def held(tmp_path):
    """Verified work that a person's own file keeps from the branch; then the branch goes on."""
    repositories = [{"name": "app", "path": str(tmp_path / "app"), "branch": "main", "gates": GATES}]
    async with engine(tmp_path, repositories=repositories) as loop:
        (loop.repository / "one.txt").write_text("a person's own\n")
        await loop.add("one")
        await loop.run(once=True)
        assert (await loop.item("one")).state == "waiting"
        (loop.repository / "one.txt").unlink()
    return Ended(loop)


def test_work_that_a_person_applies_gets_the_evidence_of_where_it_is_now_and_of_who_applied_it(held):
    assert held.ask().facts["integrated"] is False
    merging.apply(held.home, "one", "alice", ENVIRON)
    answer = held.ask()
    assert answer.exit_code == 0, answer.facts["checks"]
    assert answer.facts["commit"] == held.loop.git("rev-parse", "main")
    facts = answer.facts
    assert (facts["outcome"], facts["integrated"], facts["applied"]["by"]) == ("verified", True, "alice")
    assert [gate["verdict"] for gate in facts["gates"]] == ["passed"] * 3
    assert any("on main of app" in check.found for check in answer.facts["checks"])


def test_the_evidence_of_work_that_was_proved_again_has_todays_proof(held):
    held.loop.git("commit", "-q", "--allow-empty", "-m", "theirs")
    merging.apply(held.home, "one", "alice", ENVIRON)
    answer = held.ask()
    assert answer.exit_code == 0, answer.facts["checks"]
    tip = held.loop.git("rev-parse", "main")
    assert held.loop.git("rev-parse", "main^1", "main^2").split() != [tip, tip]
    (run,) = answer.facts["gates"][0]["runs"]
    assert (run["commit"], answer.facts["commit"]) == (tip, tip)
    assert "apply-one" in run["from"]


async def test_the_minutes_try_is_the_loops_and_asking_again_changes_no_name(tmp_path):
    async with engine(tmp_path) as loop:
        (loop.repository / "one.txt").write_text("a person's own\n")
        await loop.add("one")
        await loop.run(once=True)
        (loop.repository / "one.txt").unlink()
        await loop.parts.integrator.tick()
        with pytest.raises(Refused, match="already in main"):
            await loop.parts.integrator.apply("one", by="alice")
        facts = json.loads((loop.parts.home.evidence / "one" / "evidence.json").read_text())
    assert (facts["integrated"], facts["applied"]["by"]) == (True, "loop")


def test_work_that_the_loop_integrated_was_applied_by_nobody(done):
    assert done.ask().facts["applied"] is None


def test_claimed_work_that_a_person_applies_is_held_against_the_branch(claimed):
    merging.apply(claimed.home, "one", "alice", ENVIRON)
    facts = claimed.ask().facts
    assert (facts["holds"], facts["outcome"], facts["integrated"]) == (True, "claimed", True)
    assert (facts["applied"]["by"], facts["commit"]) == ("alice", claimed.loop.git("rev-parse", "main"))


def test_work_that_was_taken_back_is_named(claimed):
    merging.apply(claimed.home, "one", "alice", ENVIRON)
    assert claimed.wrong() == []
    (undone,) = merging.rollback(claimed.home, ENVIRON, "alice", item="one", run=None, dry_run=False)
    assert claimed.wrong() == ["integration"]
    answer = claimed.ask()
    assert answer.exit_code == 1
    assert undone.commit[:12] in answer.facts["checks"][-1].found


def test_logs_whose_session_is_gone_stay_in_the_evidence(held):
    (session,) = held.home.sessions.glob("ses_*")
    fs.discard(session, under=held.home.state)
    merging.apply(held.home, "one", "alice", ENVIRON)
    answer = held.ask()
    assert answer.exit_code == 0, answer.facts["checks"]
    assert held.log.read_text() == "looked\n"


@pytest.fixture
async def failed(tmp_path):
    async with engine(tmp_path, gate="false", isolation={"level": "none"}) as loop:
        await loop.add("one")
        await loop.run(once=True)
    return Ended(loop)


def test_an_item_that_is_not_done_has_none(failed):
    with pytest.raises(NotFound) as raised:
        failed.ask()
    assert "it is " in raised.value.cause
    with pytest.raises(NotFound, match="not done"):
        failed.ask(anew=True)
