"""How a question ends: with a person's answer, exactly once, or at its deadline (C11).

open ──answer──► answered: the item is ready, its next prompt has the words
  │ deadline ──► answered with its first option, or skipped: the item is cancelled, saying so
  │                                                  └──a late answer──► answered, the item is ready again
  └ retried, removed, parked, taken, merged by hand ──► closed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from harness.model.decision import ANSWERED, DEFAULT, OPEN, SKIPPED, Decision, ended, meant
from harness.model.errors import Refused
from harness.model.journal import Entry
from harness.model.text import one_line
from harness.model.work import WorkItem, WorkState
from harness.store import asked, rows
from harness.store.schedules import Schedules

MOST_REASON = 300


class Decisions(Schedules):
    def decisions(self, item: str) -> Sequence[Decision]:
        """The questions of one item, oldest first."""
        return asked.decisions_of(self, item)

    def answer(self, decision: int, text: str, *, by: str, via: str, now: datetime) -> Decision:
        """Take a person's answer and make the item ready; also a late one, of an item that was skipped for want of it.

        Raises NotFound; Usage for no answer; Refused if it is answered or closed already, saying by whom and when.
        """
        with self.together():
            found = self.asked(decision)
            item = self._item(found.item)
            self._check_open(found, item)
            said = meant(found, text)
            after = self.end_question(found, now, state=ANSWERED, answer=said, by=by, via=via)
            self._goes_on(item, f"answered by {by}: {one_line(said, MOST_REASON)}", by, now)
            return after

    def _check_open(self, found: Decision, item: WorkItem) -> None:
        hint = f"./loop why {item.id}"
        if item.by_hand:
            raise Refused(
                f"{item.id} is {item.reason}", hint=f"./loop queue submit {item.id} or queue return {item.id}"
            )
        late = found.state == SKIPPED and item.state is WorkState.CANCELLED and self.decisions(item.id)[-1] == found
        if found.state != OPEN and not late:
            raise Refused(f"decision {found.id} of {item.id} is {ended(found)}", hint=hint)

    def _goes_on(self, item: WorkItem, reason: str, actor: str, now: datetime) -> None:
        self.move(item.id, WorkState.READY, reason, actor=actor, now=now)
        self._hold(item.id, now, actor)

    def expire(self, now: datetime) -> Sequence[Decision]:
        """What is over by now gets its end: the first option, or the item is skipped. As many as there were."""
        with self.together():
            return [self._expired(found, now) for found in self.due_questions(now)]

    def _expired(self, found: Decision, now: datetime) -> Decision:
        waited = f"nobody answered decision {found.id} in time"
        if found.on_timeout == DEFAULT:
            after = self.end_question(found, now, state=ANSWERED, answer=found.options[0], by="loop", via="deadline")
            self._goes_on(self._item(found.item), f"{waited}: {one_line(found.options[0], MOST_REASON)}", "loop", now)
            return after
        after = self.end_question(found, now, state=SKIPPED, by="loop", reason=waited)
        reason = f"skipped: {waited}: {one_line(found.question, MOST_REASON)}"
        self.move(found.item, WorkState.CANCELLED, reason, actor="loop", now=now)
        return after

    def next_deadline(self) -> datetime | None:
        """When the next question is over."""
        row = self.one("decisions_wake")
        return None if row is None else rows.at_or_none(row["at"])

    def begin_waits_anew(self, now: datetime) -> int:
        with self.together():
            changed = self.all("decisions_begin_anew", now=rows.ms(now))
            for row in changed:
                data = {"decision": row["id"], "deadline_at": rows.at(row["deadline_at"])}
                entry = Entry(now, "decision.changed", "loop", item=row["item"], session=row["session"])
                self.record(replace(entry, data=data))
            return len(changed) + super().begin_waits_anew(now)
