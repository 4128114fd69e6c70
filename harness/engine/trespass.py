"""Notices what changed outside a session's own workspace while it ran, where no fence holds it (level none).

Before and after a session its repository's checkout and the other workspaces are looked at, cheaply. What a session did
cannot always be told from what a person did at the same time: a moved branch or HEAD is the session's if the reflog
names its committer, or nobody; everything else is only said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.engine.plan import Plan
from harness.engine.state import LoopState
from harness.model.errors import HarnessError, StoreError
from harness.model.journal import Entry
from harness.model.work import WorkState
from harness.ports import Books, Clock, Footprint, Grounds, Move, Store

MOVED = "checkout.moved"
SHOWN = 10
PAGE = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """How things stood before a session. `idle`: workspaces in which nobody worked, by item, with the item's fence."""

    footprint: Footprint
    idle: Mapping[str, int]


@dataclass(slots=True)
class Trespass:
    """One for all sessions of a loop. It never fails a session: what cannot be looked at is said."""

    books: Books
    clock: Clock
    state: LoopState
    grounds: Grounds

    async def before(self, plan: Plan, item: str) -> Seen | None:
        """None if it cannot be told."""
        try:
            footprint = await self.grounds.look(plan.repo, plan.branch)
            return Seen(footprint, await self.books(lambda s: _idle(s, footprint.workspaces, item)))
        except HarnessError as exc:
            await self._unseen(item, None, exc)
            return None

    async def after(self, plan: Plan, item: str, session: str, committer: str, seen: Seen) -> str:
        """Say what changed; why a person has to look before anything of this session is integrated, empty if not."""
        try:
            now = await self.grounds.look(plan.repo, plan.branch)
            moves = await self._moves(plan, seen.footprint, now)
            idle = await self.books(lambda s: _idle(s, now.workspaces, item))
        except HarnessError as exc:
            await self._unseen(item, session, exc)
            return ""
        await self._say_files(item, session, seen.footprint, now)
        await self._say_workspaces(item, session, seen, now, idle)
        if not moves:
            return ""
        ours = [move for move in moves if move.committer in ("", committer)]
        what = "; ".join(f"{move.name} to {move.new[:12]} ({move.what or 'no reflog entry'})" for move in moves[:SHOWN])
        why = f"session {session} moved {what} in {plan.repo.path}" if ours else ""
        await self._note(MOVED, item, session, moved=what, by="the session" if ours else "somebody else", reason=why)
        return why

    async def _moves(self, plan: Plan, before: Footprint, now: Footprint) -> Sequence[Move]:
        """Moves of the branch and of HEAD that are not our own integrations."""
        if (before.tip, before.head) == (now.tip, now.head):
            return ()
        moves = await self.grounds.moves(plan.repo, plan.branch, before)
        known = await self.books(lambda s: _integrated(s, plan.repo.name))
        foreign = [move for move in moves if move.new not in known]
        if foreign or plan.branch not in now.logs:
            return foreign
        unexplained = before.tip != now.tip and now.tip not in known and now.tip not in {m.new for m in moves}
        return (Move(plan.branch, now.tip),) if unexplained else ()

    async def _say_files(self, item: str, session: str, before: Footprint, now: Footprint) -> None:
        if paths := _differing(before.files, now.files):
            await self._note("checkout.touched", item, session, paths=", ".join(paths[:SHOWN]), count=len(paths))

    async def _say_workspaces(
        self, item: str, session: str, seen: Seen, now: Footprint, idle: Mapping[str, int]
    ) -> None:
        still = {name for name, fence in seen.idle.items() if idle.get(name) == fence}
        before = {name: seen.footprint.workspaces[name] for name in still}
        if names := _differing(before, {name: now.workspaces[name] for name in still}):
            await self._note("workspace.touched", item, session, workspaces=", ".join(names[:SHOWN]), count=len(names))

    async def _unseen(self, item: str, session: str | None, exc: HarnessError) -> None:
        if isinstance(exc, StoreError):
            raise exc
        await self._note("checkout.unseen", item, session, reason=exc.message)

    async def _note(self, kind: str, item: str, session: str | None, **data: object) -> None:
        entry = Entry(self.clock.now(), kind, self.state.actor, item, session, data)
        await self.books(lambda s: s.note(entry))


def recorded(store: Store, session: str) -> str:
    """What `after` has said of a session: a loop that ended since does not integrate what that one would not have."""
    after = 0
    while page := store.journal(session=session, after=after, limit=PAGE):
        for entry in page:
            if entry.kind == MOVED:
                return str(entry.data["reason"])
        after = page[-1].seq or after
        if len(page) < PAGE:
            break
    return ""


def _idle(store: Store, names: Iterable[str], own: str) -> Mapping[str, int]:
    items = [store.item(name) for name in names if name != own]
    return {i.id: i.fence for i in items if i is not None and i.state is not WorkState.LEASED and not i.by_hand}


def _integrated(store: Store, repo: str) -> frozenset[str]:
    """Every commit that this loop has brought to a branch of the repository, or was about to."""
    rows = store.integrations(states=("applied", "intended"))
    return frozenset(row.merged for row in rows if row.repo == repo and row.merged)


def _differing(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
