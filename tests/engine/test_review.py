"""A second session of the attempt reads what is proved before it is integrated (architecture 7.11)."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from harness.engine.dossier import Dossiers
from harness.engine.housekeeper import Housekeeper
from harness.engine.plan import PromptRequest
from harness.model.session import Role, SessionRow
from harness.model.verdict import Verdict
from harness.model.work import WorkItem, WorkState
from harness.ports import Prompt
from harness.rehearsal.stage import Rehearsal
from harness.store.files import SessionFiles
from tests.kit.command import Caller
from tests.kit.engine import Engine, Step, engine, work
from tests.kit.loop import Yard, make_home, make_repository, sessions, until

pytestmark = pytest.mark.process

APPROVE = "verdict: approve\n"
OBJECT = (
    "verdict: findings\n\n## Findings\n\n- minor one.txt: no newline is told of\n- major one.txt:1: it says one twice\n"
)
CHANGES: Sequence[Step] = (
    {"run": ["sh", "-c", "echo line >> one.txt"]},
    {"commit": "a line more"},
    {"complete": "all of it"},
)


def read(document: str, *before: Step) -> list[Step]:
    """What a reviewer does that comes to a verdict."""
    return [*before, {"write": {"path": "result.md", "content": document}}, {"complete": "read it"}]


@asynccontextmanager
async def reviewed(folder: Path, *, rounds: int = 2, gate: str | None = None, **more: Any) -> AsyncIterator[Engine]:
    """A loop whose kind `default` is reviewed; its gate leaves a line in `proofs` each time it runs."""
    kinds = {"default": {"review": {"rounds": rounds, "model": "another"}}}
    async with engine(folder, gate=gate or f"echo run >> {folder}/proofs", kinds=kinds, **more) as loop:
        yield loop


def moves(folder: Path, by: str = "") -> Step:
    """The branch of the checkout moves during a session: by the session's own doing, or by somebody else's."""
    committer = f"GIT_COMMITTER_EMAIL={by}" if by else ""
    return {"run": ["sh", "-c", f"{committer} git -C {folder}/app commit -q --allow-empty -m moved"]}


def proofs(folder: Path) -> int:
    path = folder / "proofs"
    return len(path.read_text().splitlines()) if path.exists() else 0


class Overheard:
    """A composer whose prompts can be read afterwards, in the order of their sessions."""

    def __init__(self, loop: Engine) -> None:
        self.prompts: list[str] = []
        self._composer = loop.parts.tools.composer
        loop.parts.tools.composer = self

    def compose(self, request: PromptRequest) -> Prompt:
        prompt = self._composer.compose(request)
        self.prompts.append(prompt.text)
        return prompt


async def reviews(loop: Engine) -> list[SessionRow]:
    return [row for row in await loop.sessions("one") if row.role is Role.REVIEW]


async def last_verdict(loop: Engine) -> Verdict:
    attempts = await loop.parts.books(lambda s: s.attempts("one"))
    return Verdict.read(attempts[-1].verdicts[-1])


async def test_approved_work_is_integrated_and_its_review_is_a_session_and_a_verdict_of_its_own(tmp_path: Path) -> None:
    async with reviewed(tmp_path) as loop:
        left = ({"run": ["sh", "-c", "echo mine > one.txt; echo more > new.txt"]}, {"commit": "the reviewer's own"})
        await loop.add("one", reviews=[read(APPROVE, *left)])
        await loop.run(once=True)
        assert await loop.outcomes("one") == ["verified"]
        assert loop.git("show", "main:one.txt") == "one"
        assert "new.txt" not in loop.git("ls-tree", "--name-only", "main")
        worked, review = await loop.sessions("one")
        assert (worked.role, review.role, review.model) == (Role.WORK, Role.REVIEW, "another")
        assert [row.outcome for row in (worked, review)] == ["verified", "verified"]
        assert review.prompt["template"] == "review-work"
        assert worked.workspace != review.workspace
        assert not Path(str(review.workspace)).exists()
        assert (await last_verdict(loop)).commit == loop.git("rev-parse", "refs/harness/one/sealed")
        metrics = json.loads((loop.parts.home.session(worked.id) / "metrics.json").read_text())
        assert [(gate["name"], gate["verdict"], gate["proves"]) for gate in metrics["gates"]][-1] == (
            "review",
            "passed",
            False,
        )


async def test_the_evidence_has_the_review_and_finds_out_if_it_is_changed(tmp_path: Path) -> None:
    async with reviewed(tmp_path) as loop:
        await loop.add("one", reviews=[read(APPROVE)])
        await loop.run(once=True)
        folder = loop.parts.home.evidence / "one"
        facts = json.loads((folder / "evidence.json").read_text())
        (run,) = facts["gates"][-1]["runs"]
        assert (facts["gates"][-1]["gate"], run["on"], run["commit"]) == ("review", "seal", facts["seal"])
        assert [session["role"] for session in facts["sessions"]] == ["work", "review"]
        asked = Caller(loop.parts.home)
        assert (await asyncio.to_thread(asked, "evidence", "one")).code == 0
        (folder / run["log"]).write_text("verdict: findings\n")
        assert (await asyncio.to_thread(asked, "evidence", "one")).code == 1


async def test_findings_go_back_to_the_work_uncounted_and_the_new_seal_is_read_anew(
    tmp_path: Path,
) -> None:
    async with reviewed(tmp_path) as loop:
        overheard = Overheard(loop)
        await loop.add("one", *CHANGES, reviews=[read(OBJECT), read(APPROVE)])
        await loop.run(drain=True)
        item = await loop.item("one")
        assert (item.outcome, item.attempts) == ("verified", 0)
        worked, first, mended, second = await loop.sessions("one")
        assert [row.role.value for row in (worked, first, mended, second)] == ["work", "review", "work", "review"]
        assert mended.parent == worked.id
        assert second.claude_session_id not in {first.claude_session_id, worked.claude_session_id}
        attempt, _ = await loop.parts.books(lambda s: s.attempts("one"))
        assert (attempt.ending, attempt.counted) == ("review_findings", False)
        assert attempt.evidence.splitlines()[0] == "- major one.txt:1: it says one twice"
        _, told, mending, again = overheard.prompts
        assert "This is review" not in told
        assert "it says one twice" in mending
        assert "This is review 2" in again
        assert "it says one twice" in again
        assert loop.git("show", "main:one.txt") == "line\nline"
        assert proofs(tmp_path) == 2


async def test_after_the_rounds_a_person_is_asked_who_sees_the_findings_and_may_take_the_work(tmp_path: Path) -> None:
    async with reviewed(tmp_path, rounds=1) as loop:
        await loop.add("one", *CHANGES, reviews=[read(OBJECT)])
        await loop.run(drain=True)
        item = await loop.item("one")
        assert (item.state, item.attempts) == ("waiting", 0)
        assert len(await reviews(loop)) == 2
        told = Caller(loop.parts.home)("why", "one").out
        assert "after 1 rounds of mending" in told
        assert "major one.txt:1: it says one twice" in told
        await loop.parts.integrator.apply("one")
        assert (await loop.item("one")).state == "done"
        assert loop.git("show", "main:one.txt") == "line\nline"


async def test_an_item_that_is_sent_back_goes_on_in_its_conversation_and_the_dossier_has_the_findings(
    tmp_path: Path,
) -> None:
    async with reviewed(tmp_path, rounds=0) as loop:
        await loop.add("one", *CHANGES, reviews=[read(OBJECT)])
        await loop.run(drain=True)
        item = await loop.item("one")
        assert (item.state, item.continuation and item.continuation.mode) == ("waiting", "session")
        await loop.parts.books(lambda s: s.move("one", WorkState.PARKED, "not now", actor="ada", now=loop.now))
        shelf: list[str] = []
        records = SessionFiles(loop.parts.home.root)
        keep = lambda _item, _document, text: shelf.append(text)  # noqa: E731 - a shelf of one
        await Dossiers(loop.parts.books, loop.parts.clock, loop.parts.home, records, keep).write(await loop.item("one"))
        assert "it says one twice" in shelf[0]


@pytest.mark.parametrize(
    "silent",
    [
        [{"complete": "looks good"}, {"complete": "really"}],
        read("Looks good to me.\n", {"complete": "once"}),
        read("verdict: approve\n\n## Findings\n\n- blocker one.txt: it is empty\n", {"complete": "once"}),
        [{"blocked": "no compiler"}],
        [{"say": "hm"}],
        [{"crash": True}],
        [{"exit": "refusal"}],
    ],
    ids=["no document", "prose", "contradiction", "blocked", "nothing", "crash", "refusal"],
)
async def test_a_review_without_a_verdict_is_tried_once_more_in_the_attempt(tmp_path: Path, silent: list[Step]) -> None:
    async with reviewed(tmp_path) as loop:
        await loop.add("one", reviews=[silent, read(APPROVE)])
        await loop.run(once=True)
        item = await loop.item("one")
        assert (item.outcome, item.attempts, item.fence) == ("verified", 0, 1)
        assert len(await reviews(loop)) == 2
        assert loop.heard.kinds().count("review.silent") == 1
        assert proofs(tmp_path) == 1


async def test_work_that_nobody_could_review_is_never_integrated_and_costs_no_attempt(tmp_path: Path) -> None:
    async with reviewed(tmp_path) as loop:
        await loop.add("one", reviews=[read("Fine.\n", {"complete": "once"})])
        before = loop.git("rev-parse", "main")
        await loop.run(drain=True)
        item = await loop.item("one")
        assert (item.state, item.attempts, item.rescues) == ("parked", 0, 3)
        assert "gave no verdict" in item.reason
        assert loop.git("rev-parse", "main") == before
        assert (len(await reviews(loop)), len(await loop.sessions("one"))) == (6, 7)
        assert proofs(tmp_path) == 1
        assert "verdict: approve" in Caller(loop.parts.home)("why", "one").out


async def test_a_question_of_the_reviewer_is_put_to_a_person_and_the_work_is_kept(tmp_path: Path) -> None:
    async with reviewed(tmp_path) as loop:
        await loop.add("one", reviews=[[{"ask": {"question": "may it say one?", "options": ["yes", "no"]}}]])
        await loop.run(drain=True)
        item = await loop.item("one")
        assert (item.state, item.attempts) == ("waiting", 0)
        assert "the reviewer asks: may it say one?" in item.reason
        await loop.parts.integrator.apply("one")
        assert loop.git("show", "main:one.txt") == "one"


async def test_the_workspace_of_a_review_is_nobodys_while_it_runs_and_swept_up_if_it_was_left(tmp_path: Path) -> None:
    async with reviewed(tmp_path) as loop:
        plan = loop.parts.planner.plan(WorkItem("one", "one"))
        room = await loop.parts.workspaces.prepare(plan.repo, "ses_0123456789ab", commit=loop.git("rev-parse", "main"))
        (room.path / "notes.txt").write_text("read so far\n")
        wanted = Housekeeper(loop.parts.books, loop.parts.clock, loop.parts.state, loop.parts.workspaces)
        loop.parts.state.rooms.add(room.item)
        await wanted.tick()
        assert room.path.is_dir()
        loop.parts.state.rooms.clear()
        await wanted.tick()
        assert not room.path.exists()


async def test_a_limit_in_a_review_pauses_the_account_and_the_seal_is_read_afterwards(tmp_path: Path) -> None:
    async with reviewed(tmp_path) as loop:
        await loop.add("one", reviews=[[{"exit": "usage_limit"}], read(APPROVE)])
        await loop.run(once=True)
        assert [pause.scope for pause in await loop.pauses()] == ["credential"]
        item = await loop.item("one")
        assert (item.state, item.attempts, item.continuation and item.continuation.mode) == ("ready", 0, "seal")
        await loop.parts.books(lambda s: s.close_pause("credential", None, "test", loop.now))
        await loop.run(drain=True)
        assert await loop.outcomes("one") == ["verified"]
        assert [row.role.value for row in await loop.sessions("one")] == ["work", "review", "review"]
        assert proofs(tmp_path) == 1


async def test_a_pause_ends_the_review_and_later_it_is_played_anew_without_the_gates(tmp_path: Path) -> None:
    async with reviewed(tmp_path) as loop:
        await loop.add("one", reviews=[[{"hang": True}], read(APPROVE)])
        running = asyncio.create_task(loop.run(max_iterations=1))
        await loop.until("session.opened", 2)
        loop.parts.home.interrupt_file.write_text("wait")
        await loop.until("item.settled")
        item = await loop.item("one")
        assert (item.attempts, item.continuation and item.continuation.mode) == (0, "seal")
        loop.parts.home.interrupt_file.unlink()
        await running
        assert await loop.outcomes("one") == ["verified"]
        assert [row.outcome for row in await reviews(loop)] == ["interrupted", "verified"]
        assert proofs(tmp_path) == 1


async def test_a_branch_that_moves_during_the_review_means_another_proof_but_no_other_review(tmp_path: Path) -> None:
    async with reviewed(tmp_path) as loop:
        await loop.add("one", reviews=[read(APPROVE, moves(tmp_path, "o@example.org"))])
        await loop.run(once=True)
        assert await loop.outcomes("one") == ["verified"]
        assert "moved" in loop.git("log", "--format=%s", "main")
        assert loop.git("show", "main:one.txt") == "one"
        assert (proofs(tmp_path), len(await reviews(loop))) == (2, 1)


async def test_a_reviewer_that_moves_the_branch_itself_is_put_to_a_person(tmp_path: Path) -> None:
    async with reviewed(tmp_path) as loop:
        await loop.add("one", reviews=[read(APPROVE, moves(tmp_path))])
        await loop.run(drain=True)
        item = await loop.item("one")
        assert (item.state, item.attempts) == ("waiting", 0)
        assert f"session {(await reviews(loop))[0].id} moved" in item.reason
        assert "one.txt" not in loop.git("ls-tree", "--name-only", "main")


async def test_what_is_red_is_not_reviewed(tmp_path: Path) -> None:
    async with reviewed(tmp_path, gate="test ! -e one.txt") as loop:
        await loop.add("one", max_attempts=1)
        await loop.run(drain=True)
        assert (await loop.item("one")).state == "parked"
        assert await reviews(loop) == []


async def test_a_review_takes_a_slot_as_any_session_does(tmp_path: Path) -> None:
    async with reviewed(tmp_path) as loop:
        await loop.add("one", reviews=[read(APPROVE, {"sleep": 0.3})])
        await loop.add("two", reviews=[read(APPROVE)])
        await loop.run(drain=True)
        (review,) = await reviews(loop)
        second = (await loop.sessions("two"))[0]
        assert review.ended_at is not None
        assert second.started_at is not None
        assert second.started_at >= review.ended_at


def test_a_loop_that_is_killed_in_a_review_goes_on_from_the_seal(tmp_path: Path) -> None:
    kinds, agents = {"default": {"review": {}}}, {"default": {"type": "scripted"}}
    gate = f"echo run >> {tmp_path}/proofs"
    with Rehearsal(sessions()) as api, ExitStack() as ends:
        place = Yard(tmp_path, api)
        make_home(place.home.root, make_repository(place.repository), gate=gate, kinds=kinds, agents=agents)
        ends.callback(place.clear)
        place.add("one", script=list(work("one")), reviews=[[{"hang": True}]])
        loop = place.start()
        until(lambda: place.home.database.exists() and len(place.sessions()) == 2, what="the review")
        room = Path(str(place.sessions()[1].workspace))
        place.run("worktree", "prune")
        assert room.is_dir(), "a workspace that a reviewer reads in was taken away"
        loop.signal(signal.SIGKILL)
        loop.ended()
        place.run("queue", "show", "one")
        with closing(sqlite3.connect(place.home.database)) as database:
            extra = json.dumps({"script": [], "reviews": [read(APPROVE)]})
            database.execute("UPDATE items SET extra = ?", (extra,))
            database.commit()
        status, said = place.run("run", "--drain")
        assert status == 0, said
        rows = place.sessions()
        assert [(row.role.value, row.status.value) for row in rows] == [
            ("work", "completed"),
            ("review", "killed"),
            ("review", "completed"),
        ]
        assert place.git("rev-list", "--count", "main") == "2"
        assert proofs(tmp_path) == 1
        assert place.item("one").attempts == 0
