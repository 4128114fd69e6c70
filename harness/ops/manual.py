"""What a person does to one session by hand: end it, or settle its item after its loop has died (H24, H45)."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from harness.model.errors import Refused
from harness.model.home import Home
from harness.model.journal import Entry
from harness.model.outcome import Claimed, Disposition, Interrupted, outcome_word
from harness.model.session import FINAL, SessionRow, SessionStatus
from harness.model.work import WorkItem, WorkState
from harness.ops import sessions
from harness.ops.answers import Change
from harness.ops.books import writing
from harness.ports import Orphan, Settlement
from harness.proc.contain import read_record
from harness.proc.identity import alive
from harness.proc.identity import signal as send
from harness.proc.lock import is_free
from harness.store.sqlite import SqliteStore

POLL_SECONDS = 0.1
END_SECONDS = 20.0
_QUEUED = frozenset({WorkState.READY, WorkState.DELAYED, WorkState.BLOCKED})


@dataclass(frozen=True, slots=True)
class Hand:
    """Whose hand it is, and when."""

    actor: str
    now: datetime


# --- end it -----------------------------------------------------------------------------------------------------------


def stop(home: Home, given: str, hand: Hand, *, sleep: Callable[[float], None] = time.sleep) -> Change:
    """TERM to exactly the agent-init of a session: its tree ends, its work is saved, nothing is counted.

    Raises NotFound; Refused for a session without a process. One that has ended already: not applied.
    """
    row = _row(home, given)
    if row.status in FINAL:
        return Change(row.id, applied=False, detail=f"{row.id} has ended already: {row.status}")
    record = read_record(home.session(row.id) / "agent-init.json")
    if record is None or not alive(record.identity):
        hint = "./loop stop --orphans if its loop was killed; ./loop status"
        raise Refused(f"{row.id} is {row.status}, but no process of it runs here", hint=hint)
    with writing(home) as store:
        data = {"by": hand.actor, "pid": record.pid}
        store.note(Entry(hand.now, "session.ended_by_operator", hand.actor, row.item, row.id, data))
    send(record.identity, signal.SIGTERM)
    began = time.monotonic()
    while alive(record.identity):
        if time.monotonic() - began > END_SECONDS:
            detail = f"{row.id} still winds up after {END_SECONDS:.0f} s (pid {record.pid})"
            return Change(row.id, applied=False, detail=detail, exit_code=1)
        sleep(POLL_SECONDS)
    detail = f"{row.id} was ended; {row.item} goes back to the queue, nothing is counted: ./loop why {row.item}"
    return Change(row.id, applied=True, detail=detail)


def _row(home: Home, given: str) -> SessionRow:
    found = sessions.find(home, given)
    if found.row is None:
        raise Refused(f"{found.id} is in no store, only its files are left", hint=f"its log: {found.log}")
    return found.row


# --- settle it --------------------------------------------------------------------------------------------------------


def mark(home: Home, given: str, hand: Hand, *, completed: bool) -> Change:
    """A person's word about a session that is dead: its item is done (claimed) or set aside. Nothing is counted.

    Raises NotFound; Refused for a session that lives, and for one that is not its item's newest.
    """
    row = _row(home, given)
    _refuse_living(home, row)
    with writing(home) as store, store.together():
        newest = next(iter(store.sessions(item=row.item, limit=1)))
        if newest.id != row.id:
            raise Refused(f"{row.item} has a newer session: {newest.id}", hint=f"./loop session mark {newest.id}")
        item = store.item(row.item)
        assert item is not None
        marked = _marked(row, hand, completed=completed)
        said = f"marked {'completed' if completed else 'failed'} by {hand.actor}"
        if item.state is WorkState.LEASED:
            store.settle(_orphan(home, store, item).lease, _settlement(said, completed=completed), hand.now)
        else:
            _move(store, item, said, hand, completed=completed)
        store.mark_session(marked, actor=hand.actor, now=hand.now)
    state = WorkState.DONE if completed else WorkState.PARKED
    detail = f"{row.id}: {row.status} -> {marked.status}; {row.item}: {item.state} -> {state}"
    return Change(row.id, applied=True, detail=detail)


def _refuse_living(home: Home, row: SessionRow) -> None:
    record = read_record(home.session(row.id) / "agent-init.json")
    locked = not is_free(home.session(row.id) / "lock")
    if locked or (record is not None and record.ended_at is None and alive(record.identity)):
        raise Refused(
            f"{row.id} lives", hint=f"./loop session stop {row.id}; if its loop is dead: ./loop stop --orphans"
        )


def _orphan(home: Home, store: SqliteStore, item: WorkItem) -> Orphan:
    """The lease of an item whose owner is dead. Raises Refused if the owner lives."""
    dead = [owner for owner in store.owners() if is_free(home.owners / f"{owner}.lock")]
    found = next((orphan for orphan in store.orphans(dead) if orphan.lease.item.id == item.id), None)
    if found is None:
        raise Refused(f"{item.id} is being worked on (lease {item.fence})", hint="./loop status")
    return found


def _marked(row: SessionRow, hand: Hand, *, completed: bool) -> SessionRow:
    status = SessionStatus.COMPLETED if completed else SessionStatus.FAILED
    ended = row.ended_at or hand.now
    return replace(row, status=status, ended_by="operator", ended_at=ended, updated_at=hand.now, pid=None, doing="")


def _settlement(said: str, *, completed: bool) -> Settlement:
    if completed:
        return Settlement(Claimed(None), Disposition(WorkState.DONE, f"claimed: {said}"))
    return Settlement(Interrupted(said, "operator"), Disposition(WorkState.PARKED, said))


def _move(store: SqliteStore, item: WorkItem, said: str, hand: Hand, *, completed: bool) -> None:
    if not completed:
        if item.state is not WorkState.PARKED:
            store.move(item.id, WorkState.PARKED, said, actor=hand.actor, now=hand.now)
        return
    if item.state is WorkState.DONE:
        return
    if item.state in _QUEUED:
        store.move(item.id, WorkState.WAITING, said, actor=hand.actor, now=hand.now)
    store.settle_held(item.id, WorkState.DONE, f"claimed: {said}", outcome_word(Claimed(None)), hand.now)
