"""Planted bugs: loops that are wrong in one way each. A simulator that does not find them proves nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from harness.model.journal import AttemptRow, Entry
from harness.model.work import Lease, WorkItem
from harness.ports import Settlement
from harness.store import rows
from harness.testing.machine import Design
from harness.testing.standins import SimulatedStore

LOST_EVERY = 40


class NoFenceCheck(SimulatedStore):
    """A lease that was given to somebody else still writes."""

    def _held(self, lease: Lease) -> WorkItem:
        return self._item(lease.item.id)

    def _free(self, lease: Lease, item: WorkItem, now: datetime) -> None:  # noqa: ARG002 - that is the bug
        current = self.one("lease_holder", id=item.id)
        assert current is not None
        values = {"fence": current["fence"], "owner": current["owner"], "now": rows.ms(now)}
        self.run("item_settle", **(rows.item_row(item) | values))


class CountedTwice(SimulatedStore):
    """The second failure of an agent counts for two."""

    def _free(self, lease: Lease, item: WorkItem, now: datetime) -> None:
        twice = item.attempts > lease.item.attempts and lease.fence > 1
        super()._free(lease, replace(item, attempts=item.attempts + 1) if twice else item, now)


class SettledTwice(SimulatedStore):
    """Every fifth lease of an item tells of its end twice."""

    def settle(self, lease: Lease, settlement: Settlement, now: datetime) -> WorkItem:
        with self.together():
            item = super().settle(lease, settlement, now)
            if lease.fence % 5 == 0:
                self._tell(lease, item, settlement, now, counted=False)
            return item


class ForgetfulBreaker(SimulatedStore):
    """Recovery resets the breaker: failures from before the start of this loop are not seen."""

    _begun: datetime | None = None

    def begin_run(self, run: str, *, pid: int, version: str, now: datetime) -> None:
        self._begun = now
        super().begin_run(run, pid=pid, version=version, now=now)

    def streak(self, limit: int) -> Sequence[AttemptRow]:
        begun = self._begun
        return [a for a in super().streak(limit) if begun is None or a.started_at >= begun]


class LostEntry(SimulatedStore):
    """The journal of every loop loses its fortieth entry of a move."""

    _moves = 0

    def record(self, entry: Entry) -> None:
        self._moves += entry.kind in ("item.moved", "item.settled")
        if self._moves != LOST_EVERY:
            super().record(entry)


FAULTS: Mapping[str, Design] = MappingProxyType(
    {
        "no-fence-check": Design(store=NoFenceCheck),
        "counted-twice": Design(store=CountedTwice),
        "settled-twice": Design(store=SettledTwice),
        "breaker-reset-by-recovery": Design(store=ForgetfulBreaker),
        "lost-journal-entry": Design(store=LostEntry),
    }
)
