"""A3: a person's own repository, from `init` to a commit on its branch, seen only from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from harness.rehearsal.stage import Rehearsal
from tests.kit.user import COUNTED, MEND, WORKS, User, bash, billed, done, git, repository, scenario, wait_for

pytestmark = [pytest.mark.cli, pytest.mark.slow]

METRICS = {
    *(
        "schema",
        "session_id",
        "claude_session_id",
        "parent",
        "work_item",
        "kind",
        "repo",
        "attempt",
        "model",
        "outcome",
    ),
    *(
        "ending",
        "ended_by",
        "started_at",
        "ended_at",
        "wall_seconds",
        "api_seconds",
        "tool_seconds",
        "turns",
        "requests",
    ),
    *(
        "tokens",
        "by_model",
        "cost_usd",
        "cost_basis",
        "unattributed",
        "complete",
        "tools",
        "errors",
        "retries",
        "stalls",
    ),
    *("subagents", "prompt", "commits", "gates"),
}
STATUS_FILE = {
    *("session_id", "claude_session_id", "pid", "status", "heartbeat", "updated_at", "work_item", "iteration"),
    *("started_at", "ended_at"),
}


@pytest.fixture
def api() -> Iterator[Rehearsal]:
    with Rehearsal(scenario(*WORKS)) as stage:
        yield stage


@pytest.fixture
def user(tmp_path: Path, api: Rehearsal) -> User:
    return User(tmp_path, api.url)


def once(user: User, repo: Path, *, test: str | None = "sh check.sh", **env: str) -> dict[str, Any]:
    """init, one item, one pass; the item afterwards."""
    user.init(repo, test=test)
    user.add()
    ran = user.loop(MAX_ITERATIONS="1", **env)
    assert ran.code == 0, ran
    return user.item()


def test_one_item_becomes_a_commit_on_main(user: User, api: Rehearsal) -> None:
    repo = repository(user.folder / "app")
    item = once(user, repo)
    assert (item["state"], item["outcome"], item["attempts"]) == ("done", "verified", 0)
    assert git(repo, "log", "-1", "--format=%s", "main") == "Mend the state"
    assert (repo / "state.txt").read_text() == "good\n"
    assert git(repo, "status", "--porcelain") == ""
    assert len(user.sessions()) == 1
    assert user.log().count("SUCCESS Session completed successfully") == 1
    assert "ERROR" not in user.log()
    assert json.loads((user.home / "state" / "queue.json").read_text()) == []
    assert not (user.home / "state" / "harness.pid").exists()


def test_every_file_of_a_session_exists_and_parses(user: User, api: Rehearsal) -> None:
    once(user, repository(user.folder / "app"))
    session = user.sessions()[0]["session_id"]
    ours, logs = user.home / "state" / "sessions" / session, user.home / "docs" / "sessions"
    frames = [json.loads(line) for line in (logs / f"{session}.log").read_text().splitlines()]
    assert frames
    assert all("_at" in frame for frame in frames)
    assert frames[-1]["type"] in {"result", "system"}
    assert json.loads((ours / "session.json").read_text()) == json.loads((logs / f"{session}.json").read_text())
    context = (logs / f"{session}-context.json").read_text()
    assert context.count("\n") == 1
    assert json.loads(context)["work_item"] == "test-001"
    assert (logs / f"{session}.err").exists()
    current = json.loads((user.home / "state" / "current-session.json").read_text())
    assert current.keys() >= STATUS_FILE
    assert (current["status"], current["pid"]) == ("completed", None)
    assert "sk-ant-rehearsal" not in (logs / f"{session}.log").read_text()


def test_figures_are_those_of_the_bill(user: User, api: Rehearsal) -> None:
    once(user, repository(user.folder / "app"))
    metrics = user.sessions()[0]
    assert metrics.keys() >= METRICS
    assert metrics["complete"] is True
    assert metrics["tokens"] == billed(api)
    assert metrics["requests"] == len(api.bill)
    assert Decimal(metrics["cost_usd"]) == _priced(metrics["tokens"])
    assert [(gate["name"], gate["verdict"]) for gate in metrics["gates"] if gate["proves"]] == [("tests", "passed")]


def _priced(tokens: dict[str, int]) -> Decimal:
    """List prices of the model that the endpoint answers as, in dollars a token."""
    return tokens["input"] * Decimal("2e-6") + tokens["output"] * Decimal("10e-6")


def test_without_a_gate_work_is_claimed_and_taken_by_hand(user: User, api: Rehearsal) -> None:
    repo = repository(user.folder / "app")
    before = git(repo, "rev-parse", "main")
    item = once(user, repo, test=None)
    assert (item["state"], item["outcome"]) == ("done", "claimed")
    assert git(repo, "rev-parse", "main") == before
    kept = git(repo, "rev-parse", "refs/harness/test-001/claimed")
    assert user.loop("merge", "apply", "test-001").code == 0
    assert git(repo, "rev-parse", "main") == kept
    assert (repo / "state.txt").read_text() == "good\n"
    again = user.loop("merge", "apply", "test-001", "--json")
    assert again.code == 1
    assert "already" in again.error["message"]


def test_an_empty_queue_ends_a_finite_loop(user: User, api: Rehearsal) -> None:
    user.init(repository(user.folder / "app"))
    assert user.loop(MAX_ITERATIONS="1").code == 0
    assert user.loop("run", "--once").code == 0
    assert user.loop("run", "--drain").code == 0
    assert api.requests == []


@pytest.mark.parametrize("name", ["state.txt", "new.txt"], ids=["changed file", "untracked file"])
def test_what_is_in_the_way_of_the_checkout_is_named_and_waited_for(tmp_path: Path, name: str) -> None:
    mend = bash(f"echo more > new.txt && {MEND}")
    with Rehearsal(scenario(mend, done(), {"text": "Done."})) as api:
        user = User(tmp_path, api.url)
        repo = repository(tmp_path / "app")
        (repo / name).write_text("a person's own\n")
        item = once(user, repo)
        assert item["state"] == "waiting"
        assert name in item["reason"]
        assert (repo / name).read_text() == "a person's own\n"
        held = user.loop("merge", "apply", "test-001", "--json")
        assert held.code != 0
        assert name in held.error["message"]
        git(repo, "checkout", "state.txt") if name == "state.txt" else (repo / name).unlink()
        requests = len(api.requests)
        assert user.loop("merge", "apply", "test-001").code == 0
        assert len(api.requests) == requests
        assert user.item()["state"] == "done"
        assert user.item()["outcome"] == "verified"
        assert git(repo, "status", "--porcelain") == ""


def test_a_path_with_spaces_a_branch_of_another_name_and_a_home_elsewhere(user: User, api: Rehearsal) -> None:
    repo = repository(user.folder / "my own app", branch="trunk")
    made = user.loop("init", user.folder / "other home", "--repo", repo, "--test", "sh check.sh", cwd=user.folder)
    assert made.code == 0, made
    there = ("-C", user.folder / "other home")
    assert user.loop(*there, "queue", "add", "--title", "Mend the state", "--id", "one").code == 0
    ran = user.loop("run", "--once", HARNESS_HOME=str(user.folder / "other home"))
    assert ran.code == 0, ran
    assert json.loads(user.loop(*there, "queue", "show", "one", "--json").out)["item"]["outcome"] == "verified"
    assert git(repo, "log", "-1", "--format=%s", "trunk") == "Mend the state"
    assert (repo / "state.txt").read_text() == "good\n"


def test_a_repository_inside_the_home(user: User, api: Rehearsal) -> None:
    repo = repository(user.home / "app")
    assert once(user, repo)["outcome"] == "verified"
    assert git(repo, "status", "--porcelain") == ""


def test_the_home_inside_the_repository(user: User, api: Rehearsal) -> None:
    repo = repository(user.folder / "app")
    user.home = repo
    assert once(user, repo)["outcome"] == "verified"
    assert git(repo, "log", "-1", "--format=%s", "main") == "Mend the state"


def test_a_bare_repository(user: User, api: Rehearsal) -> None:
    git(user.folder, "clone", "-q", "--bare", str(repository(user.folder / "app")), "bare.git")
    bare = user.folder / "bare.git"
    assert once(user, bare)["outcome"] == "verified"
    assert git(bare, "show", "main:state.txt") == "good"


def test_a_branch_that_is_not_checked_out(user: User, api: Rehearsal) -> None:
    repo = repository(user.folder / "app")
    git(repo, "checkout", "-q", "-b", "mine")
    (repo / "state.txt").write_text("a person's own\n")
    assert once(user, repo)["outcome"] == "verified"
    assert git(repo, "show", "main:state.txt") == "good"
    assert (repo / "state.txt").read_text() == "a person's own\n"


def test_a_session_that_was_interrupted_and_resumed_costs_what_was_billed(tmp_path: Path) -> None:
    turns = (bash("echo begun"), {**bash("echo never seen"), "fault": {"hang": "forever", "times": 1}}, *WORKS)
    with Rehearsal(scenario(*turns)) as api:
        user = User(tmp_path, api.url)
        repo = repository(tmp_path / "app")
        user.init(repo)
        user.add()
        interrupt = user.home / "state" / "interrupt-request.txt"
        with user.running(MAX_ITERATIONS="1") as loop:
            wait_for(lambda: len(api.requests) > 1)
            interrupt.write_text("a look at it first\n")
            wait_for(lambda: user.sessions() and user.sessions()[0]["outcome"] == "interrupted")
            assert loop.poll() is None
            interrupt.unlink()
            assert loop.wait(30) == 0
        first, second = user.sessions()
        assert first["claude_session_id"] == second["claude_session_id"]
        assert (second["parent"], second["attempt"], second["outcome"]) == (first["session_id"], 1, "verified")
        assert user.item()["attempts"] == 0
        total = {name: first["tokens"][name] + second["tokens"][name] for name in COUNTED}
        assert total == billed(api)
