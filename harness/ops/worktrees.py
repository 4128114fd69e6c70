"""Workspaces as an operator looks at them: what there is, what is broken, and how it is mended or removed (O1, P17)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from harness.config.load import load
from harness.git.workspace import GitWorkspaces
from harness.git.workspace_health import Found
from harness.git.workspace_repair import Repaired
from harness.model.errors import HarnessError, NotFound, Refused
from harness.model.home import Home
from harness.model.retention import Retention, why_not_needed
from harness.model.session import FINAL
from harness.model.work import WorkItem, WorkState
from harness.ops.answers import Change, Rows
from harness.ops.books import reading_if_any
from harness.ops.workers import at_work
from harness.store.reader import StoreReader

SCHEMA = "loop.worktrees/1"
COLUMNS = ("item", "state", "repo", "created_at", "problem", "next")
_LIST = "./loop worktree list"


def workspaces(home: Home) -> GitWorkspaces:
    """Those of a home, as its loop has them."""
    return GitWorkspaces(home.worktrees, under=home.state, benches=home.benches)


def list_(home: Home, now: datetime) -> Rows:
    """All workspaces, broken ones with what is wrong and what helps; exit 1 if one is. Nothing is changed."""
    found = asyncio.run(workspaces(home).survey())
    items = _items(home, [each.item for each in found])
    rows = [_row(each, items.get(each.item)) for each in found]
    broken = any(each.faults for each in found)
    return Rows(SCHEMA, rows, now, COLUMNS, exit_code=int(broken), empty="no workspace: nothing is being worked on")


def _items(home: Home, names: Sequence[str]) -> Mapping[str, WorkItem]:
    """By workspace: the item of that name, or the one that a live session of that name, a review, reads."""
    with reading_if_any(home) as store:
        known = {name: _item_of(store, name) for name in names} if store is not None else {}
    return {name: item for name, item in known.items() if item is not None}


def _item_of(store: StoreReader, workspace: str) -> WorkItem | None:
    if (item := store.item(workspace)) is not None:
        return item
    session = store.session(workspace)
    return None if session is None or session.status in FINAL else store.item(session.item)


def _row(found: Found, item: WorkItem | None) -> Mapping[str, Any]:
    record = found.record
    return {
        "item": found.item,
        "state": "unknown" if item is None else item.state,
        "repo": record.repo if record else "",
        "path": str(found.path),
        "base": record.base if record else None,
        "head": record.head if record else None,
        "created_at": datetime.fromisoformat(record.created_at) if record else None,
        "saved_ref": (record.saved_ref or None) if record else None,
        "problem": "; ".join(found.faults),
        "next": found.next,
    }


# --- mending ----------------------------------------------------------------------------------------------------------


def repair(home: Home, given: Sequence[str], *, dry_run: bool = False) -> Change:
    """Mend broken workspaces, saved first; all of them, or those of the items in `given`.

    One that a session or a person is at work in is left alone unless it is named; a running session's always. Raises
    NotFound; exit 1 if something stays broken.
    """
    found = {each.item: each for each in asyncio.run(workspaces(home).survey())}
    _known(found, given)
    wanted = [found[name] for name in given or found if given or found[name].faults]
    items = _items(home, [each.item for each in wanted])
    lines, failed, done = [], False, False
    for each in wanted:
        busy = _busy(home, items.get(each.item), named=bool(given))
        if busy or dry_run or not each.faults:
            lines.append(f"{each.item}: {busy or _would(each)}")
            failed |= bool(busy) or (bool(each.faults) and not each.mendable)
            continue
        try:
            lines.append(_told(each.item, asyncio.run(workspaces(home).repair(each.item))))
            done = True
        except HarnessError as exc:
            failed = True
            lines.append(f"{each.item}: {exc.message}\n  next: {exc.hint or each.next}")
    detail = "\n".join(lines) or "every workspace is whole"
    return Change(_target(given), applied=done, dry_run=dry_run, detail=detail, exit_code=int(failed))


def _known(found: Mapping[str, Found], given: Sequence[str]) -> None:
    for name in given:
        if name not in found:
            raise NotFound(f"there is no workspace {name}", hint=_LIST)


def _target(given: Sequence[str]) -> str:
    return " ".join(given) or "worktrees"


def _busy(home: Home, item: WorkItem | None, *, named: bool) -> str:
    if item is not None and item.state is WorkState.LEASED and at_work(home):
        return f"a session works in it; left alone\n  next: ./loop session list --item {item.id}"
    if item is not None and item.by_hand and not named:
        return f"{item.assigned} has it; left alone\n  next: ./loop worktree repair {item.id}"
    return ""


def _would(found: Found) -> str:
    if not found.faults:
        return "nothing is wrong with it"
    what = "; ".join(found.faults)
    return f"{what}; would be saved, then mended" if found.mendable else f"{what}\n  next: {found.next}"


def _told(item: str, done: Repaired) -> str:
    saved = f"\n  what stood there: {done.ref}" if done.ref else ""
    return f"{item}: {'; '.join(done.faults)}; {done.done}{saved}"


def retention(home: Home, environ: Mapping[str, str]) -> Retention:
    """As configured. Raises ConfigError."""
    return load(home.root, environ).config.workspaces.retention()


# --- removing ---------------------------------------------------------------------------------------------------------


def prune(
    home: Home, now: datetime, environ: Mapping[str, str], given: Sequence[str] = (), *, dry_run: bool = False
) -> Change:
    """Remove workspaces that nobody needs, or those in `given` whatever their items are; each is saved first.

    Raises NotFound; Refused for one that is being worked on. Exit 1 if one could not be saved and stays.
    """
    keep = retention(home, environ)
    found = {each.item: each for each in asyncio.run(workspaces(home).survey())}
    _known(found, given)
    items = _items(home, list(found))
    for name in given:
        _check_idle(home, items.get(name))
    going = dict.fromkeys(given, "asked for") or _not_needed(home, found, items, now, keep)
    if dry_run:
        lines = [f"{name} would be saved and removed: {why}" for name, why in going.items()]
        return Change(_target(given), applied=False, dry_run=True, detail="\n".join(lines) or "nothing would go")
    lines, failed = [], False
    for name, why in going.items():
        try:
            went = asyncio.run(_put_away(home, name, now, keep, asked=name in given))
            lines.append(f"{name} removed: {why}" if went else f"{name} stays: a session has just begun in it")
        except HarnessError as exc:
            failed = True
            lines.append(f"{name} stays: {exc.message}\n  next: {exc.hint or f'./loop worktree repair {name}'}")
    detail = "\n".join(lines) or "nothing to remove: every workspace is needed"
    gone = any(line.partition(" ")[2].startswith("removed") for line in lines)
    return Change(_target(given), applied=gone, detail=detail, exit_code=int(failed))


def _check_idle(home: Home, item: WorkItem | None) -> None:
    if item is None:
        return
    if item.state is WorkState.LEASED and at_work(home):
        raise Refused(f"{item.id} is being worked on", hint=f"./loop session stop {item.id}, or wait for its end")
    if item.by_hand:
        raise Refused(f"{item.assigned} works on {item.id} by hand", hint=f"./loop queue return {item.id} first")


def _not_needed(
    home: Home, found: Mapping[str, Found], items: Mapping[str, WorkItem], now: datetime, keep: Retention
) -> Mapping[str, str]:
    """Why each goes. A running loop may have folders that are no item's (reviews): those are its own business."""
    reasons = {name: why_not_needed(items.get(name), now, keep) for name in found}
    ours = at_work(home)
    return {name: why for name, why in reasons.items() if why and (name in items or not ours)}


async def _put_away(home: Home, name: str, now: datetime, keep: Retention, *, asked: bool) -> bool:
    """Asked for again under the workspace's lock: a lease may have come meanwhile."""

    async def is_wanted(item: str) -> bool:
        known = _items(home, [item]).get(item)
        if known is not None and (known.state is WorkState.LEASED and at_work(home)):
            return True
        return not asked and not why_not_needed(known, now, keep)

    return await workspaces(home).put_away(name, is_wanted)
