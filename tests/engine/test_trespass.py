"""A session that nothing fences in and that touches the checkout or another workspace is noticed (D1, O13)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness.model.journal import Entry
from harness.model.work import WorkState
from tests.kit.engine import Engine, engine, work

pytestmark = pytest.mark.process

ABOUT = ("checkout.moved", "checkout.touched", "workspace.touched", "checkout.unseen")


def sh(command: str) -> dict[str, Any]:
    return {"run": ["sh", "-c", command]}


def said(loop: Engine, kind: str) -> list[Entry]:
    return [entry for entry in loop.heard.entries if entry.kind == kind]


async def played(loop: Engine, *steps: dict[str, Any]) -> None:
    await loop.add("one", *steps, *work("one"))
    await loop.run(once=True)


async def test_sessions_that_keep_to_their_workspace_are_said_nothing_of(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        (loop.repository / "notes.txt").write_text("of a person")
        await loop.add("one")
        await loop.add("two")
        await loop.run(drain=True)
        assert await loop.outcomes("one", "two") == ["verified", "verified"]
        assert set(loop.heard.kinds()).isdisjoint(ABOUT)


MOVES = {
    "a commit": "git commit -q --allow-empty -m sneaky",
    "a branch moved under its checkout": "git update-ref refs/heads/main $(git commit-tree -p HEAD -m x HEAD^{{tree}})",
    "a branch written as a file": "git rev-parse $(git commit-tree -p HEAD -m x HEAD^{{tree}}) > .git/refs/heads/main",
    "another branch checked out": "git checkout -q -b sneaky",
}


@pytest.mark.parametrize("command", MOVES.values(), ids=MOVES)
async def test_work_of_a_session_that_moved_the_branch_or_head_waits_for_a_person(tmp_path: Path, command: str) -> None:
    async with engine(tmp_path) as loop:
        await played(loop, sh(f"unset GIT_CEILING_DIRECTORIES; cd {loop.repository} && {command.format()}"))
        (entry,) = said(loop, "checkout.moved")
        assert (entry.item, entry.data["by"]) == ("one", "the session")
        item = await loop.item("one")
        assert item.state is WorkState.WAITING
        assert f"session {entry.session} moved" in item.reason
        assert "./loop merge apply one" in item.reason
        assert "one.txt" not in loop.git("ls-tree", "--name-only", "main").split()
        assert "one.txt" in loop.git("ls-tree", "--name-only", "refs/harness/one/verified").split()


async def test_a_commit_of_a_person_is_said_and_holds_nothing_up(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        commit = "git -c user.name=Eva -c user.email=eva@example.org commit -q --allow-empty -m mine"
        clean = "unset GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL GIT_CEILING_DIRECTORIES"
        await played(loop, sh(f"{clean}; cd {loop.repository} && {commit}"))
        (entry,) = said(loop, "checkout.moved")
        assert entry.data["by"] == "somebody else"
        assert await loop.outcomes("one") == ["verified"]
        assert "one.txt" in loop.git("ls-tree", "--name-only", "main").split()


async def test_changed_files_of_the_checkout_are_named(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        (loop.repository / "notes.txt").write_text("of a person")
        await played(loop, sh(f"echo x >> {loop.repository}/notes.txt; echo y > {loop.repository}/new.txt"))
        (entry,) = said(loop, "checkout.touched")
        assert (entry.item, entry.data["paths"], entry.data["count"]) == ("one", "new.txt, notes.txt", 2)
        assert await loop.outcomes("one") == ["verified"]


async def test_another_workspace_that_changed_is_named(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await loop.add("other")
        plan = loop.parts.planner.plan(await loop.item("other"))
        workspace = await loop.parts.workspaces.prepare(plan.repo, "other")
        await loop.parts.books(lambda s: s.move("other", WorkState.PARKED, "test", actor="eva", now=loop.now))
        await played(loop, sh(f"echo x > {workspace.path}/planted.txt"))
        (entry,) = said(loop, "workspace.touched")
        assert (entry.item, entry.data["workspaces"]) == ("one", "other")


async def test_what_cannot_be_looked_at_is_said_and_fails_no_session(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await played(loop, sh(f"unset GIT_CEILING_DIRECTORIES; git -C {loop.repository} branch -m main elsewhere"))
        (entry,) = said(loop, "checkout.unseen")
        assert "no branch 'main'" in entry.data["reason"]
        (row,) = await loop.sessions("one")
        assert row.status == "completed"


async def test_a_loop_that_proves_the_work_later_knows_what_its_session_did(tmp_path: Path) -> None:
    async with engine(tmp_path, gate=f"test -f {tmp_path}/go || sleep 60") as loop:
        move = f"unset GIT_CEILING_DIRECTORIES; cd {loop.repository} && git commit -q --allow-empty -m sneaky"
        await loop.add("one", sh(move), *work("one"))
        running = asyncio.create_task(loop.run())
        await loop.until("attempt.phase", 3)
        loop.parts.state.stop("TERM")
        await running
        (tmp_path / "go").touch()
        loop.parts.state.stopping = None
        await loop.run(max_iterations=2)
        item = await loop.item("one")
        assert item.state is WorkState.WAITING
        assert "moved" in item.reason
        assert "one.txt" not in loop.git("ls-tree", "--name-only", "main").split()
