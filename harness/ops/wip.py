"""Autosaves of unfinished work: what there is, what is in one, and how it comes back (P17)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.git import wip
from harness.git.wip import Save
from harness.model.errors import GitError, NotFound
from harness.model.home import Home
from harness.model.work import Continuation, WorkState
from harness.ops.answers import Change, Document, Rows
from harness.ops.books import writing
from harness.ops.repositories import registered
from harness.ports import RepositoryRef

COLUMNS = ("id", "item", "saved_at", "files", "bytes", "repo")
_LIST = "./loop wip list"
_RETRY = frozenset({WorkState.WAITING, WorkState.DONE, WorkState.PARKED, WorkState.CANCELLED})


def list_(home: Home, environ: Mapping[str, str], now: datetime, *, item: str | None, limit: int) -> Rows:
    """Newest first; of one item, if named."""

    async def rows() -> tuple[list[Mapping[str, Any]], bool]:
        found = await _all(registered(home, environ))
        wanted = [save for save in found if item is None or save.item.startswith(item)]
        return [await _row(save) for save in wanted[:limit]], len(wanted) > limit

    listed, more = asyncio.run(rows())
    return Rows(
        "loop.wip/1", listed, now, COLUMNS, truncated=more, empty="nothing was saved: no work was ever unfinished"
    )


async def _all(repositories: Sequence[RepositoryRef]) -> list[Save]:
    found = [save for repo in repositories if repo.path.is_dir() for save in await wip.saves(repo)]
    return sorted(found, key=lambda save: save.saved_at, reverse=True)


async def _row(save: Save) -> Mapping[str, Any]:
    inside = await wip.content(save)
    return {
        "id": save.id,
        "item": save.item,
        "saved_at": save.saved_at,
        "files": len(inside.paths),
        "bytes": inside.size_bytes,
        "repo": save.repo.name,
        "ref": save.ref,
        "commit": save.commit,
    }


async def _find(home: Home, environ: Mapping[str, str], given: str) -> Save:
    """By `<session>/<n>`, the whole ref, a commit, or the newest of a session or item. Raises NotFound."""
    found = await _all(registered(home, environ))
    exact = [save for save in found if given in (save.id, save.ref, save.commit)]
    near = [save for save in found if save.item == given or save.id.startswith(given)]
    if not exact and not near:
        raise NotFound(f"there is no autosave {given}", hint=_LIST)
    return (exact or near)[0]


def show(home: Home, environ: Mapping[str, str], given: str, *, patch: bool) -> Document:
    """One autosave with its diff stat, or its patch. Raises NotFound."""

    async def facts() -> Mapping[str, Any]:
        save = await _find(home, environ, given)
        return {**await _row(save), "base": save.parent, "diff": await wip.difference(save, patch=patch)}

    return Document("loop.wip-save/1", asyncio.run(facts()))


def restore_to(home: Home, environ: Mapping[str, str], given: str, folder: Path) -> Change:
    """Bring one back into a new folder. Raises NotFound; Refused if the folder exists."""

    async def work() -> Save:
        save = await _find(home, environ, given)
        await wip.restore(save, folder)
        return save

    save = asyncio.run(work())
    detail = f"{save.id} of {save.item} restored to {folder}\nwhat was unfinished: git -C {folder} status"
    return Change(save.id, applied=True, detail=detail)


def restore_for_item(home: Home, environ: Mapping[str, str], given: str, actor: str, now: datetime) -> Change:
    """Let the item's next session begin on this autosave; what its workspace holds then is saved first.

    Raises NotFound; Refused while the item is being worked on.
    """
    save = asyncio.run(_find(home, environ, given))
    session = save.id.partition("/")[0]
    if not save.item:
        raise GitError(f"{save.ref} does not say which item it belongs to", hint=f"./loop wip restore {given} --to DIR")
    with writing(home) as store:
        known = session if session.startswith("ses_") else None
        goes_on = Continuation("work", f"{save.id} restored by {actor}", known, wip_ref=save.ref)
        item = store.carry(save.item, goes_on, actor=actor, now=now)
    again = f"; it is {item.state}: ./loop queue retry {item.id}" if item.state in _RETRY else ""
    return Change(save.id, applied=True, detail=f"the next session of {item.id} begins on {save.id}{again}")
