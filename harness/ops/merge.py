"""What waits for its branch or its remote, what would conflict, and giving an integration up (O3)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from harness.git.forecast import Clash, clashes, kept, live
from harness.model.errors import HarnessError, NotFound, Refused
from harness.model.home import Home
from harness.model.journal import Integration
from harness.model.text import one_line
from harness.model.work import WorkItem, WorkState
from harness.ops.answers import Change, Rows
from harness.ops.books import full_id, reading_if_any, writing
from harness.ops.followups import latest
from harness.ops.repositories import registered
from harness.ports import RepositoryRef
from harness.store.reader import StoreReader

SCHEMA = "loop.merge/1"
COLUMNS = ("what", "item", "repo", "branch", "files", "detail", "next")
_OPEN = (WorkState.LEASED, WorkState.WAITING, WorkState.READY, WorkState.DELAYED)


def status(home: Home, environ: Mapping[str, str], now: datetime) -> Rows:
    """Rows of `what`: held, unpushed, review, pull, build (what follows an integration), proving, conflict (with the
    branch, or between two items), kept.

    Nothing is changed. Raises ConfigError.
    """
    with reading_if_any(home) as store:
        rows = [] if store is None else list(_booked(store))
        for repo in registered(home, environ):
            rows += asyncio.run(_in_git(store, repo)) if repo.path.is_dir() else []
    return Rows(SCHEMA, rows, now, COLUMNS, empty="nothing waits: all proved work is on its branch and pushed")


def _row(what: str, item: str, repo: str, branch: str, **more: Any) -> Mapping[str, Any]:
    facts: dict[str, Any] = {"files": "", "detail": "", "next": ""} | more
    return {"what": what, "item": item, "repo": repo, "branch": branch, **facts}


def _booked(store: StoreReader) -> Iterator[Mapping[str, Any]]:
    for row in store.integrations(states=("held",)):
        after = f"./loop merge apply {row.item}, or ./loop merge abort {row.item}"
        yield _row("held", row.item, row.repo, row.branch, files=_files(row.paths), detail=row.reason, next=after)
    for row in store.unpushed():
        detail = row.push_reason or "to be pushed"
        yield _row("unpushed", row.item, row.repo, row.branch, detail=detail, next="tried again by itself")
    for step in latest(store.followups()):
        yield _row(step.step, step.item, step.repo, step.branch, detail=step.sentence, next="tried again by itself")
    for item in store.items(states=(WorkState.LEASED,), limit=100):
        attempt = next(iter(reversed(store.attempts(item.id))), None)
        if attempt is not None and attempt.phase in ("proving", "integrating"):
            yield _row("proving", item.id, item.repo or "", item.branch or "", detail=f"since its seal {attempt.seal}")


async def _in_git(store: StoreReader | None, repo: RepositoryRef) -> list[Mapping[str, Any]]:
    """What only the refs know: kept work, and conflicts to come among everything that is not on the branch."""
    open_items = _unfinished(store)
    try:
        waiting = await kept(repo, repo.branch)
        working = await live(repo, [name for name, item in open_items.items() if item.state is WorkState.LEASED])
        heads = {name: found[1] for name, found in waiting.items() if name in open_items or found[0] != "sealed"}
        found = await clashes(repo, repo.branch, {**heads, **working})
    except HarnessError as exc:
        return [_row("unknown", "", repo.name, repo.branch, detail=exc.message, next="./loop doctor")]
    rows = [_kept(name, ref, repo) for name, (ref, _) in waiting.items() if ref != "sealed" and name not in open_items]
    return [*rows, *(_conflict(each, repo) for each in found)]


def _unfinished(store: StoreReader | None) -> Mapping[str, WorkItem]:
    return {} if store is None else {item.id: item for item in store.items(states=_OPEN, limit=1000)}


def _kept(item: str, ref: str, repo: RepositoryRef) -> Mapping[str, Any]:
    detail = f"{ref} work, not on {repo.branch}"
    return _row("kept", item, repo.name, repo.branch, detail=detail, next=f"./loop merge apply {item}")


def _conflict(clash: Clash, repo: RepositoryRef) -> Mapping[str, Any]:
    branch = clash.one == repo.branch
    item, other = (clash.other, repo.branch) if branch else (clash.one, clash.other)
    detail = f"would conflict with {other}"
    after = "the item gets another session, with the conflict in its prompt" if branch else "whichever comes later"
    return _row("conflict", item, repo.name, repo.branch, files=_files(clash.paths), detail=detail, next=after)


def _files(paths: Sequence[str]) -> str:
    return one_line(", ".join(paths), 200)


def abort(home: Home, given: str, actor: str, now: datetime) -> Change:
    """Give up the waiting integration of an item: it is cancelled, its work stays under a ref.

    Raises NotFound; Refused if it does not wait for its integration.
    """
    with writing(home) as store:
        name = full_id(store, "item", given)
        item, rows = store.item(name), store.integrations(item=name)
        if item is None:
            raise NotFound(f"there is no item {given}", hint="./loop queue show --all")
        held = [row for row in rows if row.state == "held"]
        if item.state is not WorkState.WAITING or not held:
            raise Refused(f"{name} waits for no integration: it is {item.state}", hint=_instead(item, rows))
        reason = f"integration given up by {actor}"
        store.move(name, WorkState.CANCELLED, reason, actor=actor, now=now)
        for row in held:
            store.resolve(row.id, "aborted", now, reason=reason)
    ref = f"refs/harness/{name}/verified"
    detail = f"{name} is cancelled; its work stays under {ref} of {held[-1].repo}\nundo: ./loop merge apply {name}"
    return Change(name, applied=True, detail=detail)


def _instead(item: WorkItem, rows: Sequence[Integration]) -> str:
    if any(row.state == "applied" for row in rows):
        return f"it is on its branch; to take it back: ./loop merge rollback {item.id}"
    return f"./loop queue park {item.id} sets it aside; ./loop why {item.id}"
