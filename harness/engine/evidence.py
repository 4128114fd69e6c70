"""What a dead loop left of an attempt, and which outcome that is: from journal, session row and git, never by guessing.

its work was being proved ──────► lost (after a reboot: interrupted): prove it again, no session
agent said done, work committed ─► seal it, prove it, no session
agent asked, or is blocked ──────► a person is asked
session had ended, not settled ──► its own ending
a person had handed it in ───────► it stays with that person
else ────────────────────────────► lost (after a reboot: interrupted): the conversation goes on
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from harness.engine.context import Remains, preserved
from harness.engine.entries import entries
from harness.engine.plan import Meter, Plan, Planner
from harness.engine.state import LoopState
from harness.model.brief import Claim, Question
from harness.model.errors import GitError, HarnessError, StoreError
from harness.model.home import Home
from harness.model.journal import Entry
from harness.model.outcome import ENDINGS, Asked, Claimed, Failed, Interrupted, Outcome
from harness.model.session import FINAL, SessionRow, SessionStatus
from harness.model.work import Continuation, Phase
from harness.ports import Autosave, Books, Clock, Orphan, Processes, Records, Store, Workspace, Workspaces

CUT_OFF = "cut off while it was proved; hand it in again"
_PROOF = (Phase.PROVING, Phase.INTEGRATING)


@dataclass(frozen=True, slots=True)
class Words:
    """What the agent said of its work and the Desk accepted, as the journal has it."""

    claim: Claim | None = None
    question: Question | None = None
    progress: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        return self.claim is not None and self.claim.status == "done"

    @property
    def settled(self) -> bool:
        return self.claim is not None or self.question is not None


def words(store: Store, session: str) -> Words:
    """Everything a session said, oldest first; the last claim and question count."""
    said = Words()
    for entry in entries(store, session=session):
        said = _heard(said, entry)
    return said


def _heard(said: Words, entry: Entry) -> Words:
    match entry.kind:
        case "session.claimed":
            return replace(said, claim=Claim(str(entry.data["status"]), str(entry.data["summary"])))
        case "session.asked":
            options = tuple(str(each) for each in entry.data.get("options") or ())
            return replace(said, question=Question(str(entry.data["question"]), options))
        case "session.progress":
            return replace(said, progress=(*said.progress, str(entry.data["text"])))
    return said


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the attempt, where its item goes on, and the ref its work was saved under."""

    outcome: Outcome
    work: Continuation | None = None
    wip: str | None = None


@dataclass(slots=True)
class EvidenceTools:
    books: Books
    clock: Clock
    state: LoopState
    processes: Processes
    workspaces: Workspaces
    planner: Planner
    records: Records
    meter: Meter
    home: Home


class Evidence:
    """Reads one orphan. Saves its workspace before anything else touches it; leaves settling to the caller."""

    def __init__(self, tools: EvidenceTools, orphan: Orphan, session: SessionRow | None, said: Words) -> None:
        self._tools = tools
        self._orphan = orphan
        self._item = orphan.lease.item
        self._session = session
        self._said = said
        self._plan: Plan | None = None
        self._workspace: Workspace | None = None
        self._wip: Autosave | None = None

    async def read(self) -> Found:
        if self._session is None:
            return self._without_session()
        try:
            await self._keep(self._session)
        except HarnessError as exc:
            if isinstance(exc, StoreError):
                raise
            await self._note("session.unsaved", exc.message)
        found = await self._finding(self._session)
        return replace(found, wip=self._wip.ref if self._wip else None)

    def _without_session(self) -> Found:
        """Cut off before its session, or while what an earlier one had made was proved, which needs none."""
        work = self._item.continuation
        if self._item.by_hand:
            return Found(Interrupted(CUT_OFF, "operator"), work)
        if work is not None and self._orphan.attempt.phase in _PROOF:
            return self._cut_off(work)
        return Found(Interrupted("the loop ended before a session began", "loop"), work)

    async def _keep(self, session: SessionRow) -> None:
        """The workspace under a ref, and the context file that a killed session could not leave (H44)."""
        base = self._orphan.attempt.base
        if base is None:
            return
        self._plan = self._tools.planner.plan(self._item)
        self._workspace = await self._tools.workspaces.reopen(self._plan.repo, self._item.id, base)
        if self._workspace is None:
            return
        self._wip = await self._tools.workspaces.autosave(self._workspace, session.id)
        if self._tools.records.read_context(session.id) is None:
            await self._preserve(session, self._workspace)

    async def _preserve(self, session: SessionRow, workspace: Workspace) -> None:
        left = Remains(
            workspace,
            await self._tools.workspaces.state(workspace),
            await asyncio.to_thread(self._tools.meter.context, session),
            self._said.progress,
            self._wip.ref if self._wip else None,
            self._orphan.session.doing if self._orphan.session else None,
        )
        self._tools.records.context(session.id, preserved(session, left))

    async def _finding(self, session: SessionRow) -> Found:
        attempt = self._orphan.attempt
        if attempt.phase in _PROOF:
            return self._cut_off(self._sealed(session, attempt.seal))
        if self._said.done and (landed := await self._landed(session)) is not None:
            return landed
        if self._said.question is not None:
            return Found(Asked(self._said.question.question, self._said.question.options), self._goes_on(session))
        if self._said.claim is not None and not self._said.done:
            return Found(Asked(self._said.claim.summary, (), "blocked_work"), self._goes_on(session))
        return self._ended(session) or self._cut_off(self._goes_on(session))

    def _ended(self, session: SessionRow) -> Found | None:
        """A session that had come to its end by itself, only unsettled."""
        before = self._orphan.session
        if before is None or before.status not in FINAL:
            return None
        if before.status is SessionStatus.INTERRUPTED:
            return Found(Interrupted("the loop ended before it was settled", "loop"), self._goes_on(session))
        if before.ending is None or before.ending not in ENDINGS:
            return None
        return Found(Failed(before.ending, "its loop ended before this was settled"), self._goes_on(session))

    def _cut_off(self, work: Continuation) -> Found:
        """The loop died with it. After a reboot nobody killed anybody; else the item is under suspicion (poison)."""
        if self._tools.processes.rebooted(self._orphan.boot):
            return Found(Interrupted("the machine was started again", "loop"), work)
        doing = "its work was being proved" if work.mode == "seal" else f"session {work.session} ran"
        return Found(Failed("lost", f"the loop ended while {doing}"), work)

    async def _landed(self, session: SessionRow) -> Found | None:
        """The agent had said done: what it claims is taken on without another session, if it is there."""
        if self._plan is None or self._workspace is None:
            return None
        said = Interrupted("the loop ended after the agent had said done", "loop")
        if self._plan.expects == "none":
            return Found(Claimed(None))
        if self._plan.expects == "document":
            target = self._tools.home.session(session.id) / "result.md"
            document = await self._tools.workspaces.document(self._workspace, target)
            return Found(said, self._sealed(session, None)) if document else None
        state = await self._tools.workspaces.state(self._workspace)
        if state.dirty or not state.commits:
            return None
        try:
            ours = (("Harness-Item", self._item.id), ("Harness-Session", session.id))
            trailers = (*self._plan.trailers, *ours, ("Harness-Actor", self._tools.state.actor))
            seal = await self._tools.workspaces.seal(self._workspace, trailers, self._plan.prefix)
        except GitError as exc:
            await self._note("session.unsealed", exc.message)
            return None
        return Found(said, self._sealed(session, seal.commit))

    def _sealed(self, session: SessionRow, seal: str | None) -> Continuation:
        """Mode `seal` without a seal: the document in the session's folder is judged on the base."""
        reason = "the loop ended before the work was proved"
        return Continuation("seal", reason, session.id, seal=seal, base=self._orphan.attempt.base)

    def _goes_on(self, session: SessionRow) -> Continuation:
        return Continuation(
            "session",
            session.ending or "lost",
            session.id,
            session.claude_session_id,
            session.workspace,
            self._wip.ref if self._wip else None,
            base=self._orphan.attempt.base,
        )

    async def _note(self, kind: str, reason: str) -> None:
        session = self._session.id if self._session else None
        entry = Entry(
            self._tools.clock.now(), kind, self._tools.state.actor, self._item.id, session, {"reason": reason}
        )
        await self._tools.books(lambda s: s.note(entry))
