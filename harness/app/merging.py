"""Orders about integrations that need git and gates, with the loop running or not. Plain values in, records out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from harness.app.build import COMMAND, Parts, build
from harness.app.start import journal
from harness.config.load import load
from harness.engine.applying import Applied
from harness.engine.rollback import Undone, still_there
from harness.model.errors import Refused
from harness.model.home import Home
from harness.model.journal import Integration
from harness.ops.books import full_id, reading
from harness.ports import Store
from harness.store.reports import latest_run

T = TypeVar("T")


def apply(home: Home, item: str, actor: str, environ: Mapping[str, str]) -> Applied:
    """Bring kept work of an item to its branch, by the will of `actor`. Raises HarnessError."""
    return with_parts(home, environ, lambda parts: parts.integrator.apply(item, by=actor))


def rollback(
    home: Home, environ: Mapping[str, str], actor: str, *, item: str | None, run: str | None, dry_run: bool,
    red_already: bool = False,
) -> Sequence[Undone]:  # fmt: skip
    """Take integrated work back: of one item, or all of a run, branch by branch; `red_already` as Rollback.undo has it.

    Raises NotFound, Refused (nothing there, being worked on, red), Conflict, NotFastForward: then nothing of that
    branch has changed.
    """
    with reading(home) as store:
        name = full_id(store, "item", item) if item is not None else None
        whole = latest_run(store) if run == "latest" else None

    async def undo(parts: Parts) -> Sequence[Undone]:
        await parts.integrator.settle_cut_off()
        number = whole.run if whole is not None else run or ""
        rows = await parts.books(lambda s: _of_item(s, name) if name is not None else _of_run(s, number))
        branches: dict[tuple[str, str], list[Integration]] = {}
        for row in rows:
            branches.setdefault((row.repo, row.branch), []).append(row)
        how = {"dry_run": dry_run, "red_already": red_already}
        return [await parts.integrator.undo(of_branch, actor, **how) for of_branch in branches.values()]

    return with_parts(home, environ, undo)


def _of_item(store: Store, given: str) -> Sequence[Integration]:
    rows = store.integrations(item=given)
    row = still_there(rows)
    if row is None:
        back = any(each.kind == "rollback" and each.state == "applied" for each in rows)
        why = "was taken back already" if back else "is on no branch"
        raise Refused(f"{given} {why}", hint=f"./loop why {given}")
    return [row]


def _of_run(store: Store, run: str) -> Sequence[Integration]:
    """What the run brought and nobody took back since; an item that it brought twice counts once, with both."""
    brought = store.integrated(run)
    newest = {row.item: still_there(store.integrations(item=row.item)) for row in brought}
    rows = [row for row in brought if (last := newest[row.item]) is not None and row.id <= last.id]
    if not rows:
        raise Refused(f"run {run} brought nothing that is still there", hint="./loop merge status")
    return rows


def with_parts(home: Home, environ: Mapping[str, str], work: Callable[[Parts], Awaitable[T]]) -> T:
    """What `work` makes of the parts of a loop that is not started. Raises HarnessError."""
    loaded = load(home.root, environ)
    logs = journal(home)

    async def whole() -> T:
        parts = build(loaded, logs, environ, COMMAND)
        try:
            return await work(parts)
        finally:
            await parts.thread.close()

    return asyncio.run(whole())
