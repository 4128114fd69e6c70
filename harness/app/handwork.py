"""`queue take`, `submit` and `return`: orders that need git, gates and prompts, with the loop running or not (O10)."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from harness import fs
from harness.app.build import Parts
from harness.app.merging import with_parts
from harness.app.reload import repository_rules
from harness.app.rendering import SESSION
from harness.engine.evidence import CUT_OFF
from harness.engine.hand_in import HandIn
from harness.engine.hands import Hands
from harness.model.errors import HarnessError, Refused
from harness.model.journal import AttemptRow
from harness.model.outcome import Disposition, Interrupted, Outcome
from harness.model.work import Lease, WorkItem, WorkState
from harness.ops import handwork
from harness.ops.answers import Change
from harness.ops.books import full_id
from harness.ops.queue import Desk, notes_of, order
from harness.ports import Store, Workspace
from harness.proc.identity import boot_id, identify
from harness.proc.lock import FileLock

_OPEN = ("intended", "applied")


# --- take -------------------------------------------------------------------------------------------------------------


def take(desk: Desk, given: str, environ: Mapping[str, str], person: str) -> Change:
    """Give an item with its folder and a brief to `person`. Done already is done again.

    Raises NotFound; Refused for what is worked on, finished, or with another person.
    """
    with order(desk) as (store, absorbed):
        name = full_id(store, "item", given)
        item, workspace, broken = with_parts(desk.home, environ, lambda parts: _take(parts, name, desk.actor, person))
    return handwork.taken(desk.home, item, str(workspace.path), broken, notes_of(absorbed))


async def _take(parts: Parts, name: str, actor: str, person: str) -> tuple[WorkItem, Workspace, str]:
    found = await _at_rest(parts, name)
    plan = parts.planner.plan(found)
    item = await parts.books(lambda s: s.take(name, person, actor=actor, now=parts.clock.now()))
    hands = Hands(parts.tools)
    workspace, broken = await hands.workspace(plan, item, actor)
    rendered = parts.composer.by_hand(await hands.request(plan, item, SESSION))
    folder, pull = str(workspace.path), f"git pull --no-rebase {shlex.quote(str(plan.repo.path))} {plan.branch}"
    told = await parts.books(lambda s: handwork.Told(item, folder, pull, s.attempts(name), s.sessions(item=name)))
    fs.replace(parts.home.brief(name), handwork.brief(parts.home, told, rendered))
    return item, workspace, broken


# --- submit -----------------------------------------------------------------------------------------------------------


def submit(desk: Desk, given: str, environ: Mapping[str, str], message: str | None) -> Change:
    """Prove and integrate what a person has made of an item; what is not good yet stays with that person.

    Raises NotFound; Refused if nobody has it, for uncommitted work without a `message`, and for no work at all.
    """
    with order(desk) as (store, absorbed):
        name = full_id(store, "item", given)
        outcome, disposition, unpushed = with_parts(desk.home, environ, lambda parts: _submit(parts, name, message))
    return handwork.submitted(name, outcome, disposition, unpushed, notes_of(absorbed))


async def _submit(parts: Parts, name: str, message: str | None) -> tuple[Outcome, Disposition, str]:
    item = _taken(await _at_rest(parts, name))
    plan = parts.planner.plan(item)
    workspace = await Hands(parts.tools).to_hand_in(plan, item)
    if workspace is None:
        raise Refused(f"the folder of {name} is gone", hint=f"./loop queue take {name} lays it out anew")
    hand_in = HandIn(parts.tools, plan, workspace, item.assigned or "")
    seal = await hand_in.seal(message)
    async with _leased(parts, name) as lease:
        outcome, disposition = await hand_in.prove(lease, seal)
    waiting = await parts.books(lambda s: [row for row in s.unpushed() if row.item == name])
    return outcome, disposition, waiting[-1].push_reason if waiting else ""


@asynccontextmanager
async def _leased(parts: Parts, item: str) -> AsyncIterator[Lease]:
    """The item leased to this process: its lock is free as soon as it ends, however it does."""
    owner, me = f"hand-{os.getpid()}-{secrets.token_hex(3)}", identify(os.getpid())
    assert me is not None
    # a full disk is said at once: nobody waits it out for a command
    parts.state.stop("a command ends by itself")
    with FileLock(parts.home.owners / f"{owner}.lock"):
        boot, now = boot_id(), parts.clock.now()
        await parts.books(lambda s: s.register(owner, pid=me.pid, boot=boot, start=me.start, kind="hand", now=now))
        default, rules = parts.default_repository, repository_rules(parts.loaded)
        try:
            yield await parts.books(lambda s: s.lease_by_hand(owner, item, default, parts.clock.now(), rules))
        finally:
            await _forget(parts, owner)


async def _forget(parts: Parts, owner: str) -> None:
    try:
        await parts.books(lambda s: s.forget(owner, parts.clock.now()))
    except HarnessError:
        # The item is still leased, and the error that it is goes on its way: whoever looks next finds the free lock.
        return


# --- return -----------------------------------------------------------------------------------------------------------


def give_back(desk: Desk, given: str, environ: Mapping[str, str]) -> Change:
    """Save what a person has made of an item and put it back into the queue. Not taken: not applied.

    Raises NotFound; Refused for work that is on its branch already.
    """
    with order(desk) as (store, absorbed):
        name = full_id(store, "item", given)
        found = with_parts(desk.home, environ, lambda parts: _give_back(parts, name, desk.actor))
    if isinstance(found, Change):
        return found
    return handwork.given_back(found, notes_of(absorbed))


async def _give_back(parts: Parts, name: str, actor: str) -> WorkItem | Change:
    item = await _at_rest(parts, name)
    if not item.by_hand or item.state is not WorkState.WAITING:
        return Change(name, applied=False, detail=f"nobody has taken {name}: it is {item.state}")
    if await parts.books(lambda s: _half_done(s, item)):
        raise Refused(
            f"{name} was handed in and may be on its branch", hint=f"./loop queue submit {name} finishes that"
        )
    back = await Hands(parts.tools).give_back(parts.planner.plan(item), item, actor)
    parts.home.brief(name).unlink(missing_ok=True)
    return back


def _half_done(store: Store, item: WorkItem) -> bool:
    """Whether the last hand-in was cut off after it had begun to move the branch."""
    last: AttemptRow | None = next(iter(reversed(store.attempts(item.id))), None)
    cut_off = last is not None and last.outcome == "interrupted"
    return cut_off and any(row.fence == item.fence and row.state in _OPEN for row in store.integrations(item=item.id))


# --- all of them ------------------------------------------------------------------------------------------------------


async def _at_rest(parts: Parts, name: str) -> WorkItem:
    """The item, with its person again if its hand-in was killed. Raises Refused while it is worked on."""
    item = await _item(parts, name)
    if item.state is not WorkState.LEASED:
        return item
    if item.by_hand:
        await _recover(parts, item)
        return await _item(parts, name)
    live = await parts.books(lambda s: next(iter(s.sessions(item=name, live=True)), None))
    hint = f"./loop session stop {live.id}, or wait for its end" if live else "./loop status; wait for its end"
    by = f" by session {live.id}" if live else ""
    raise Refused(f"{name} is being worked on{by} (lease {item.fence})", hint=hint)


async def _recover(parts: Parts, item: WorkItem) -> None:
    """As the reconciler of a loop would within a minute."""
    processes = parts.reconciler.tools.processes
    dead = [owner for owner in await parts.books(lambda s: s.owners()) if processes.owner_is_dead(owner)]
    orphans = await parts.books(lambda s: s.orphans(dead))
    lease = next((orphan.lease for orphan in orphans if orphan.lease.item.id == item.id), None)
    if lease is None:
        raise Refused(
            f"what was handed in of {item.id} is being proved", hint=f"./loop why {item.id}; wait for its end"
        )
    await parts.tools.settler.settle(lease, Interrupted(CUT_OFF, "operator"), None, None)


async def _item(parts: Parts, name: str) -> WorkItem:
    found = await parts.books(lambda s: s.item(name))
    assert found is not None  # its id was looked up, and items are never deleted
    return found


def _taken(item: WorkItem) -> WorkItem:
    if item.by_hand and item.state is WorkState.WAITING:
        return item
    raise Refused(f"nobody has taken {item.id}: it is {item.state}", hint=f"./loop queue take {item.id}")
