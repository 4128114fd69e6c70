"""The story of one attempt: workspace, prompt, brief, session, seal; then it is proved, integrated and settled."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness import fs
from harness.engine.desk import Expectation, LoopDesk
from harness.engine.plan import Plan, Proven, asked
from harness.engine.preparing import AttemptTools, Preparation, SetupFailed
from harness.engine.reviewing import Reviewing
from harness.engine.said import by_operator, said
from harness.engine.session import SessionResult, SessionRunner
from harness.engine.trespass import recorded
from harness.model.errors import DiskFull, HarnessError, LeaseLost, NotFound, StoreError, TemplateError
from harness.model.journal import Entry
from harness.model.outcome import ENDINGS, Asked, Cause, Claimed, Disposition, Failed, Interrupted, Outcome, Verified
from harness.model.session import FINAL, SessionRow, new_session_id
from harness.model.work import Continuation, Lease, Phase, WorkState
from harness.ports import Seal, Workspace


@dataclass(slots=True)
class _Told:
    """What is known at the end, whatever the end was."""

    session: SessionRow | None = None
    work: Continuation | None = None
    proving: Continuation | None = None
    workspace: Workspace | None = None
    folders: list[Path] = field(default_factory=list)
    reviews: list[SessionRow] = field(default_factory=list)


class Attempt:
    """One lease to one disposition. `free_slot` is called once the agent is done: a slot is a session.

    `phase` tells whether its task may be cancelled: preparing and proving yes; a session never, nor before the start.
    """

    def __init__(self, tools: AttemptTools, lease: Lease, iteration: int, free_slot: Callable[[], None]) -> None:
        self._tools = tools
        self._lease = lease
        self._item = lease.item
        self._iteration = iteration
        self._free_slot = free_slot
        self._told = _Told(work=lease.item.continuation)
        self.phase: Phase | None = None

    async def run(self) -> Outcome:
        """Never raises for what can be an outcome; LeaseLost and StoreError are the loop's business."""
        try:
            self.phase = Phase.PREPARING
            outcome = await self._story()
        except asyncio.CancelledError:
            outcome = self._given_up()
        except (LeaseLost, StoreError) as exc:
            if not isinstance(exc, DiskFull):
                raise
            self._told.work = self._told.proving or self._told.work
            outcome = Failed("disk_full", exc.message)
        except HarnessError as exc:
            outcome = Failed(_ending_of(exc), f"{exc.message}\n{exc.cause}".strip())
        except Exception:
            outcome = Failed("fault", traceback.format_exc(limit=-6))
        await self._end(outcome)
        return outcome

    def _given_up(self) -> Outcome:
        """Cancelled before the session or after it: what there was stays, what is being proved goes on from there."""
        reason = "the loop stopped" if self._tools.session.state.stopping else "paused before its session began"
        if self._told.proving is not None:
            self._told.work = replace(self._told.proving, reason=reason)
        return Interrupted(reason, "loop")

    async def _end(self, outcome: Outcome) -> None:
        """Settled to the last file even if the loop gives us up meanwhile: a settlement is never cancelled."""
        self.phase = Phase.SETTLED
        ending = asyncio.create_task(self._settle(outcome))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending

    async def _settle(self, outcome: Outcome) -> None:
        told = self._told
        disposition = await self._tools.settler.settle(self._lease, outcome, told.session, told.work, told.reviews)
        await self._tidy(disposition)

    async def _tidy(self, disposition: Disposition) -> None:
        """What a session needed goes with it (O13), the workspace once its item is done; what stays is said."""
        try:
            for folder in self._told.folders:
                await asyncio.to_thread(fs.discard, folder, under=self._tools.home.state)
            if self._told.workspace is not None and disposition.state is WorkState.DONE:
                await self._tools.session.workspaces.remove(self._told.workspace)
        except (HarnessError, OSError) as exc:
            now = self._tools.session.clock.now()
            entry = Entry(
                now, "workspace.left", self._tools.session.state.actor, self._item.id, None, {"reason": str(exc)}
            )
            await self._tools.session.books(lambda s: s.note(entry))

    async def _story(self) -> Outcome:
        plan = self._tools.planner.plan(self._item)
        goes_on = await self._goes_on()
        if goes_on is not None and goes_on.mode == "seal":
            return await self._proved_later(plan, goes_on)
        plan.agent.warm()
        name, books = self._item.id, self._tools.session.books
        history, decisions = await books(lambda s: (s.attempts(name), s.decisions(name)))
        preparation = Preparation(self._tools, self._lease, plan, goes_on, history, decisions)
        workspace = self._told.workspace = await preparation.workspace()
        await self._phase(Phase.PREPARING, base=workspace.base, workspace=str(workspace.path))
        await preparation.set_up(workspace)
        result = await self._session(preparation, workspace)
        outcome = said(result)
        if outcome is not None:
            return outcome
        return await self._land(plan, workspace, result)

    async def _proved_later(self, plan: Plan, goes_on: Continuation) -> Outcome:
        """The session has ended under an earlier lease; only its work is still to be proved."""
        self._proving(goes_on, plan)
        await self._phase(Phase.PROVING, seal=goes_on.seal, base=goes_on.base)
        row = await self._tools.session.books(lambda s: s.session(goes_on.session or ""))
        self._told.session = row if row is not None and row.status in FINAL else None
        if goes_on.base:
            self._told.workspace = await self._tools.session.workspaces.reopen(plan.repo, self._item.id, goes_on.base)
        spoken = _conversation(self._told.session, goes_on) if self._told.session is not None else goes_on
        return await self._back_to(
            spoken,
            self._tools.integrator.resume(self._lease, plan, goes_on, lambda seal, to: self._landed(plan, seal, to)),
        )

    async def _goes_on(self) -> Continuation | None:
        """Where the item goes on. A session that was cut off before its first word left no conversation to resume."""
        goes_on = self._item.continuation
        if goes_on is None or goes_on.mode != "session" or goes_on.session is None:
            return goes_on
        before = goes_on.session
        row = await self._tools.session.books(lambda s: s.session(before))
        if row is not None and await asyncio.to_thread(self._tools.session.meter.has_conversation, row):
            return goes_on
        return replace(goes_on, mode="work", claude_session_id=None)

    async def _session(self, preparation: Preparation, workspace: Workspace) -> SessionResult:
        tools, plan = self._tools.session, preparation.plan
        session = new_session_id()
        prompt = (await preparation.prompt(workspace, self._iteration))(session)
        brief = preparation.brief(workspace, session, prompt)
        self._told.folders += [brief.paths.home, brief.paths.tmp]
        expectation = Expectation(plan.expects, lambda: tools.workspaces.state(workspace))
        desk = LoopDesk(self._lease, session, tools.books, tools.clock, tools.state.actor, expectation)
        row = preparation.row(brief, prompt, self._iteration)
        await self._phase(Phase.RUNNING)
        runner = SessionRunner(tools, self._lease, brief, desk, workspace)
        self.phase = Phase.RUNNING
        watch = self._tools.trespass
        seen = await watch.before(plan, self._item.id) if watch is not None else None
        try:
            result = await runner.run(plan.agent, row)
        except BaseException:
            self._told.session = runner.abandoned(tools.clock.now())
            raise
        self._told.session = result.row
        self._told.work = _left_behind(result, workspace)
        if watch is not None and seen is not None:
            committer = brief.environment.get("GIT_COMMITTER_EMAIL", "")
            await watch.after(plan, self._item.id, session, committer, seen)
        return result

    async def _land(self, plan: Plan, workspace: Workspace, result: SessionResult) -> Outcome:
        """The agent says done: hold that against the facts, seal, and let the next session begin."""
        spaces = self._tools.session.workspaces
        state = await spaces.state(workspace)
        folder = self._tools.home.session(result.row.id)
        if plan.expects == "document":
            document = await spaces.document(workspace, folder / "result.md")
            if document is None:
                return Failed("no_change", "no result.md at the top of the workspace")
            self._proving(replace(self._work(), mode="seal"), plan)
            return await self._tools.integrator.prove_document(self._lease, plan, workspace.base, document)
        if plan.expects == "none":
            return Claimed(None)
        if state.dirty:
            return by_operator(result) or Failed("uncommitted", "\n".join(state.dirty[:50]))
        if not state.commits:
            return Failed("no_change", state.problem or "no commit on top of the base")
        seal = await self._seal(plan, workspace, result)
        spoken = self._work()
        self._proving(replace(spoken, mode="seal", seal=seal.commit), plan)
        if plan.review is not None:
            self._told.work = self._told.proving
        return await self._back_to(spoken, self._landed(plan, seal, folder))

    async def _landed(self, plan: Plan, seal: Seal, folder: Path) -> Outcome:
        """Proved, read by a reviewer if the kind asks for one, and integrated; kept for a person if the session moved
        the branch or HEAD of the checkout itself.
        """
        moved = await self._moved()
        if not moved:
            return await self._brought(plan, seal, folder)
        outcome = await self._brought(replace(plan, integrate="never"), seal, folder)
        return asked(self._item.id, moved) if isinstance(outcome, Verified | Claimed) else outcome

    async def _moved(self) -> str:
        row = self._told.session
        if self._tools.trespass is None or row is None:
            return ""
        return await self._tools.session.books(lambda s: recorded(s, row.id))

    async def _brought(self, plan: Plan, seal: Seal, folder: Path) -> Outcome:
        integrator = self._tools.integrator
        if plan.review is None:
            return await integrator.land(self._lease, plan, seal, folder)
        proven = await integrator.prove(self._lease, plan, seal, folder)
        if not isinstance(proven, Proven):
            return proven
        reviewing = Reviewing(self._tools, self._lease, plan, self._iteration, self._set_phase, self._told)
        read = await reviewing.read(seal, proven)
        if not isinstance(read, Proven):
            return read
        self._free_slot()
        return await integrator.land(self._lease, plan, seal, folder, read)

    async def _back_to(self, spoken: Continuation, landing: Awaitable[Outcome]) -> Outcome:
        """What is wrong with the work itself, or a person decides, is told to the conversation that made it."""
        outcome = await landing
        wrong = isinstance(outcome, Failed) and ENDINGS[outcome.ending].cause in (Cause.AGENT, Cause.REVIEW)
        if wrong or isinstance(outcome, Asked):
            self._told.work = spoken
        return outcome

    def _set_phase(self, phase: Phase) -> None:
        self.phase = phase

    def _work(self) -> Continuation:
        assert self._told.work is not None
        return self._told.work

    def _proving(self, goes_on: Continuation, plan: Plan) -> None:
        """From here on no session of the work is needed, now or after a restart; one that reviews it has this slot."""
        self._told.proving = goes_on
        self.phase = Phase.PROVING
        if plan.review is None:
            self._free_slot()

    async def _seal(self, plan: Plan, workspace: Workspace, result: SessionResult) -> Seal:
        actor = self._tools.session.state.actor
        ours = (("Harness-Item", self._item.id), ("Harness-Session", result.row.id), ("Harness-Actor", actor))
        seal = await self._tools.session.workspaces.seal(workspace, (*plan.trailers, *ours), plan.prefix)
        await self._phase(Phase.PROVING, seal=seal.commit, commits=list(seal.commits))
        return seal

    async def _phase(self, phase: Phase, **facts: object) -> None:
        now = self._tools.session.clock.now()
        await self._tools.session.books(lambda s: s.phase(self._lease, phase, now, **facts))


def _left_behind(result: SessionResult, workspace: Workspace) -> Continuation:
    """Where another session goes on. A conversation that was gone said nothing: its parent's hand-over holds."""
    row = result.row
    gone = result.ending == "conversation_gone" and row.parent is not None
    return Continuation(
        mode="session",
        reason=result.ending or row.ended_by or "",
        session=row.parent if gone else row.id,
        claude_session_id=row.claude_session_id,
        workspace=str(workspace.path),
        wip_ref=result.wip.ref if result.wip else None,
        base=workspace.base,
    )


def _conversation(row: SessionRow, goes_on: Continuation) -> Continuation:
    """The conversation whose sealed work `goes_on` is."""
    ended, claude = row.ending or row.ended_by or "", row.claude_session_id
    return replace(goes_on, mode="session", reason=ended, claude_session_id=claude, workspace=row.workspace, seal=None)


def _ending_of(exc: HarnessError) -> str:
    match exc:
        case DiskFull():
            return "disk_full"
        case SetupFailed():
            return "setup"
        case TemplateError():
            return "template"
        case NotFound():
            return "repo_missing"
        case _:
            return "fault"
