"""What a person hands in: the same seal, gates and integration as an agent's work, without a session (O10).

committed? ─► sealed ─► leased ─► proved and integrated ─► settled: done, or with its person as before
 refused       nothing has changed    cut off: the lease is dead, and the next one looks what has become of it
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from harness.engine.plan import Plan
from harness.engine.preparing import AttemptTools
from harness.model.errors import HarnessError, LeaseLost, Refused, StoreError
from harness.model.journal import Entry
from harness.model.outcome import Claimed, Disposition, Failed, Interrupted, Outcome
from harness.model.work import Continuation, Lease, Phase, WorkState
from harness.ports import Seal, Workspace, WorkspaceState
from harness.shielded import to_the_end

MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class HandIn:
    """`person` has the item; `workspace` is the folder that was given out."""

    tools: AttemptTools
    plan: Plan
    workspace: Workspace
    person: str

    async def seal(self, message: str | None) -> Seal | None:
        """What is to be proved; None for a kind that expects no commit. `message` commits what is uncommitted.

        Raises Refused, naming what is uncommitted or missing; then nothing has changed.
        """
        spaces, item = self.tools.session.workspaces, self.workspace.item
        state = await self._looked()
        if self.plan.expects != "commit":
            return None
        if state.dirty and message:
            await spaces.commit(self.workspace, message, self.person)
            state = await self._looked()
        self._refuse(state)
        ours = (("Harness-Item", item), ("Harness-Actor", self.person))
        return await spaces.seal(self.workspace, (*self.plan.trailers, *ours), self.plan.prefix)

    async def _looked(self) -> WorkspaceState:
        state = await self.tools.session.workspaces.state(self.workspace)
        if state.problem:
            raise Refused(state.problem, hint=f"mend the history in {self._folder}")
        if self.plan.expects == "document" and state.document is None:
            raise Refused(f"there is no result.md in {self._folder}", hint="write it at the top of that folder")
        return state

    def _refuse(self, state: WorkspaceState) -> None:
        if state.dirty:
            names = ", ".join(state.dirty[:MOST_NAMED]) + (" …" if len(state.dirty) > MOST_NAMED else "")
            hint = f"commit in {self._folder}, or ./loop queue submit {self.workspace.item} --message TEXT"
            raise Refused(f"{len(state.dirty)} uncommitted: {names}", hint=hint)
        if not state.commits:
            hint = f"./loop queue return {self.workspace.item} gives it back"
            raise Refused(f"there is no commit on top of {self.workspace.base[:12]} in {self._folder}", hint=hint)

    @property
    def _folder(self) -> str:
        return str(self.workspace.path)

    async def prove(self, lease: Lease, seal: Seal | None) -> tuple[Outcome, Disposition]:
        """Prove, integrate and settle. Raises StoreError, LeaseLost: then the lease is settled by whoever finds it."""
        try:
            outcome = await self._proved(lease, seal)
        except asyncio.CancelledError:
            outcome = Interrupted("ended before it was proved", "operator")
        except (LeaseLost, StoreError):
            raise
        except HarnessError as exc:
            outcome = Failed("fault", f"{exc.message}\n{exc.cause}".strip())
        disposition = await to_the_end(self.tools.settler.settle(lease, outcome, None, None))
        if disposition.state is WorkState.DONE:
            await self._tidy()
        return outcome, disposition

    async def _proved(self, lease: Lease, seal: Seal | None) -> Outcome:
        tools, folder = self.tools, self.tools.home.hand_in(lease.item.id, lease.fence)
        facts: dict[str, object] = {"base": self.workspace.base, "workspace": self._folder}
        facts |= {"seal": seal.commit, "commits": list(seal.commits)} if seal else {}
        now = tools.session.clock.now()
        await tools.session.books(lambda s: s.phase(lease, Phase.PROVING, now, **facts))
        if self.plan.expects == "none":
            return Claimed(None)
        if seal is None and await tools.session.workspaces.document(self.workspace, folder / "result.md") is None:
            return Failed("no_change", f"result.md is gone from {self._folder}")
        commit = seal.commit if seal else None
        goes_on = Continuation("seal", "handed in", folder.name, seal=commit, base=self.workspace.base)
        return await tools.integrator.resume(lease, self.plan, goes_on)

    async def _tidy(self) -> None:
        """The folder goes with the work; what stays is said."""
        tools, item = self.tools.session, self.workspace.item
        try:
            await tools.workspaces.remove(self.workspace)
            self.tools.home.brief(item).unlink(missing_ok=True)
        except (HarnessError, OSError) as exc:
            entry = Entry(tools.clock.now(), "workspace.left", self.person, item, data={"reason": str(exc)})
            await tools.books(lambda s: s.note(entry))
