"""Takes integrated work back, forward: a commit that undoes each piece, newest first, proved once, then one move (O7).

reverted one on the other ──► gates on the result ──► intent rows ──► the branch moves once ──► pushed
         │ conflict with later work     │ red                               │ files in the way
         ▼                              ▼                                   ▼
                            nothing has changed, and it is said
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.engine.mover import IntegratorTools, Mover, Step
from harness.engine.plan import Plan
from harness.engine.proving import require_green
from harness.model.errors import NotFastForward, NotFound, Refused
from harness.model.journal import Integration
from harness.model.work import WorkItem, WorkState

RED_ALREADY = ("base_red", "gate_broken")
"""Endings of gates that do not pass on the branch as it is either."""


@dataclass(frozen=True, slots=True)
class Undone:
    """One branch: the items taken back, newest first, and the commit without them (`dry_run`: nothing was moved).

    `red`: how the gates ended that were red before, and are red still.
    """

    items: tuple[str, ...]
    repo: str
    branch: str
    commit: str
    dry_run: bool = False
    unpushed: str = ""
    red: str = ""
    outstanding: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Piece:
    item: WorkItem
    row: Integration
    revert: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """The caller holds the repository's turn."""

    tools: IntegratorTools
    mover: Mover

    async def undo(
        self, plan: Plan, rows: Sequence[Integration], *, dry_run: bool = False, red_already: bool = False
    ) -> Undone:
        """Take `rows`, all of one branch, back. `red_already`: also if gates stay red that are red on the branch as it
        is. Raises Refused (being worked on, red), Conflict with the files that later work changed, NotFastForward with
        those in the way; then nothing has changed.
        """
        tip = await self.tools.merger.tip(plan.repo, plan.branch)
        pieces = await self._reverted(plan, sorted(rows, key=lambda row: row.id, reverse=True), tip)
        head, names = pieces[-1].revert, tuple(piece.item.id for piece in pieces)
        done = Undone(names, plan.repo.name, plan.branch, head, dry_run)
        if dry_run:
            return done
        ending = await require_green(
            self.tools, plan, pieces[-1].item, head, tip, step="rollback",
            red=lambda ending: _red(plan.branch, ending), taken=RED_ALREADY if red_already else (),
        )  # fmt: skip
        steps = [Step(p.item, p.item.fence, plan, tip, p.revert, head, "rollback") for p in pieces]
        moved = await self.mover.move_all(steps)
        if moved[-1].state != "applied":
            raise NotFastForward(f"nothing was taken back: {moved[-1].reason}", paths=moved[-1].paths)
        return replace(done, red=ending)

    async def _reverted(self, plan: Plan, rows: Sequence[Integration], tip: str) -> list[_Piece]:
        """Each undone on top of the one before, newest first."""
        pieces: list[_Piece] = []
        for row in rows:
            item = await self._item(row.item)
            if item.state is WorkState.LEASED:
                raise Refused(f"{item.id} is being worked on", hint="./loop session stop first, or wait for its end")
            onto = pieces[-1].revert if pieces else tip
            revert = await self.tools.merger.revert(plan.repo, onto, row.base, row.merged or "", item.id)
            pieces.append(_Piece(item, row, revert))
        return pieces

    async def _item(self, name: str) -> WorkItem:
        found = await self.tools.books(lambda s: s.item(name))
        if found is None:
            raise NotFound(f"no item {name}", hint="./loop queue show --all")
        return found


def _red(branch: str, ending: str) -> str:
    if ending in RED_ALREADY:
        text = f"{branch} is red already, and would stay red without it ({ending})"
        return f"{text}; nothing was taken back: --red-already takes it back all the same"
    return f"{branch} would be red without it ({ending}); nothing was taken back"


def still_there(rows: Sequence[Integration]) -> Integration | None:
    """The newest integration of an item's work that was not taken back since; `rows` are the item's, oldest first."""
    applied = [row for row in rows if row.state == "applied" and row.kind != "sync"]
    return applied[-1] if applied and applied[-1].kind == "work" else None
