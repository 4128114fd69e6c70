"""What recurs: a slot and its item are written together, so that no crash comes between them; a slot is had once."""

from __future__ import annotations

from datetime import datetime

from harness.model.journal import Entry
from harness.model.schedule import Due, Firing, Rule, Standing
from harness.model.work import WorkItem
from harness.store import rows
from harness.store.database import known
from harness.store.hands import Hands


class Schedules(Hands):
    def begin_schedule(self, rule: Rule, now: datetime) -> Standing:
        """Look at slots and events from now on: a schedule that is new or has another trigger, or a clock set back."""
        with self.together():
            row = self.one("schedule_begin", schedule=rule.name, rule=rule.text, now=rows.ms(now))
            assert row is not None  # it is inserted or updated
            data = {"schedule": rule.name, "when": rule.text}
            self.record(Entry(now, "schedule.begun", "loop", data=data))
            return rows.standing(row)

    def forget_schedule(self, schedule: str, now: datetime) -> None:
        """It is configured no more; written again, it begins anew. What became of its slots is kept."""
        with self.together():
            if self.run("schedule_delete", schedule=schedule):
                self.record(Entry(now, "schedule.over", "loop", data={"schedule": schedule}))

    def fire(
        self, schedule: str, due: Due, item: WorkItem | None, *, seq: int | None, actor: str, now: datetime
    ) -> Firing | None:
        """A slot's item, or its command if `item` is None, and how far was looked, in one transaction. `seq`: so far in
        the journal; None if a person asks, for then nothing was looked at.

        What is still open of the schedule takes the slot in. None if the slot had its turn already. Raises Usage for
        an item that cannot be added, and then nothing is written.
        """
        looked_at = None if seq is None else rows.ms(now)
        with self.together():
            if self.one("firing_known", schedule=schedule, slot=due.slot) is not None:
                self.run("schedule_looked", schedule=schedule, looked_at=looked_at, seq=seq, fired_at=None)
                return None
            state, name, reason = self._command(schedule) if item is None else self._item_of(item, actor, now)
            row = self.one(
                "firing_insert", schedule=schedule, slot=due.slot, now=rows.ms(now), missed=due.missed, state=state,
                item=name, reason=reason, ended_at=None if state == "wanted" else rows.ms(now),
            )  # fmt: skip
            assert row is not None  # nobody else writes within the transaction
            self.run("schedule_looked", schedule=schedule, looked_at=looked_at, seq=seq, fired_at=rows.ms(now))
            data = {"schedule": schedule, "slot": due.slot, "missed": due.missed or None, "reason": reason or None}
            kind = "schedule.folded" if state == "folded" else "schedule.fired"
            said = {key: value for key, value in data.items() if value is not None}
            self.record(Entry(now, kind, actor, item=name, data=said))
            return rows.firing(row)

    def _item_of(self, item: WorkItem, actor: str, now: datetime) -> tuple[str, str, str]:
        (added,) = self.add([item], actor=actor, now=now)
        if added.applied:
            return "added", item.id, ""
        twin = self.one("item_by_dedupe", dedupe_key=item.dedupe_key)
        return "folded", twin["id"] if twin is not None else item.id, added.detail

    def _command(self, schedule: str) -> tuple[str, None, str]:
        before = self.one("firing_open", schedule=schedule)
        return ("wanted", None, "") if before is None else ("folded", None, f"that of {before['slot']} is not over")

    def begin_command(self, firing: int, now: datetime) -> bool:
        """Once more; False if it is over. Raises NotFound."""
        with self.together():
            if not self.run("firing_begin", id=firing):
                return False
            found = self._firing(firing)
            data = {"schedule": found.schedule, "slot": found.slot, "tries": found.tries}
            self.record(Entry(now, "schedule.running", "loop", data=data))
            return True

    def end_command(self, firing: int, state: str, reason: str, now: datetime, log: str | None = None) -> None:
        """What became of a command: done, failed, dropped; or wanted, if it was called off in order: that it was begun
        does not count then. What is over stays as it is. Raises NotFound.
        """
        with self.together():
            found, again = self._firing(firing), state == "wanted"
            ended = None if again else rows.ms(now)
            values = {"state": state, "reason": reason, "log": log, "ended_at": ended, "refund": int(again)}
            if self.run("firing_end", id=firing, **values):
                data = {"schedule": found.schedule, "slot": found.slot, "reason": reason, "log": log}
                said = {key: value for key, value in data.items() if value}
                self.record(Entry(now, "schedule.cut_off" if again else f"schedule.{state}", "loop", data=said))

    def _firing(self, firing: int) -> Firing:
        return rows.firing(known(self.one("firing_get", id=firing), "firing", str(firing)))
