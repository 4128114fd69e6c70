"""From sealed work to the target branch: claimed, verified, held, moved, conflict, apply (contract 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.model.errors import NotFastForward, NotFound, Refused
from harness.model.work import WorkState
from tests.kit.engine import Engine, Step, engine, work

pytestmark = pytest.mark.process


def repository(folder: Path, **more: Any) -> list[dict[str, Any]]:
    gates = [{"name": "tests", "run": more.pop("gate")}] if "gate" in more else []
    return [{"name": "app", "path": str(folder / "app"), "branch": "main", "gates": gates, **more}]


async def test_without_a_gate_work_is_claimed_and_kept_and_the_branch_untouched(tmp_path: Path) -> None:
    async with engine(tmp_path, gate=None) as loop:
        before = loop.git("rev-parse", "main")
        await loop.add("one")
        await loop.run(once=True)
        assert await loop.outcomes("one") == ["claimed"]
        assert loop.git("rev-parse", "main") == before
        assert loop.git("show", "refs/harness/one/claimed:one.txt") == "one"


async def test_claimed_work_goes_to_the_branch_where_the_repository_says_so(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=repository(tmp_path, integrate="claimed")) as loop:
        await loop.add("one")
        await loop.run(once=True)
        assert await loop.outcomes("one") == ["claimed"]
        assert loop.git("show", "main:one.txt") == "one"


async def test_verified_work_advances_the_branch_and_its_clean_checkout(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await loop.add("one")
        await loop.run(once=True)
        assert (loop.repository / "one.txt").read_text() == "one\n"
        assert loop.git("status", "--porcelain") == ""
        assert "Harness-Item: one" in loop.git("log", "-1", "--format=%B", "main")
        assert [row.state for row in await loop.parts.books(lambda s: s.integrations())] == ["applied"]


async def test_a_repository_that_never_integrates_keeps_the_proved_work(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=repository(tmp_path, gate="true", integrate="never")) as loop:
        before = loop.git("rev-parse", "main")
        await loop.add("one")
        await loop.run(once=True)
        assert await loop.outcomes("one") == ["verified"]
        assert loop.git("rev-parse", "main") == before
        assert loop.git("show", "refs/harness/one/verified:one.txt") == "one"


async def held(loop: Engine) -> None:
    """One item of proved work that a person's own file stands in the way of."""
    (loop.repository / "one.txt").write_text("a person's own\n")
    await loop.add("one")
    await loop.run(once=True)


async def test_a_dirty_checkout_in_the_way_makes_the_item_wait_and_is_not_touched(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await held(loop)
        item = await loop.item("one")
        assert (item.state, "one.txt" in item.reason) == ("waiting", True)
        assert (loop.repository / "one.txt").read_text() == "a person's own\n"
        assert loop.git("show", "refs/harness/one/verified:one.txt") == "one"


async def test_held_work_is_tried_again_without_a_session_once_the_checkout_is_clean(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await held(loop)
        await loop.parts.integrator.tick()
        assert (await loop.item("one")).state == "waiting"
        (loop.repository / "one.txt").unlink()
        await loop.parts.integrator.tick()
        assert (await loop.item("one")).state == "done"
        assert (loop.repository / "one.txt").read_text() == "one\n"
        assert len(await loop.sessions("one")) == 1


async def test_what_is_in_the_way_all_night_is_one_line_of_the_record(tmp_path: Path) -> None:
    gate = f"echo ran >> {tmp_path}/proofs"
    async with engine(tmp_path, gate=gate) as loop:
        await held(loop)
        before = len(loop.heard.entries)
        for _ in range(3):
            await loop.parts.integrator.tick()
        assert len(loop.heard.entries) == before
        loop.git("commit", "-q", "--allow-empty", "-m", "theirs")
        for _ in range(3):
            await loop.parts.integrator.tick()
        rows = await loop.parts.books(lambda s: s.integrations(item="one"))
        assert [row.state for row in rows] == ["aborted", "held"]
        assert (tmp_path / "proofs").read_text().split() == ["ran"] * 2, "once on each tip"
        (loop.repository / "one.txt").unlink()
        await loop.parts.integrator.tick()
        rows = await loop.parts.books(lambda s: s.integrations(item="one"))
        assert ([row.state for row in rows], rows[-1].merged) == (["aborted", "applied"], loop.git("rev-parse", "main"))


async def test_held_work_that_a_person_merges_alone_is_on_record_as_integrated(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await held(loop)
        (loop.repository / "one.txt").unlink()
        loop.git("merge", "-q", "--ff-only", "refs/harness/one/verified")
        await loop.parts.integrator.tick()
        (row,) = await loop.parts.books(lambda s: s.integrations(item="one"))
        assert (row.state, (await loop.item("one")).state) == ("applied", "done")


async def test_merge_apply_names_what_is_in_the_way_and_takes_the_work_once_it_is_gone(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await held(loop)
        with pytest.raises(NotFastForward, match=r"one\.txt"):
            await loop.parts.integrator.apply("one")
        (loop.repository / "one.txt").unlink()
        applied = await loop.parts.integrator.apply("one")
        assert applied.commit == loop.git("rev-parse", "main")
        with pytest.raises(Refused, match="already in main"):
            await loop.parts.integrator.apply("one")


async def test_merge_apply_takes_claimed_work_and_refuses_what_is_not_there(tmp_path: Path) -> None:
    async with engine(tmp_path, gate=None) as loop:
        await loop.add("one")
        await loop.add("two")
        await loop.run(once=True)
        await loop.parts.integrator.apply("one")
        assert loop.git("show", "main:one.txt") == "one"
        with pytest.raises(NotFound, match="nothing is kept for two"):
            await loop.parts.integrator.apply("two")


async def test_a_branch_that_moves_during_the_proof_is_proved_again_on_the_merged_tree(tmp_path: Path) -> None:
    here = f"git -C {tmp_path}/app -c user.name=o -c user.email=o@example.org"
    gate = f"pwd >> {tmp_path}/proofs; test -e {tmp_path}/moved || {{ touch {tmp_path}/moved; {here} commit -q --allow-empty -m moved; }}"
    async with engine(tmp_path, gate=gate) as loop:
        await loop.add("one")
        await loop.run(once=True)
        assert await loop.outcomes("one") == ["verified"]
        assert len((tmp_path / "proofs").read_text().splitlines()) == 2
        assert "moved" in loop.git("log", "--format=%s", "main")
        assert loop.git("show", "main:one.txt") == "one"
        states = [row.state for row in await loop.parts.books(lambda s: s.integrations())]
        assert sorted(states) == ["aborted", "applied"]


def elsewhere(loop: Engine, command: str) -> dict[str, list[str]]:
    """A step that changes the registered repository while the session runs, as a person might."""
    person = "GIT_COMMITTER_NAME=o GIT_COMMITTER_EMAIL=o@example.org"
    return {"run": ["sh", "-c", f"cd {loop.repository} && {command} && git add -A && {person} git commit -qm theirs"]}


@pytest.mark.parametrize("path", [".github/workflows/ci.yml", "AGENTS.md"])
async def test_proved_work_that_changes_what_judges_waits_for_a_person_and_merge_apply_takes_it(
    tmp_path: Path, path: str
) -> None:
    async with engine(tmp_path) as loop:
        before = loop.git("rev-parse", "main")
        script = ({"write": {"path": path, "content": "mine\n"}}, {"commit": "change"}, {"complete": "done"})
        await loop.add("one", *script)
        await loop.run(once=True)
        item = await loop.item("one")
        assert (item.state, item.attempts, path in item.reason) == ("waiting", 0, True)
        assert "./loop merge apply one" in item.reason
        assert loop.git("rev-parse", "main") == before
        await loop.parts.integrator.apply("one")
        assert loop.git("show", f"main:{path}") == "mine"
        assert (await loop.item("one")).state == "done"


async def test_what_a_person_sends_back_goes_on_with_the_objection_in_its_prompt(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        script = ({"write": {"path": "Jenkinsfile", "content": "x\n"}}, {"commit": "change"}, {"complete": "done"})
        await loop.add("one", *script)
        await loop.run(once=True)
        item = await loop.parts.books(lambda s: s.move("one", WorkState.READY, "no", actor="test", now=loop.now))
        (session,) = await loop.sessions("one")
        assert item.continuation is not None
        assert (item.continuation.mode, item.continuation.session) == ("session", session.id)
        (attempt,) = await loop.parts.books(lambda s: s.attempts("one"))
        assert [(v["gate"], v["files"]) for v in attempt.verdicts if v["verdict"] == "asks"] == [
            ("tamper", ["Jenkinsfile"])
        ]


async def test_work_outside_its_scope_is_the_agents_failure(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await loop.add("one", scope=("src/**",))
        await loop.run(once=True)
        (attempt,) = await loop.parts.books(lambda s: s.attempts("one"))
        assert (attempt.ending, attempt.counted, "one.txt" in attempt.evidence) == ("gate_failed", True, True)


async def test_guards_alone_prove_nothing(tmp_path: Path) -> None:
    gates = [{"name": "guard", "type": "tamper"}, {"name": "bounds", "type": "scope"}]
    home = [{"name": "app", "path": str(tmp_path / "app"), "branch": "main", "gates": gates}]
    async with engine(tmp_path, repositories=home) as loop:
        await loop.add("one")
        await loop.add("two", scope=("src/**",))
        await loop.run(drain=True, max_iterations=2)
        assert (await loop.item("one")).outcome == "claimed"
        assert loop.git("show", "refs/harness/one/claimed:one.txt") == "one"
        attempts = await loop.parts.books(lambda s: s.attempts("two"))
        assert attempts[0].ending == "gate_failed"


async def test_a_gate_that_is_red_by_chance_is_run_again_and_called_flaky(tmp_path: Path) -> None:
    gate = f"test -e {tmp_path}/again || {{ touch {tmp_path}/again; exit 1; }}"
    async with engine(tmp_path, gate=gate) as loop:
        await loop.add("one")
        await loop.run(once=True)
        item = await loop.item("one")
        assert (item.outcome, item.reason) == ("verified", "verified: tests (flaky: green in its second run)")
        (row,) = await loop.sessions("one")
        assert row.metrics["gates"][0]["flaky"] is True


async def test_what_gates_leave_behind_is_the_agents_only_if_the_base_was_clean(tmp_path: Path) -> None:
    gates = [{"name": "tests", "run": "test ! -f one.txt || touch left.txt"}, {"name": "clean", "type": "clean"}]
    home = [{"name": "app", "path": str(tmp_path / "app"), "branch": "main", "gates": gates}]
    async with engine(tmp_path, repositories=home) as loop:
        await loop.add("one")
        await loop.add("two", scope=("**",))
        await loop.run(drain=True, max_iterations=2)
        (attempt,) = await loop.parts.books(lambda s: s.attempts("one"))
        assert (attempt.ending, "left.txt" in attempt.evidence) == ("gate_failed", True)
        assert await loop.outcomes("two") == ["verified"]


async def test_work_that_conflicts_with_what_came_meanwhile_is_no_failure_of_the_agent(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        ours = {"write": {"path": "README.md", "content": "ours\n"}}
        theirs = elsewhere(loop, "echo theirs > README.md")
        await loop.add("one", theirs, ours, {"commit": "ours"}, {"complete": "done"})
        await loop.run(once=True)
        item = await loop.item("one")
        (attempt,) = await loop.parts.books(lambda s: s.attempts("one"))
        assert (attempt.ending, item.state, item.attempts, item.rescues) == ("conflict", "ready", 0, 1)
        assert "README.md" in attempt.evidence
        assert loop.git("show", "main:README.md") == "theirs"


async def test_work_that_is_red_only_together_with_what_came_meanwhile_is_a_conflict(tmp_path: Path) -> None:
    gate = "! { test -f one.txt && test -f theirs.txt; }"
    async with engine(tmp_path, gate=gate) as loop:
        await loop.add("one", elsewhere(loop, "touch theirs.txt"), *work("one"))
        await loop.run(once=True)
        (attempt,) = await loop.parts.books(lambda s: s.attempts("one"))
        assert (attempt.ending, attempt.counted) == ("conflict", False)
        assert not (loop.repository / "one.txt").exists()


@pytest.mark.parametrize("kind", ["default", "bug-fix"])
async def test_work_that_is_red_by_itself_is_counted_however_busy_the_branch_is(tmp_path: Path, kind: str) -> None:
    async with engine(tmp_path, gate="test ! -f one.txt") as loop:
        await loop.add("one", elsewhere(loop, "touch theirs.txt"), *work("one"), kind=kind)
        await loop.run(once=True)
        (attempt,) = await loop.parts.books(lambda s: s.attempts("one"))
        assert (attempt.ending, attempt.counted) == ("gate_failed", True)
        assert loop.git("log", "-1", "--format=%s", "main") == "theirs"


async def test_a_conflict_is_taken_up_on_the_new_tip_and_parked_at_the_third_in_a_row(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        theirs = elsewhere(loop, "date +%N > README.md")
        ours = {"write": {"path": "README.md", "content": "ours\n"}}
        await loop.add("one", theirs, ours, {"commit": "ours"}, {"complete": "done"})
        await loop.run(drain=True)
        assert [row.prompt["template"] for row in await loop.sessions("one")] == ["bootstrap", "conflict", "conflict"]
        attempts = await loop.parts.books(lambda s: s.attempts("one"))
        assert len({attempt.base for attempt in attempts}) == 3
        item = await loop.item("one")
        assert (item.state, item.attempts) == ("parked", 0)


def everybodys(name: str) -> tuple[Step, ...]:
    """Work on the one file that all items write: each puts its line on top of what is there."""
    add = f"f=everybody.txt; {{ echo {name}; cat $f 2>/dev/null; }} > new; mv new $f"
    return ({"run": ["sh", "-c", add]}, {"commit": f"{name} in everybody.txt"}, {"complete": "all of it"})


async def test_one_worker_does_not_conflict_with_itself_for_ever(tmp_path: Path) -> None:
    async with engine(tmp_path, gate="sleep 0.2") as it:
        names = [f"w{n}" for n in range(5)]
        for name in names:
            await it.add(name, *everybodys(name))
        await it.run(drain=True)
        assert await it.outcomes(*names) == ["verified"] * 5
        assert sorted(it.git("show", "main:everybody.txt").split()) == names


async def test_subjects_begin_as_the_repository_says_once(tmp_path: Path) -> None:
    prefix = {"prefix": "[pipeline] {type} {id}: "}
    async with engine(tmp_path, repositories=repository(tmp_path, gate="true", integration=prefix)) as loop:
        write = {"write": {"path": "two.txt", "content": "2\n"}}
        await loop.add(
            "one", *work("one")[:2], write, {"commit": "[pipeline] bug-fix one: two"}, *work("one")[2:], kind="bug-fix"
        )
        await loop.run(once=True)
        assert await loop.outcomes("one") == ["verified"]
        subjects = loop.git("log", "-2", "--format=%s", "main").splitlines()
        assert subjects == ["[pipeline] bug-fix one: two", "[pipeline] bug-fix one: add one.txt"]
