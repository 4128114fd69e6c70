"""Before a session: its workspace, the set-up of that, its prompt, and the brief with every path it may use."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from harness.engine.integrator import Integrator
from harness.engine.plan import Composer, Handover, Plan, Planner, PromptRequest, Surroundings, handover_of
from harness.engine.session import SessionTools
from harness.engine.settler import Settler
from harness.engine.trespass import Trespass
from harness.model import permission
from harness.model.brief import Brief, Paths
from harness.model.decision import Decision
from harness.model.errors import HarnessError, Refused
from harness.model.home import Home
from harness.model.journal import AttemptRow
from harness.model.session import SessionRow, SessionStatus
from harness.model.work import Continuation, Lease
from harness.ports import Prompt, Workspace

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
    trespass: Trespass | None = None


class SetupFailed(HarnessError):
    """A set-up command of the repository failed; the message is the end of what it said."""

    code = "setup"


@dataclass(slots=True)
class Preparation:
    """What one attempt needs before its session begins. `history` are the item's earlier attempts, `decisions` its
    questions to persons, both oldest first.
    """

    tools: AttemptTools
    lease: Lease
    plan: Plan
    goes_on: Continuation | None
    history: Sequence[AttemptRow]
    decisions: Sequence[Decision] = ()

    @property
    def conflicted(self) -> bool:
        """Whether the attempt right before this one ended in a conflict."""
        return any(a.ending == "conflict" and a.fence == self.lease.fence - 1 for a in self.history)

    @property
    def resumes(self) -> bool:
        return self.goes_on is not None and self.goes_on.mode == "session"

    async def workspace(self) -> Workspace:
        """As it was left, or made anew. After a conflict it waits until what is being integrated is on the branch:
        begun a moment earlier, the work would conflict with that as well.
        """
        item, plan, goes_on = self.lease.item, self.plan, self.goes_on
        spaces = self.tools.session.workspaces
        if goes_on is not None and goes_on.base:
            kept = await spaces.reopen(plan.repo, item.id, goes_on.base)
            if kept is not None:
                return kept
        wip_ref = goes_on.wip_ref if goes_on else None
        async with self.tools.integrator.turn(plan.repo.name) if self.conflicted else nullcontext():
            return await spaces.prepare(plan.repo, item.id, branch=plan.branch, wip_ref=wip_ref)

    async def set_up(self, workspace: Workspace) -> None:
        """Files of the checkout, then the repository's set-up commands: once their inputs have changed where it names
        any, else whenever no session is resumed. Raises SetupFailed.
        """
        spaces, inputs = self.tools.session.workspaces, self.plan.outfit.inputs
        if self.plan.outfit.include:
            await self._equip(workspace)
        if not self.plan.setup or (self.resumes and not inputs):
            return
        if inputs and not await spaces.setup_due(workspace, self.plan.setup, inputs):
            return
        log = self.tools.home.state / "logs" / "commands" / f"setup-{self.plan.repo.name}.log"
        mark = f"set_{self.lease.item.id}"
        broken = await self.tools.surroundings.prepare(self.plan, workspace.path, mark, log)
        if broken is not None:
            raise SetupFailed(broken)
        if inputs:
            await spaces.setup_done(workspace, self.plan.setup, inputs)

    async def _equip(self, workspace: Workspace) -> None:
        try:
            await self.tools.session.workspaces.equip(workspace, self.plan.outfit.include)
        except Refused as exc:
            raise SetupFailed(f"{exc.message}: {exc.hint}") from exc

    async def prompt(self, workspace: Workspace, iteration: int) -> Callable[[str], Prompt]:
        """Makes the prompt of a session id; rendered before anything is spawned (H5)."""
        limits = self.plan.limits
        guides = await self.guides(workspace.base)
        request = PromptRequest(
            self.plan,
            self.lease.item,
            "",
            iteration,
            self.tools.session.clock.now() + timedelta(seconds=limits.session_timeout_seconds),
            history=[a for a in self.history if a.fence != self.lease.fence],
            handover=self._handover(),
            resume=self.resumes,
            conflict=self.conflicted,
            guides=guides,
        )
        return lambda session: self.tools.composer.compose(replace(request, session=session))

    def _handover(self) -> Handover | None:
        """A fresh session that takes over after a review has not heard its findings; a resumed one reads them as it
        reads of a red gate.
        """
        left = handover_of(self.goes_on, self.tools.session.records, self.decisions)
        earlier = [attempt for attempt in self.history if attempt.fence != self.lease.fence]
        if left is None or self.resumes or not earlier or earlier[-1].ending != "review_findings":
            return left
        return replace(left, findings=earlier[-1].evidence)

    async def guides(self, base: str) -> str:
        """The repository's own, of the commit that the work began at (R9)."""
        spaces = self.tools.session.workspaces
        found = [await spaces.base_file(self.plan.repo, base, name) for name in GUIDES]
        return "\n\n".join(guide for guide in found if guide)

    def brief(self, workspace: Workspace, session: str, prompt: Prompt) -> Brief:
        """Makes the folders of the session and points everything at them."""
        resumed = self.goes_on.claude_session_id if self.goes_on is not None and self.resumes else None
        paths = self._paths(workspace, session)
        for made in (paths.folder, paths.home, paths.tmp, paths.claude, paths.log.parent):
            made.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Brief(
            session=session,
            item=self.lease.item,
            prompt=prompt.text,
            paths=paths,
            environment={
                **self.tools.surroundings.agent(session, home=paths.home, tmp=paths.tmp),
                **self.tools.surroundings.equipment(self.plan, workspace.path),
            },
            limits=self.plan.limits,
            claude_session_id=resumed or str(uuid.uuid4()),
            resume=resumed is not None,
            options=self.plan.options,
            push=self.plan.push,
            permitted=permission.permitted(self.decisions),
        )

    def _paths(self, workspace: Workspace, session: str) -> Paths:
        home = self.tools.home
        folder = home.session(session)
        return Paths(
            workspace=workspace.path,
            log=home.session_log(session),
            err=home.session_log(session, ".err"),
            home=home.state / "home" / session,
            tmp=home.run_folder(self.tools.session.state.run) / "tmp" / session,
            claude=home.claude,
            folder=folder,
            lock=folder / "lock",
            record=folder / "agent-init.json",
        )

    def row(self, brief: Brief, prompt: Prompt, iteration: int) -> SessionRow:
        """The session as it stands in the store before it is spawned."""
        now = self.tools.session.clock.now()
        return SessionRow(
            id=brief.session,
            item=self.lease.item.id,
            fence=self.lease.fence,
            attempt=self.lease.item.attempts + 1,
            agent=self.plan.agent.name,
            status=SessionStatus.SPAWNING,
            iteration=iteration,
            run=self.tools.session.state.run,
            claude_session_id=brief.claude_session_id,
            parent=self.goes_on.session if self.goes_on else None,
            model=self.plan.options.get("model"),
            started_at=now,
            heartbeat=now,
            updated_at=now,
            workspace=str(brief.paths.workspace),
            transcript=str(transcript_path(brief.paths.claude, brief.paths.workspace, brief.claude_session_id)),
            prompt={"template": prompt.template, "sha256": prompt.sha256},
        )


def transcript_path(claude: Path, workspace: Path, claude_session_id: str) -> Path:
    """Where the CLI keeps the conversation: every character of the folder that is no letter or digit becomes `-`."""
    slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in str(workspace.resolve()))
    return claude / "projects" / slug / f"{claude_session_id}.jsonl"
