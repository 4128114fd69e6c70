"""What sessions may cost that have begun, over all processes: the check and the reservation are one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from harness.model.budget import Others
from harness.model.work import Lease
from harness.store.sessions import Sessions

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")


class Money(Sessions):
    """Reservations of sessions; those of other owners count as long as their attempt goes on, then its cost does."""

    def reserve(self, lease: Lease, usd: Decimal, after: int, judge: Callable[[Others], T | None]) -> T | None:
        """Hold back `usd` for the session of a lease, unless `judge` says something of what others have reserved and,
        in attempts that ended after entry `after` of the journal, spent: that is the answer then.
        """
        with self.together():
            others = Others(
                _by_kind(self.all("reserved_by_others", owner=lease.owner)),
                _by_kind(self.all("spent_by_others", owner=lease.owner, after=after)),
            )
            if (refusal := judge(others)) is None:
                self.run("reservation_put", attempt=lease.attempt_id, kind=lease.item.kind, usd=str(usd))
            return refusal

    def sums(self, since: datetime) -> tuple[Mapping[str, Decimal], Mapping[str, Decimal], int]:
        """What was spent at all and since the begin of a day, by kind, and up to which entry of the journal."""
        with self.snapshot():
            row = self.one("journal_end")
            assert row is not None
            return self.spent(), self.spent(since=since), row["seq"]


def _by_kind(rows: Iterable[Any]) -> Mapping[str, Decimal]:
    found: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        found[row["kind"]] += Decimal(str(row["usd"]))
    return found
