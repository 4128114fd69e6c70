"""Questions to a person: how one is asked, read, and closed when its item goes on without an answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from harness.model.decision import NO_DEADLINE, Decision
from harness.model.journal import Entry
from harness.store import rows
from harness.store.asked import decision
from harness.store.database import known
from harness.store.journal import Journal

if TYPE_CHECKING:
    from harness.model.work import Lease
    from harness.ports import Settlement


class Questions(Journal):
    def ask(self, lease: Lease, settlement: Settlement, now: datetime) -> None:
        """Part of a settle: its question, until when it waits, and the entry. What was open before is closed."""
        assert settlement.question is not None
        question, options = settlement.question
        session = settlement.session.id if settlement.session else None
        self.close_questions(lease.item.id, "asked anew", lease.owner, now)
        # A person has the item: it is handed in or given back, and no clock takes it away.
        deadline = NO_DEADLINE if lease.item.by_hand else settlement.deadline
        values = {"item": lease.item.id, "session": session, "question": question, "options": rows.packed(options)}
        until = {"deadline_at": rows.ms_or_none(deadline.at), "on_timeout": deadline.then, "now": rows.ms(now)}
        number = self.insert("decision_insert", values | until)
        data = {"decision": number, "question": question, "options": list(options)}
        data |= {"deadline_at": deadline.at, "on_timeout": deadline.then} if deadline.at is not None else {}
        self.record(Entry(now, "decision.asked", lease.owner, item=lease.item.id, session=session, data=data))

    def close_questions(self, item: str, reason: str, actor: str, now: datetime) -> None:
        """The item goes on without an answer: retried, removed, parked, taken, merged by hand."""
        for row in self.all("decisions_close", item=item, reason=reason, by=actor, now=rows.ms(now)):
            data = {"decision": row["id"], "reason": reason}
            self.record(Entry(now, "decision.closed", actor, item=item, session=row["session"], data=data))

    def end_question(self, found: Decision, now: datetime, **end: Any) -> Decision:
        """`end`: state, answer, by, via, reason. Only inside `together`."""
        values: Mapping[str, Any] = {"answer": None, "via": None, "reason": "", **end}
        self.run("decision_end", id=found.id, now=rows.ms(now), **values)
        data = {"decision": found.id, "answer": values["answer"], "via": values["via"], "reason": values["reason"]}
        said = {key: value for key, value in data.items() if value}
        kind = f"decision.{values['state']}"
        self.record(Entry(now, kind, values["by"], item=found.item, session=found.session, data=said))
        return self.asked(found.id)

    def asked(self, number: int) -> Decision:
        """Raises NotFound."""
        row: sqlite3.Row = known(self.one("decision_get", id=number), "decision", str(number))
        return decision(row)

    def due_questions(self, now: datetime) -> Sequence[Decision]:
        return [decision(row) for row in self.all("decisions_due", now=rows.ms(now))]
