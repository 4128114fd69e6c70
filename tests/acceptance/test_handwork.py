"""A person takes an item, works in its folder, and hands it in or gives it back (O10, O2, R12)."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.git.merge import GitMerger
from harness.git.workspace import GitWorkspaces
from harness.model.journal import Integration
from harness.model.work import WorkItem
from harness.ports import RepositoryRef
from harness.proc.lock import FileLock
from tests.kit.command import Caller, Said, home_at
from tests.kit.loop import git, until

pytestmark = pytest.mark.process

GATE = "test ! -f tried.txt || test -f proof || { echo the proof is missing; exit 1; }"
CONFIG = f"""\
harness: {{iteration_delay: 0, interrupt_check_interval: 1, stop_timeout: 5, max_attempts: 1}}
agents: {{default: {{type: scripted}}}}
repositories:
  - {{name: app, path: app, gates: [{{name: tests, run: "{GATE}"}}]}}
kinds: {{review: {{template: review, expects: document}}}}
"""
Script = list[dict[str, Any]]
FAILS: Script = [{"write": {"path": "tried.txt", "content": "1\n"}}, {"commit": "Try"}, {"complete": "done"}]


@pytest.fixture
def loop(tmp_path: Path) -> Caller:
    return Caller(home_at(tmp_path / "home", CONFIG))


def add(loop: Caller, script: Script = FAILS, **more: Any) -> None:
    said = loop("queue", "add", json.dumps({"id": "one", "title": "Prove it", "script": script, **more}))
    assert said.code == 0, said.err


def run(loop: Caller) -> subprocess.CompletedProcess[str]:
    return loop.process("run", "--drain")


def item(loop: Caller) -> WorkItem:
    with closing(loop.store()) as store:
        found = store.item("one")
    assert found is not None
    return found


def take(loop: Caller) -> Path:
    """The folder, as alice gets it."""
    said = loop("queue", "take", "one", "--as", "alice")
    assert said.code == 0, said.err
    folder = Path(said.out.partition("folder:")[2].split()[0])
    assert folder.is_dir()
    return folder


def by_hand(folder: Path, name: str = "proof", message: str = "Prove it") -> str:
    (folder / name).write_text("yes\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)
    return git(folder, "rev-parse", "HEAD")


def submit(loop: Caller, *more: str) -> Said:
    return loop("queue", "submit", "one", *more, "--json")


def main(loop: Caller) -> str:
    return git(loop.home.root / "app", "rev-parse", "main")


def test_a_parked_item_is_taken_mended_and_handed_in(loop: Caller) -> None:
    add(loop)
    run(loop)
    assert item(loop).state == "parked"
    folder = take(loop)
    assert (folder / "tried.txt").read_text() == "1\n", "the folder of the session, with its commits"
    taken = item(loop)
    assert (taken.state, taken.assigned) == ("waiting", "alice")
    by_hand(folder)
    said = submit(loop)
    assert (said.code, said.json["applied"]) == (0, True), said
    done = item(loop)
    assert (done.state, done.outcome, done.assigned, done.attempts) == ("done", "verified", "alice", 1)
    assert (loop.home.root / "app" / "proof").read_text() == "yes\n"
    log = git(loop.home.root / "app", "log", "-1", "--format=%an|%B", "main")
    assert log.startswith("owner|Prove it")
    assert "Harness-Actor: alice" in log
    assert not folder.exists()
    assert not loop.home.brief("one").exists()
    proof = loop("evidence", "one", "--json")
    assert (proof.code, proof.json["holds"]) == (0, True)
    assert ("tests", "passed") in [(gate["gate"], gate["verdict"]) for gate in proof.json["gates"]]


def test_the_brief_has_what_a_person_needs_and_nothing_for_agents(loop: Caller) -> None:
    add(loop, description="Make the proof.", scope=["proof", "tried.txt"])
    run(loop)
    folder = take(loop)
    brief = loop.home.brief("one").read_text()
    for said in ("Prove it", "Make the proof.", "the proof is missing", "gate tests: failed", str(folder), "- `proof`"):
        assert said in brief, said
    assert "./loop queue submit one" in brief
    assert "# one: Prove it" in brief, "the dossier of a parked item"
    with closing(loop.store()) as store:
        (session,) = store.sessions(item="one")
    assert session.id in brief
    for foreign in ("complete_work", "<untrusted", "You work alone", "ses_000000000000"):
        assert foreign not in brief, foreign


def test_what_is_red_stays_with_the_person_and_is_not_counted(loop: Caller) -> None:
    add(loop)
    folder = take(loop)
    before = main(loop)
    by_hand(folder, "tried.txt")
    for _ in range(2):
        said = submit(loop)
        assert (said.code, said.json["applied"]) == (1, False)
        assert "the proof is missing" in said.json["detail"]
        assert "log " in said.json["detail"]
    left = item(loop)
    assert (left.state, left.assigned, left.attempts) == ("waiting", "alice", 0)
    assert "in the hands of alice" in left.reason
    assert "gate_failed" in left.reason
    assert main(loop) == before
    by_hand(folder)
    assert submit(loop).code == 0
    assert item(loop).outcome == "verified"


def test_uncommitted_work_is_named_or_committed_with_a_message(loop: Caller) -> None:
    add(loop)
    folder = take(loop)
    said = submit(loop)
    assert (said.code, said.error["kind"]) == (1, "refused")
    assert "no commit on top of" in said.error["message"]
    (folder / "proof").write_text("yes\n")
    said = submit(loop)
    assert said.error["message"] == "1 uncommitted: proof"
    assert "--message" in said.error["next"]
    assert item(loop).fence == 0
    assert submit(loop, "--message", "By hand").code == 0
    assert git(loop.home.root / "app", "log", "-1", "--format=%s", "main") == "By hand"


def test_given_back_the_next_session_goes_on_from_the_commits_of_the_person(loop: Caller) -> None:
    goes_on: Script = [
        {"run": ["sh", "-c", "cat by-hand loose > proof && git log --format=%s -1 >> proof"]},
        {"commit": "Go on"},
        {"complete": "done"},
    ]
    add(loop, goes_on)
    folder = take(loop)
    by_hand(folder, "by-hand", "Begun by hand")
    (folder / "loose").write_text("loose\n")
    said = loop("queue", "return", "one")
    assert said.code == 0, said.err
    back = item(loop)
    assert (back.state, back.assigned) == ("ready", None)
    assert "alice worked on it by hand" in loop("prompt", "render", "one").out
    assert "one" in loop("wip", "list").out
    assert loop("queue", "return", "one", "--json").json["applied"] is False
    ended = run(loop)
    assert ended.returncode == 0, ended.stderr
    assert (loop.home.root / "app" / "proof").read_text() == "yes\nloose\nBegun by hand\n"
    assert item(loop).outcome == "verified"


def test_it_is_said_who_has_it_since_when_and_how_it_goes_on(loop: Caller) -> None:
    add(loop)
    folder = take(loop)
    why = loop("why", "one").out
    for said in ("in the hands of alice since 2", str(folder), "./loop queue submit one", "./loop queue return one"):
        assert said in why, said
    assert "item.taken" in why
    (row,) = loop("queue", "show", "--json").json["rows"]
    assert (row["state"], row["assigned"]) == ("waiting", "alice")
    assert "alice" in row["reason"]
    assert "in the hands of alice" in loop("status").out
    assert take(loop) == folder, "asked again, it is said again"
    other = loop("queue", "take", "one", "--as", "bob", "--json")
    assert (other.code, other.error["kind"]) == (1, "refused")
    assert "alice" in other.error["message"]
    assert run(loop).returncode == 0
    assert item(loop).state == "waiting", "no agent gets it"


def test_what_is_finished_or_nobody_has_is_refused(loop: Caller) -> None:
    add(loop)
    said = submit(loop)
    assert (said.code, said.error["next"]) == (1, "./loop queue take one")
    loop("queue", "remove", "one")
    said = loop("queue", "take", "one", "--json")
    assert (said.code, said.error["kind"]) == (1, "refused")
    assert "cancelled" in said.error["message"]
    assert loop("queue", "take", "ghost").code == 4


def test_a_document_is_handed_in_as_well(loop: Caller) -> None:
    add(loop, kind="review")
    folder = take(loop)
    assert "result.md" in submit(loop).error["message"]
    (folder / "result.md").write_text("Fine.\n")
    assert submit(loop).code == 0
    assert item(loop).outcome == "claimed"
    assert (loop.home.evidence / "one" / "result.md").read_text() == "Fine.\n"


def test_a_checkout_in_the_way_holds_it_up_and_merge_apply_finishes(loop: Caller) -> None:
    add(loop)
    by_hand(take(loop))
    (loop.home.root / "app" / "proof").write_text("somebody's own\n")
    said = submit(loop)
    assert said.code == 5, said
    held = item(loop)
    assert (held.state, held.by_hand) == ("waiting", False)
    (loop.home.root / "app" / "proof").unlink()
    assert loop("merge", "apply", "one").code == 0
    assert item(loop).outcome == "verified"


# --- beside a loop, and killed ----------------------------------------------------------------------------------------


def started(loop: Caller, *words: str) -> subprocess.Popen[bytes]:
    """With INT as a terminal gives it: a shell's background jobs, and so whoever runs these tests as one, ignore it."""
    return subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-I", "-m", "harness", *words],
        cwd=loop.home.root,
        env=loop.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_beside_a_running_loop_an_item_that_is_worked_on_is_refused_and_another_is_handed_in(loop: Caller) -> None:
    add(loop, [{"run": ["sh", "-c", "touch begun; sleep 60"]}])
    said = loop("queue", "add", json.dumps({"id": "two", "title": "Another", "assigned": "alice"}))
    assert said.code == 0, said.err
    runs = started(loop, "run")
    try:
        until(lambda: any(loop.home.worktrees.glob("one/begun")), 60, "the session")
        said = loop("queue", "take", "one", "--json")
        assert said.code == 1
        assert "./loop session stop ses_" in said.error["next"]
        taken = loop("queue", "take", "two", "--as", "alice")
        by_hand(Path(taken.out.partition("folder:")[2].split()[0]))
        handed = loop("queue", "submit", "two", "--json")
        assert handed.code == 0, handed
        assert (loop.home.root / "app" / "proof").exists()
        assert runs.poll() is None
    finally:
        runs.send_signal(signal.SIGTERM)
        assert runs.wait(60) == 0


@pytest.mark.parametrize(
    "finished_by", ["submit", *(pytest.param(way, marks=pytest.mark.night) for way in ("return", "loop"))]
)
def test_a_hand_in_that_is_killed_while_its_gates_run_is_with_its_person_again(loop: Caller, finished_by: str) -> None:
    loop.home.config.write_text(CONFIG.replace(GATE, "touch begun; sleep 300"))
    add(loop)
    by_hand(take(loop))
    dies = started(loop, "queue", "submit", "one")
    until(lambda: any(loop.home.benches.glob("*/begun")), 60, "the gate")
    try:
        assert item(loop).state == "leased"
        assert "is being proved" in submit(loop).error["message"]
    finally:
        dies.kill()
        dies.wait()
    loop.home.config.write_text(CONFIG)
    if finished_by == "loop":
        run(loop)
        left = item(loop)
        assert (left.state, left.assigned, left.attempts, left.rescues) == ("waiting", "alice", 0, 0)
    if finished_by == "return":
        assert loop("queue", "return", "one").code == 0
        assert item(loop).state == "ready"
        return
    assert submit(loop).code == 0
    assert item(loop).outcome == "verified"


def test_a_hand_in_that_is_killed_after_the_branch_moved_is_only_settled(loop: Caller) -> None:
    add(loop)
    folder = take(loop)
    by_hand(folder)
    owner = "hand-0-dead"
    with closing(loop.store()) as store:
        store.register(owner, pid=1, boot="b", start=1, kind="hand", now=loop._now())
        lease = store.lease_by_hand(owner, "one", "app", loop._now())
    _integrate(loop, lease.fence)
    moved = main(loop)
    said = loop("queue", "return", "one", "--json")
    assert (said.code, said.error["next"]) == (1, "./loop queue submit one finishes that")
    assert submit(loop).code == 0
    assert (item(loop).state, item(loop).outcome) == ("done", "verified")
    assert main(loop) == moved


def _integrate(loop: Caller, fence: int) -> None:
    """What a hand-in does until it has moved the branch: seal, intent, branch."""
    home, repo = loop.home, RepositoryRef("app", loop.home.root / "app", "main")
    base = main(loop)

    async def moved() -> None:
        spaces = GitWorkspaces(home.worktrees, under=home.state, benches=home.benches)
        workspace = await spaces.reopen(repo, "one", base)
        assert workspace is not None
        seal = await spaces.seal(workspace, (("Harness-Item", "one"), ("Harness-Actor", "alice")))
        row = Integration(0, "one", fence, "app", "main", base, seal.commit, "intended", merged=seal.commit)
        with closing(loop.store()) as store:
            store.intend(replace(row, began_at=loop._now()))
        await GitMerger(home.benches, under=home.state).advance(repo, "main", seal.commit, base)

    asyncio.run(moved())


def test_a_lock_that_somebody_holds_is_not_taken_for_dead(loop: Caller) -> None:
    add(loop)
    by_hand(take(loop))
    with closing(loop.store()) as store, FileLock(loop.home.owners / "hand-1-alive.lock"):
        store.register("hand-1-alive", pid=1, boot="b", start=1, kind="hand", now=loop._now())
        store.lease_by_hand("hand-1-alive", "one", "app", loop._now())
        assert "is being proved" in submit(loop).error["message"]
        assert loop("queue", "take", "one", "--json").error["kind"] == "refused"
    assert submit(loop).code == 0


def test_a_conflict_is_said_and_resolved_by_merging_the_branch_in_the_folder(loop: Caller) -> None:
    app = loop.home.root / "app"
    add(loop)
    folder = take(loop)
    by_hand(folder, "state.txt", "Mine")
    (app / "state.txt").write_text("theirs\n")
    git(app, "commit", "-qam", "Theirs")
    theirs = main(loop)
    said = submit(loop)
    assert (said.code, item(loop).state, item(loop).attempts) == (1, "waiting", 0)
    assert "state.txt" in said.json["detail"]
    assert f"git pull --no-rebase {app} main" in loop.home.brief("one").read_text()
    git(folder, "fetch", "-q", str(app), "main")
    git(folder, "merge", "-q", "-s", "ours", "-m", "Both", "FETCH_HEAD")
    assert submit(loop).code == 0
    assert (app / "state.txt").read_text() == "yes\n"
    brought = git(app, "log", "--format=%s", f"{theirs}..main").splitlines()
    assert sorted(brought) == ["Both", "Mine"], "nothing of the branch is made twice"


def test_an_interrupted_hand_in_is_with_its_person_at_once(loop: Caller) -> None:
    loop.home.config.write_text(CONFIG.replace(GATE, "touch begun; sleep 300"))
    add(loop)
    by_hand(take(loop))
    ends = started(loop, "queue", "submit", "one")
    try:
        until(lambda: any(loop.home.benches.glob("*/begun")) or ends.poll() is not None, 60, "the gate")
        assert ends.poll() is None, item(loop)
        ends.send_signal(signal.SIGINT)
        assert ends.wait(60) != 0
    finally:
        ends.kill()
        ends.wait()
    left = item(loop)
    assert (left.state, left.assigned, left.attempts) == ("waiting", "alice", 0)
    assert "ended before it was proved" in left.reason


@pytest.mark.night
def test_killed_at_any_moment_the_same_commands_come_to_the_same_end(loop: Caller) -> None:
    add(loop)
    moments = [0.2 * number for number in range(1, 8)]
    for seconds in moments:
        _killed(loop, seconds, "queue", "take", "one", "--as", "alice")
    folder = take(loop)
    by_hand(folder)
    for seconds in moments:
        _killed(loop, seconds, "queue", "return", "one")
        if not item(loop).by_hand:
            folder = take(loop)
    assert (folder / "proof").exists()
    for seconds in moments:
        _killed(loop, seconds, "queue", "submit", "one")
    if item(loop).state != "done":
        assert submit(loop).code == 0
    done = item(loop)
    assert (done.state, done.outcome, done.attempts, done.assigned) == ("done", "verified", 0, "alice")
    assert git(loop.home.root / "app", "log", "--format=%s", "main").splitlines() == ["Prove it", "First"]


def _killed(loop: Caller, seconds: float, *words: str) -> None:
    """A command that is killed after that time, if it takes as long."""
    dies = started(loop, *words)
    try:
        dies.wait(seconds)
    except subprocess.TimeoutExpired:
        dies.kill()
        dies.wait()
