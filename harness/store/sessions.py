"""Sessions: one row an agent process, written before it starts and kept for good."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from harness.model.errors import LeaseLost, NotFound
from harness.model.journal import Entry
from harness.model.session import FINAL, SessionRow
from harness.store import rows
from harness.store.journal import Journal

LONGEST_DAY = timedelta(days=2)
_FINAL = frozenset(status.value for status in FINAL)


class Sessions(Journal):
    """A heartbeat changes the row without an entry; only a new status is a fact worth telling."""

    def update_session(self, session: SessionRow) -> None:
        """While its status stays the same, only `pid`, `doing`, `heartbeat` and `updated_at` are written.

        Raises NotFound for a session that was never opened, LeaseLost for one whose final row is written.
        """
        with self.together():
            row = self.one("session_status", id=session.id)
            if row is not None and row["status"] in _FINAL:
                raise LeaseLost(
                    f"session {session.id} has ended ({row['status']}): somebody else settled it",
                    hint=f"./loop why {session.item}",
                )
            if row is not None and row["status"] == session.status.value:
                self.run("session_beat", **rows.session_beat(session))
            else:
                self._rewrite_session(session, row, session.updated_at)

    def mark_session(self, session: SessionRow, *, actor: str, now: datetime) -> None:
        """A person's word over what is written, also over a final row. Raises NotFound."""
        with self.together():
            self._write_session(session, now)
            data = {"status": session.status.value}
            self.record(Entry(now, "session.marked", actor, item=session.item, session=session.id, data=data))

    def _write_session(self, session: SessionRow, now: datetime | None) -> None:
        self._rewrite_session(session, self.one("session_status", id=session.id), now)

    def _rewrite_session(self, session: SessionRow, before: sqlite3.Row | None, now: datetime | None) -> None:
        if before is None:
            raise NotFound(f"no such session: {session.id}", hint="./loop session list")
        self.run("session_write", **rows.session_row(session))
        if before["status"] == session.status.value:
            return
        self.run("session_enter", id=session.id, status=session.status.value)
        at = now or session.ended_at or session.heartbeat or session.started_at
        assert at is not None
        data = {"from": before["status"], "status": session.status.value, "pid": session.pid}
        data |= {"ending": session.ending, "ended_by": session.ended_by}
        self.record(Entry(at, "session.updated", "loop", item=session.item, session=session.id, data=data))

    def spent(self, *, since: datetime | None = None, item: str | None = None) -> Mapping[str, Decimal]:
        """US dollars by kind of work: exact sums of the costs of ended sessions, estimates where that is not whole; a
        session with neither is left out. `since` the begin of a day: what lies more than two days after it was before a
        clock that was set back. Reads the history unless for an item: ask once a day.
        """
        if item is not None:
            found = self.all("costs_of_item", item=item)
        else:
            until = rows.ms(since + LONGEST_DAY) if since else None
            found = self.all("costs_by_kind", since=rows.ms(since) if since else 0, until=until)
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in found:
            sums[row["kind"]] += Decimal(str(row["cost"]))
        return sums
