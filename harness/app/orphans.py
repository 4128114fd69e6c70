"""`./loop stop --orphans`: end what dead loops left running, by lock and mark; a living loop's is not touched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

from harness.app.processes import LockedProcesses
from harness.model.home import Home
from harness.model.session import FINAL, SessionRow
from harness.proc.contain import end_marked
from harness.store.reader import StoreReader
from harness.store.reading import open_reader

MOST_SESSIONS = 100_000


@dataclass(frozen=True, slots=True)
class Swept:
    """How many sessions of dead loops there were, and how many processes of theirs were ended."""

    sessions: tuple[str, ...]
    processes: int


def end_orphans(home: Home) -> Swept:
    """Items stay leased until the next start settles them from what is there. Raises NotFound without a store."""
    processes = LockedProcesses(home)
    with closing(open_reader(home.state)) as store:
        rows = store.sessions(limit=MOST_SESSIONS)
        owned = {row.id for row in rows if not processes.owner_is_dead(_owner(store, row))}
    unsettled = [row for row in rows if row.status not in FINAL and row.id not in owned]
    ended = asyncio.run(_end(processes, unsettled))
    # the mark is in the environment of whatever a session started; one look finds those of all sessions at once
    ended += len(end_marked({row.id for row in rows} - owned))
    return Swept(tuple(row.id for row in unsettled), ended)


async def _end(processes: LockedProcesses, rows: Iterable[SessionRow]) -> int:
    return sum([await processes.end_session(row) for row in rows])


def _owner(store: StoreReader, row: SessionRow) -> str:
    return next((attempt.owner for attempt in store.attempts(row.item) if attempt.fence == row.fence), "")
