"""The review of proved work: a second session of the attempt reads it before it is integrated (architecture 7.11).

    sealed ─► gates green ─► review ─┬─ approves ──► integrated
                                     ├─ findings ──► back to the conversation; after `rounds` times to a person
                                     └─ no verdict ► once more; then the attempt ends `unreviewed`, its seal kept

The reviewer has a workspace of its own that stands at the seal; what it changes there is saved as any session's work
is, and never sealed. Its verdict is tied to the seal: another seal is read anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from harness.engine.desk import Expectation, LoopDesk
from harness.engine.plan import Plan, PromptRequest, Proven, ReviewPlan, ToReview, asked
from harness.engine.preparing import AttemptTools, Preparation
from harness.engine.recalling import BEGUN
from harness.engine.said import said
from harness.engine.session import SessionResult, SessionRunner
from harness.engine.trespass import recorded
from harness.model.brief import Brief
from harness.model.errors import HarnessError, StoreError
from harness.model.journal import AttemptRow, Entry
from harness.model.outcome import ENDINGS, Asked, Cause, Failed, Outcome
from harness.model.review import REVIEW, Review, Unreadable, read_review
from harness.model.session import Role, SessionRow, new_session_id
from harness.model.verdict import FAILED, PASSED, GateRun, Verdict
from harness.model.work import Lease, Phase
from harness.ports import Prompt, Seal, Workspace

TRIES = 2
DOCUMENT = "result.md"
FINDINGS = "review_findings"
_NOT_THE_REVIEWERS = frozenset({Cause.LIMIT, Cause.API, Cause.AUTH, Cause.CONFIG, Cause.RESOURCE, Cause.PERMANENT})
"""Causes that another try at once would meet as well: the attempt ends with them, and begins at the seal again."""


@dataclass(frozen=True, slots=True)
class Silent:
    """A review that gave no verdict, and why."""

    reason: str


class Told(Protocol):
    """What the attempt settles: the sessions of its reviews, and folders that go with it."""

    reviews: list[SessionRow]
    folders: list[Path]


@dataclass(slots=True)
class Reviewing:
    """Reads one piece of proved work. `phase` tells the attempt's task whether it may be cancelled now."""

    tools: AttemptTools
    lease: Lease
    plan: Plan
    iteration: int
    phase: Callable[[Phase], None]
    told: Told

    async def read(self, seal: Seal, proven: Proven) -> Proven | Outcome:
        """The work with its approval; else where it goes instead. Never raises for what a reviewer does."""
        if proven.review is not None:
            return proven
        history = await self.tools.session.books(lambda s: s.attempts(self.lease.item.id))
        await self._begin(seal, proven)
        verdict = await self._verdict(seal, history)
        if isinstance(verdict, Asked):
            await self.tools.integrator.shelve(self.plan, self.lease.item.id, proven)
        if not isinstance(verdict, Verdict):
            return verdict
        judged = replace(proven, review=verdict)
        await self._record(judged)
        return judged if verdict.verdict == PASSED else await self._objection(judged, verdict, history)

    async def _begin(self, seal: Seal, proven: Proven) -> None:
        """What was proved is on record, and its commit safe from git's clean-up, before a session takes its time."""
        await self.tools.integrator.keep_proved(self.plan, self.lease.item.id, proven)
        await self._record(proven)
        data = {"seal": seal.commit, "tip": proven.tip, "merged": proven.merged, "fence": self.lease.fence}
        await self._note(BEGUN, None, **data)

    async def _record(self, proven: Proven) -> None:
        now, verdicts = self.tools.session.clock.now(), list(proven.verdicts)
        await self.tools.session.books(lambda s: s.phase(self.lease, Phase.PROVING, now, verdicts=verdicts))

    async def _objection(self, proven: Proven, verdict: Verdict, history: Sequence[AttemptRow]) -> Outcome:
        """Findings go back to the agent, `rounds` times; then a person decides what they are worth."""
        rounds = sum(attempt.ending == FINDINGS for attempt in history)
        if rounds < self._review.rounds:
            return Failed(FINDINGS, verdict.tail)
        await self.tools.integrator.shelve(self.plan, self.lease.item.id, proven)
        times = f"after {rounds} rounds of mending" if rounds else "and the kind allows no round of mending"
        return asked(self.lease.item.id, f"the review has findings, {times}:\n{verdict.tail}")

    @property
    def _review(self) -> ReviewPlan:
        assert self.plan.review is not None
        return self.plan.review

    async def _verdict(self, seal: Seal, history: Sequence[AttemptRow]) -> Verdict | Outcome:
        """A review without a verdict is said and tried once more; never taken for a yes, nor for the agent's fault."""
        silent = Silent("")
        for _ in range(TRIES):
            found = await self._once(seal, history)
            if not isinstance(found, Silent):
                return found
            silent = found
        return Failed("unreviewed", silent.reason)

    async def _once(self, seal: Seal, history: Sequence[AttemptRow]) -> Verdict | Outcome | Silent:
        review = self._review
        plan = replace(
            self.plan, agent=review.agent, limits=review.limits, options=review.options, expects="document", push=False
        )
        preparation = Preparation(self.tools, self.lease, plan, None, history)
        session = new_session_id()
        async with self._room(seal, session) as workspace:
            await preparation.set_up(workspace)
            prompt = await self._prompt(preparation, seal, session, history)
            brief = replace(preparation.brief(workspace, session, prompt), role=Role.REVIEW)
            self.told.folders += [brief.paths.home, brief.paths.tmp]
            row = replace(preparation.row(brief, prompt, self.iteration), role=Role.REVIEW)
            result = await self._run(brief, row, workspace)
            document = await self.tools.session.workspaces.document(workspace, brief.paths.folder / DOCUMENT)
        found = self._judged(result, seal, document)
        moved = await self.tools.session.books(lambda s: recorded(s, session))
        if moved and isinstance(found, Verdict):
            found = asked(self.lease.item.id, moved)
        await self._tell(result.row, found)
        return found

    @asynccontextmanager
    async def _room(self, seal: Seal, session: str) -> AsyncIterator[Workspace]:
        """A workspace at the seal for one session. What cannot be removed is said; the housekeeper tries again."""
        tools = self.tools.session
        tools.state.rooms.add(session)
        try:
            workspace = await tools.workspaces.prepare(self.plan.repo, session, commit=seal.commit)
            try:
                yield workspace
            finally:
                try:
                    await tools.workspaces.remove(workspace)
                except HarnessError as exc:
                    if isinstance(exc, StoreError):
                        raise
                    await self._note("workspace.left", session, reason=exc.message)
        finally:
            tools.state.rooms.discard(session)

    async def _prompt(
        self, preparation: Preparation, seal: Seal, session: str, history: Sequence[AttemptRow]
    ) -> Prompt:
        """The guides are those of the base: what the work itself says there binds no reviewer."""
        before = [each for attempt in history for each in attempt.verdicts if _objected(each)]
        to_read = ToReview(
            seal.commit,
            seal.base,
            await self.tools.integrator.describe(self.plan, seal),
            len(before) + 1,
            str(before[-1]["tail"]) if before else "",
        )
        seconds = preparation.plan.limits.session_timeout_seconds
        request = PromptRequest(
            preparation.plan,
            self.lease.item,
            session,
            self.iteration,
            self.tools.session.clock.now() + timedelta(seconds=seconds),
            guides=await preparation.guides(seal.base),
            review=to_read,
        )
        return self.tools.composer.compose(request)

    async def _run(self, brief: Brief, row: SessionRow, workspace: Workspace) -> SessionResult:
        tools = self.tools.session
        expectation = Expectation(
            "document", lambda: tools.workspaces.state(workspace), lambda: self._fault(workspace, brief)
        )
        desk = LoopDesk(self.lease, brief.session, tools.books, tools.clock, tools.state.actor, expectation)
        runner = SessionRunner(tools, self.lease, brief, desk, workspace)
        watch, item = self.tools.trespass, self.lease.item.id
        seen = await watch.before(self.plan, item) if watch is not None else None
        self.phase(Phase.RUNNING)
        try:
            result = await runner.run(self._review.agent, row)
        except BaseException:
            if (left := runner.abandoned(tools.clock.now())) is not None:
                self.told.reviews.append(left)
            raise
        finally:
            self.phase(Phase.PROVING)
        self.told.reviews.append(result.row)
        if watch is not None and seen is not None:
            committer = brief.environment.get("GIT_COMMITTER_EMAIL", "")
            await watch.after(self.plan, item, brief.session, committer, seen)
        return result

    async def _fault(self, workspace: Workspace, brief: Brief) -> str:
        """What is wrong with the document as it stands, told while the reviewer can still mend it."""
        document = await self.tools.session.workspaces.document(workspace, brief.paths.folder / DOCUMENT)
        found = _read(document)
        return found.reason if isinstance(found, Silent) else ""

    def _judged(self, result: SessionResult, seal: Seal, document: Path | None) -> Verdict | Outcome | Silent:
        if result.question is not None:
            return asked(self.lease.item.id, f"the reviewer asks: {result.question.question}")
        if result.claim is not None and result.claim.status == "done":
            review = _read(document)
            if isinstance(review, Silent) or document is None:
                return review if isinstance(review, Silent) else Silent("there is no result.md")
            return _verdict_of(review, seal.commit, document, result.row)
        if result.claim is not None:
            return Silent(f"the reviewer says: {result.claim.summary}")
        outcome = said(result)
        if isinstance(outcome, Failed) and ENDINGS[outcome.ending].cause not in _NOT_THE_REVIEWERS:
            return Silent(f"{outcome.ending}: {outcome.evidence or ENDINGS[outcome.ending].sentence}")
        assert outcome is not None  # None is a claim of done, and that is judged above
        return outcome

    async def _tell(self, row: SessionRow, found: Verdict | Outcome | Silent) -> None:
        match found:
            case Verdict(verdict=verdict, tail=tail):
                kind = "review.approved" if verdict == PASSED else "review.objected"
                await self._note(kind, row.id, findings=tail.splitlines()[:20])
            case Silent(reason=reason):
                await self._note("review.silent", row.id, reason=reason[:2000])

    async def _note(self, kind: str, session: str | None, **data: object) -> None:
        tools = self.tools.session
        entry = Entry(tools.clock.now(), kind, tools.state.actor, self.lease.item.id, session, data)
        await tools.books(lambda s: s.note(entry))


def _objected(stored: Mapping[str, Any]) -> bool:
    return (stored.get("gate"), stored.get("verdict")) == (REVIEW, FAILED)


def _read(document: Path | None) -> Review | Silent:
    if document is None:
        return Silent("there is no result.md at the top of the workspace")
    try:
        return read_review(document.read_text(encoding="utf-8", errors="replace"))
    except Unreadable as exc:
        return Silent(f"result.md gives no verdict: {exc}")


def _verdict_of(review: Review, seal: str, document: Path, row: SessionRow) -> Verdict:
    """As a gate's: it can object, and proves nothing. Its log is the document."""
    seconds = float(row.metrics.get("wall_seconds") or 0.0)
    sha256 = hashlib.sha256(document.read_bytes()).hexdigest()
    run = GateRun("seal", seal, 0 if review.approved else 1, seconds, str(document), sha256)
    word = PASSED if review.approved else FAILED
    return Verdict(REVIEW, word, seconds, str(document), review.told(), seal, proves=False, runs=(run,))
