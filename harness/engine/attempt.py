"""The story of one attempt: workspace, prompt, brief, session, seal; then it is proved, integrated and settled."""

from __future__ import annotations

import asyncio
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from harness import fs
from harness.engine.desk import Expectation, LoopDesk
from harness.engine.integrator import Integrator
from harness.engine.plan import Composer, Handover, Plan, Planner, PromptRequest, Surroundings
from harness.engine.session import SessionResult, SessionRunner, SessionTools, killed_from_outside
from harness.engine.settler import Settler
from harness.model.errors import DiskFull, HarnessError, LeaseLost, NotFound, StoreError, TemplateError
from harness.model.events import StopReason
from harness.model.home import Home
from harness.model.journal import Entry
from harness.model.outcome import Asked, Claimed, Disposition, Failed, Interrupted, Outcome
from harness.model.session import Brief, Paths, SessionRow, SessionStatus, new_session_id
from harness.model.work import Continuation, Lease, Phase, WorkState
from harness.ports import Prompt, Seal, Workspace

GUIDES = ("CLAUDE.md", "AGENTS.md")


@dataclass(slots=True)
class AttemptTools:
    """What every attempt of a loop works with."""

    session: SessionTools
    home: Home
    planner: Planner
    composer: Composer
    surroundings: Surroundings
    integrator: Integrator
    settler: Settler


@dataclass(slots=True)
class _Told:
    """What is known at the end, whatever the end was."""

    session: SessionRow | None = None
    work: Continuation | None = None
    proving: Continuation | None = None
    workspace: Workspace | None = None
    folders: list[Path] = field(default_factory=list)


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
        disposition = await self._tools.settler.settle(self._lease, outcome, self._told.session, self._told.work)
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
            self._proving(goes_on)
            return await self._tools.integrator.resume(self._lease, plan, goes_on)
        workspace = await self._workspace(plan, goes_on)
        prompt_of = await self._prepare(plan, workspace, goes_on)
        result = await self._session(plan, workspace, goes_on, prompt_of)
        outcome = _said(result)
        if outcome is not None:
            return outcome
        return await self._land(plan, workspace, result)

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

    async def _workspace(self, plan: Plan, goes_on: Continuation | None) -> Workspace:
        spaces = self._tools.session.workspaces
        kept = None
        if goes_on is not None and goes_on.base:
            kept = await spaces.reopen(plan.repo, self._item.id, goes_on.base)
        workspace = kept or await spaces.prepare(
            plan.repo, self._item.id, branch=plan.branch, wip_ref=goes_on.wip_ref if goes_on else None
        )
        self._told.workspace = workspace
        await self._phase(Phase.PREPARING, base=workspace.base, workspace=str(workspace.path))
        return workspace

    async def _prepare(self, plan: Plan, workspace: Workspace, goes_on: Continuation | None) -> Callable[[str], Prompt]:
        """Set-up commands in a fresh workspace; the prompt is rendered before anything is spawned (H5)."""
        resume = goes_on is not None and goes_on.mode == "session"
        if plan.setup and not resume:
            log = self._tools.home.state / "logs" / "commands" / f"setup-{plan.repo.name}.log"
            broken = await self._tools.surroundings.prepare(plan, workspace.path, f"set_{self._item.id}", log)
            if broken is not None:
                raise _SetupFailed(broken)
        history = await self._tools.session.books(lambda s: s.attempts(self._item.id))
        guides = [await self._tools.session.workspaces.base_file(plan.repo, workspace.base, g) for g in GUIDES]
        deadline = self._tools.session.clock.now() + timedelta(seconds=plan.limits.session_timeout_seconds)
        request = PromptRequest(
            plan,
            self._item,
            "",
            self._iteration,
            deadline,
            history=[a for a in history if a.fence != self._lease.fence],
            handover=self._handover(goes_on),
            resume=resume,
            conflict=bool(history)
            and any(a.ending == "conflict" and a.fence == self._lease.fence - 1 for a in history),
            guides="\n\n".join(g for g in guides if g),
        )
        return lambda session: self._tools.composer.compose(replace(request, session=session))

    def _handover(self, goes_on: Continuation | None) -> Handover | None:
        if goes_on is None or goes_on.session is None:
            return None
        kept = self._tools.session.records.read_context(goes_on.session) or {}
        return Handover(
            reason=goes_on.reason,
            progress="\n".join(kept.get("progress") or ()),
            last_texts=tuple(kept.get("last_texts") or ()),
            open_tool=kept.get("stopped_while") or "",
            diffstat=kept.get("diffstat") or "",
            wip_ref=goes_on.wip_ref or "",
        )

    async def _session(
        self, plan: Plan, workspace: Workspace, goes_on: Continuation | None, prompt_of: Callable[[str], Prompt]
    ) -> SessionResult:
        session = new_session_id()
        prompt = prompt_of(session)
        resume = goes_on is not None and goes_on.mode == "session" and goes_on.claude_session_id is not None
        claude_id = goes_on.claude_session_id if resume and goes_on else None
        brief = self._brief(plan, workspace, session, prompt, claude_id)
        desk = LoopDesk(
            self._lease,
            session,
            self._tools.session.books,
            self._tools.session.clock,
            self._tools.session.state.actor,
            Expectation(plan.expects, lambda: self._tools.session.workspaces.state(workspace)),
        )
        row = self._row(plan, workspace, brief, prompt, goes_on)
        await self._phase(Phase.RUNNING)
        runner = SessionRunner(self._tools.session, self._lease, brief, desk, workspace)
        self.phase = Phase.RUNNING
        try:
            result = await runner.run(plan.agent, row)
        except BaseException:
            self._told.session = runner.abandoned(self._tools.session.clock.now())
            raise
        self._told.session = result.row
        self._told.work = Continuation(
            mode="session",
            reason=result.ending or (result.row.ended_by or ""),
            session=session,
            claude_session_id=brief.claude_session_id,
            workspace=str(workspace.path),
            wip_ref=result.wip.ref if result.wip else None,
            base=workspace.base,
        )
        return result

    def _brief(self, plan: Plan, workspace: Workspace, session: str, prompt: Prompt, claude_id: str | None) -> Brief:
        home = self._tools.home
        folder = home.session(session)
        paths = Paths(
            workspace=workspace.path,
            log=home.session_log(session),
            err=home.session_log(session, ".err"),
            home=home.state / "home" / session,
            tmp=home.run_folder(self._tools.session.state.run) / "tmp" / session,
            claude=home.claude,
            folder=folder,
            lock=folder / "lock",
            record=folder / "agent-init.json",
        )
        for made in (folder, paths.home, paths.tmp, paths.claude, paths.log.parent):
            made.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._told.folders += [paths.home, paths.tmp]
        return Brief(
            session=session,
            item=self._item,
            prompt=prompt.text,
            paths=paths,
            environment=self._tools.surroundings.agent(session, home=paths.home, tmp=paths.tmp),
            limits=plan.limits,
            claude_session_id=claude_id or str(uuid.uuid4()),
            resume=claude_id is not None,
            options=plan.options,
            push=plan.push,
        )

    def _row(
        self, plan: Plan, workspace: Workspace, brief: Brief, prompt: Prompt, goes_on: Continuation | None
    ) -> SessionRow:
        now = self._tools.session.clock.now()
        return SessionRow(
            id=brief.session,
            item=self._item.id,
            fence=self._lease.fence,
            attempt=self._item.attempts + 1,
            agent=plan.agent.name,
            status=SessionStatus.SPAWNING,
            iteration=self._iteration,
            run=self._tools.session.state.run,
            claude_session_id=brief.claude_session_id,
            parent=goes_on.session if goes_on else None,
            model=plan.options.get("model"),
            started_at=now,
            heartbeat=now,
            updated_at=now,
            workspace=str(workspace.path),
            transcript=str(transcript_path(brief.paths.claude, workspace.path, brief.claude_session_id)),
            prompt={"template": prompt.template, "sha256": prompt.sha256},
        )

    async def _land(self, plan: Plan, workspace: Workspace, result: SessionResult) -> Outcome:
        """The agent says done: hold that against the facts, seal, and let the next session begin."""
        spaces = self._tools.session.workspaces
        state = await spaces.state(workspace)
        folder = self._tools.home.session(result.row.id)
        if plan.expects == "document":
            document = await spaces.document(workspace, folder / "result.md")
            if document is None:
                return Failed("no_change", "no result.md at the top of the workspace")
            self._proving(replace(self._work(), mode="seal"))
            return await self._tools.integrator.prove_document(self._lease, plan, workspace.base, document)
        if plan.expects == "none":
            return Claimed(None)
        if state.dirty:
            return _by_operator(result) or Failed("uncommitted", "\n".join(state.dirty[:50]))
        if not state.commits:
            return Failed("no_change", "no commit on top of the base")
        seal = await self._seal(plan, workspace, result)
        self._proving(replace(self._work(), mode="seal", seal=seal.commit))
        return await self._tools.integrator.land(self._lease, plan, seal, folder)

    def _work(self) -> Continuation:
        assert self._told.work is not None
        return self._told.work

    def _proving(self, goes_on: Continuation) -> None:
        """From here on no session is needed, now or after a restart."""
        self._told.proving = goes_on
        self.phase = Phase.PROVING
        self._free_slot()

    async def _seal(self, plan: Plan, workspace: Workspace, result: SessionResult) -> Seal:
        actor = self._tools.session.state.actor
        ours = (("Harness-Item", self._item.id), ("Harness-Session", result.row.id), ("Harness-Actor", actor))
        seal = await self._tools.session.workspaces.seal(workspace, (*plan.trailers, *ours))
        await self._phase(Phase.PROVING, seal=seal.commit, commits=list(seal.commits))
        return seal

    async def _phase(self, phase: Phase, **facts: object) -> None:
        now = self._tools.session.clock.now()
        await self._tools.session.books(lambda s: s.phase(self._lease, phase, now, **facts))


class _SetupFailed(HarnessError):
    code = "setup"


def _ending_of(exc: HarnessError) -> str:
    match exc:
        case DiskFull():
            return "disk_full"
        case _SetupFailed():
            return "setup"
        case TemplateError():
            return "template"
        case NotFound():
            return "repo_missing"
        case _:
            return "fault"


def _said(result: SessionResult) -> Outcome | None:
    """The outcome that needs no proof: interrupted, asked or failed. None when the agent says done.

    What the agent has said stands, even if it was stopped before its turn was over.
    """
    if result.question is not None:
        return Asked(result.question.question, result.question.options)
    if result.claim is not None:
        return None if result.claim.status == "done" else Asked(result.claim.summary, (), "blocked_work")
    if (interrupted := _by_operator(result)) is not None:
        return interrupted
    if result.stopped is None and killed_from_outside(result.exit) and result.exit.exit_code == 143:
        return Interrupted("ended by an operator (TERM to its pid)", "operator")
    limit = result.exit.limit
    return Failed(result.ending or "unreported", _evidence(result), limit.resets_at if limit else None)


def _by_operator(result: SessionResult) -> Interrupted | None:
    if result.stopped is not None and result.stopped.reason in (StopReason.PAUSE, StopReason.STOP):
        return Interrupted(str(result.stopped.reason), "operator")
    return None


def _evidence(result: SessionResult) -> str:
    """A few lines a person can judge by: what it was doing, what the API or the process said."""
    lines = []
    if result.stopped is not None:
        lines.append(
            f"{result.stopped.reason} after {result.stopped.silent_seconds:.0f} s of silence: {result.stopped.doing}"
        )
    left = result.exit
    lines += [text for text in (left.text, left.detail, left.stderr_tail) if text]
    return "\n".join(lines)[:4000]


def transcript_path(claude: Path, workspace: Path, claude_session_id: str) -> Path:
    """Where the CLI keeps the conversation: every character of the folder that is no letter or digit becomes `-`."""
    slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in str(workspace.resolve()))
    return claude / "projects" / slug / f"{claude_session_id}.jsonl"
