"""The workspace of an item that a person has: given out, and given back to the next session (O10)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.engine.plan import Plan, PromptRequest, handover_of
from harness.engine.preparing import AttemptTools
from harness.model.work import Continuation, WorkItem
from harness.ports import Workspace


@dataclass(frozen=True, slots=True)
class Hands:
    """Every step may be cut off and is simply done again: the item stays with its person."""

    tools: AttemptTools

    async def workspace(self, plan: Plan, item: WorkItem, actor: str) -> tuple[Workspace, str]:
        """As sessions left it, else a fresh one with what was saved; and how its set-up failed, empty if it did not.

        Raises GitError, NotFound.
        """
        spaces, goes_on = self.tools.session.workspaces, _hand(item)
        workspace, broken = await self.kept(plan, item), None
        if workspace is None:
            workspace = await spaces.prepare(plan.repo, item.id, branch=plan.branch, wip_ref=goes_on.wip_ref)
            broken = await self._set_up(plan, item, workspace)
        found = replace(goes_on, workspace=str(workspace.path), base=workspace.base)
        if found != goes_on:
            now = self.tools.session.clock.now()
            await self.tools.session.books(lambda s: s.carry(item.id, found, actor=actor, now=now))
        return workspace, broken or ""

    async def kept(self, plan: Plan, item: WorkItem) -> Workspace | None:
        """The folder as it is; None if there is none, or none of ours. It is of the base of its last session."""
        base = item.continuation.base if item.continuation is not None else None
        if base is None:
            attempts = await self.tools.session.books(lambda s: s.attempts(item.id))
            base = next((attempt.base for attempt in reversed(attempts) if attempt.base), None)
        return await self.tools.session.workspaces.reopen(plan.repo, item.id, base) if base else None

    async def _set_up(self, plan: Plan, item: WorkItem, workspace: Workspace) -> str | None:
        """Raises Refused for a file of `include` that is not there."""
        if plan.outfit.include:
            await self.tools.session.workspaces.equip(workspace, plan.outfit.include)
        if not plan.setup:
            return None
        log = self.tools.home.state / "logs" / "commands" / f"setup-{plan.repo.name}.log"
        return await self.tools.surroundings.prepare(plan, workspace.path, f"set_{item.id}", log)

    async def request(self, plan: Plan, item: WorkItem, session: str) -> PromptRequest:
        """What a session would be told, for the brief of a person: the repository's guides lie in the folder."""
        tools = self.tools.session
        history, decisions = await tools.books(lambda s: (s.attempts(item.id), s.decisions(item.id)))
        handover = handover_of(item.continuation, tools.records, decisions) if _hand(item).session else None
        if handover is not None and history:
            handover = replace(handover, reason=history[-1].sentence)
        return PromptRequest(
            plan,
            item,
            session,
            1,
            tools.clock.now(),
            history=history,
            handover=handover,
        )

    async def to_hand_in(self, plan: Plan, item: WorkItem) -> Workspace | None:
        """The folder with the base that its commits have today; None if it is gone."""
        found = await self.kept(plan, item)
        return None if found is None else await self.tools.session.workspaces.caught_up(found, plan.branch)

    async def give_back(self, plan: Plan, item: WorkItem, actor: str) -> WorkItem:
        """Saved, unassigned, ready: the next session begins on what the person left. Raises GitError, Refused."""
        tools, before = self.tools.session, _hand(item)
        workspace = await self.kept(plan, item)
        goes_on = before if workspace is None else await self._saved(plan, workspace, before)
        left = "" if workspace is None else await self._left(workspace)
        work = replace(goes_on, mode="work", claude_session_id=None, seal=None)
        work = replace(work, reason=f"{item.assigned} worked on it by hand and gave it back{left}")
        return await tools.books(lambda s: s.give_back(item.id, work, actor=actor, now=tools.clock.now()))

    async def _saved(self, plan: Plan, workspace: Workspace, goes_on: Continuation) -> Continuation:
        """Without a base, the folder is laid out anew from the save: its commits begin elsewhere by now."""
        spaces = self.tools.session.workspaces
        saved = await spaces.autosave(workspace, workspace.item)
        if saved is None:
            return replace(goes_on, base=workspace.base)
        now = await spaces.caught_up(workspace, plan.branch)
        return replace(goes_on, wip_ref=saved.ref, base=workspace.base if now.base == workspace.base else None)

    async def _left(self, workspace: Workspace) -> str:
        state = await self.tools.session.workspaces.state(workspace)
        return f": {len(state.commits)} commit(s) on {workspace.base[:12]}, {len(state.dirty)} uncommitted path(s)"


def _hand(item: WorkItem) -> Continuation:
    assert item.continuation is not None  # whoever asks has seen that a person has it
    return item.continuation
