"""The pages `tasks/{backlog,active,completed}.md` as people and the loop change them (R4, R12). Pure.

A page is never made anew: blocks move with every line that was typed, and single fields of ours change in their line.
Only the documented shape `### [task-NNN] title` is a task here; anything else on the page is the writer's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harness.model.taskmd import Block, Loose, Piece, document_of, parse, render, with_fields
from harness.model.work import UNFINISHED, WorkItem, WorkState, priority_name

BACKLOG, ACTIVE, COMPLETED = "backlog", "active", "completed"
PAGES = (BACKLOG, ACTIVE, COMPLETED)
HEADS: Mapping[str, str] = {BACKLOG: "# Backlog\n\n", ACTIVE: "# Active\n\n", COMPLETED: "# Completed\n\n"}
OURS = frozenset({"task_branch", "status", "completed", "cancelled", "summary", "attempts"})
"""Fields that we write, or that are no wish about the item."""
NOBODY = "unassigned"


def blocks(page: str) -> list[Piece]:
    """The pieces of a page; a line of a check list is no task here."""
    return [Loose(each.line, each.text) if isinstance(each, Block) and each.check else each for each in parse(page)]


def blocks_of(page: str) -> Iterator[Block]:
    """The tasks of a page, in order."""
    return (piece for piece in blocks(page) if isinstance(piece, Block))


def joined(pieces: Sequence[Piece]) -> str:
    """The page again."""
    return "".join(piece.text for piece in pieces)


def wish_of(block: Block) -> dict[str, Any]:
    """What a block says about its item, as `parse_fields` takes it."""
    return {name: value for name, value in document_of(block).items() if name not in OURS}


def ours_of(block: Block) -> dict[str, Any]:
    """What a block says in fields that we write."""
    return {name: value for name, value in document_of(block).items() if name in OURS}


def place_of(item: WorkItem) -> str:
    """Where the task of an item stands: once it was begun, or somebody has it, it is active until it is over."""
    if item.state in {WorkState.DONE, WorkState.CANCELLED}:
        return COMPLETED
    begun = item.fence > 0 or item.by_hand or item.state not in UNFINISHED
    return ACTIVE if begun else BACKLOG


@dataclass(frozen=True, slots=True)
class Scribe:
    """Writes what the loop knows of an item into its block. `actor` is who works for the loop."""

    actor: str

    def new(self, item: WorkItem) -> str:
        """A block for an item that stands on no page yet."""
        fields: dict[str, str] = {"repo": item.repo or "", "type": item.kind, "priority": priority_name(item.priority)}
        fields |= {"assigned": item.assigned or NOBODY, "description": item.description} | self.fields(item)
        return render(item.id, item.title, {name: value for name, value in fields.items() if value.strip()})

    def fields(self, item: WorkItem) -> dict[str, str]:
        """Fields that say how far it is."""
        place = place_of(item)
        if place == BACKLOG:
            return _status(item)
        begun = {"branch": item.branch or f"refs/harness/{item.id}/sealed"} if item.fence else {}
        if place == ACTIVE:
            return {"assigned": item.assigned or self.actor} | begun | _status(item)
        word = "completed" if item.state is WorkState.DONE else "cancelled"
        over = {word: _date(item.updated_at), "summary": " ".join(item.reason.split()) or item.state.value}
        return ({"assigned": item.assigned or self.actor} if begun else {}) | begun | over

    def updated(self, block: Block, item: WorkItem, stale: Mapping[str, str]) -> Block:
        """The block with what is news; `stale` are fields that somebody changed elsewhere. Its other lines stay."""
        wished = {**self.fields(item), **stale}
        if "status" not in wished and "status" in block.fields:
            wished["status"] = item.state.value
        said = {name: value for name, value in wished.items() if block.fields.get(name) != value}
        return with_fields(block, said) if said else block


def _status(item: WorkItem) -> dict[str, str]:
    """Only where the page does not say it: it waits for something."""
    if item.state in {WorkState.READY, WorkState.LEASED}:
        return {}
    reason = " ".join(item.reason.split())
    return {"status": f"{item.state.value}: {reason}" if reason else item.state.value}


def shown(item: WorkItem) -> dict[str, str]:
    """Wishes of an item as a block says them."""
    return {
        "repo": item.repo or "",
        "type": item.kind,
        "priority": priority_name(item.priority),
        "assigned": item.assigned or "",
        "description": item.description,
    }


def same_words(one: str, other: str) -> bool:
    """Whether two descriptions differ in nothing but white space: a page keeps no blank lines of a field."""
    return one.split() == other.split()


def with_title(block: Block, title: str) -> Block:
    """The block with another title in its heading."""
    first, newline, rest = block.text.partition("\n")
    head = re.match(r"#{3}[ \t]+(?:\[[^\[\]]*\][ \t]*)?", first)
    assert head is not None
    (found,) = (each for each in parse(f"{head[0]}{' '.join(title.split())}{newline}{rest}") if isinstance(each, Block))
    return found


def appended(page: str, text: str) -> str:
    """The page with a block at its end, a blank line before it."""
    gap = "" if not page or page.endswith("\n\n") else "\n" if page.endswith("\n") else "\n\n"
    return f"{page}{gap}{text}"


def _date(at: datetime | None) -> str:
    return at.astimezone().isoformat(timespec="minutes") if at is not None else ""
