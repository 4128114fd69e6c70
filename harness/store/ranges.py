"""What of a numeric space was looked at: ranges that are clean, claimed, or known to fail; the rest are gaps (P7-P11).

    gap --claim--> claimed --clean--> clean
                      |-----fail at p--> clean up to p, p known or a gap, behind it a gap
                      `-----release--> gap

The database refuses ranges that overlap, whoever writes them: a clean range is never looked at again, and no part is
looked at twice at a time. Neighbours that are clean become one. A space begun anew is its next epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harness.model.errors import Refused, Usage
from harness.model.journal import Entry
from harness.model.ranges import Range, first_gap
from harness.store import rows
from harness.store.journal import Journal


@dataclass(frozen=True, slots=True)
class Kept:
    """One range on record; `state` clean, claimed or known, `item` who claimed it or is about the failure."""

    range: Range
    state: str
    item: str | None


class Ranges(Journal):
    """Each method is one transaction. `epoch` 0 is the first."""

    def ranges(self, space: str, within: Range, epoch: int = 0) -> Sequence[Kept]:
        """Those that touch `within`, in order."""
        found = self.all("ranges_of", space=space, epoch=epoch, low=within.low, high=within.high)
        return [Kept(Range(row["low"], row["high"]), row["state"], row["item"]) for row in found]

    def epoch(self, space: str) -> int:
        """The newest of a space; 0 for one that nobody knows."""
        row = self.one("range_epoch", space=space)
        return 0 if row is None else int(row["epoch"])

    def claim_range(
        self,
        space: str,
        within: Range,
        most: int,
        *,
        actor: str,
        now: datetime,
        item: str | None = None,
        epoch: int = 0,
    ) -> Range | None:
        """Claim the first gap, at most `most` long; None if there is none."""
        with self.together():
            gap = first_gap(within, (kept.range for kept in self.ranges(space, within, epoch)), most)
            if gap is not None:
                self._keep_range(space, epoch, gap, "claimed", item, now)
                self._tell_range("range.claimed", space, epoch, gap, actor, now, item)
            return gap

    def clean_range(self, space: str, claimed: Range, *, actor: str, now: datetime, epoch: int = 0) -> None:
        """All of a claim is clean. Raises Refused if it is not claimed."""
        with self.together():
            self._unclaim(space, epoch, claimed)
            self._make_clean(space, epoch, claimed, now)
            self._tell_range("range.clean", space, epoch, claimed, actor, now)

    def fail_range(
        self,
        space: str,
        claimed: Range,
        at: int,
        *,
        actor: str,
        now: datetime,
        known: str | None = None,
        epoch: int = 0,
    ) -> None:
        """Position `at` of a claim fails: what is before it is clean, what is behind it is free again. With `known`,
        the item about it, the position is left out from here on; without, it is looked at again. Raises Refused, Usage.
        """
        if not claimed.low <= at < claimed.high:
            raise Usage(f"position {at} is not in {claimed}", hint="it fails where it was looked at")
        with self.together():
            self._unclaim(space, epoch, claimed)
            if at > claimed.low:
                self._make_clean(space, epoch, Range(claimed.low, at), now)
            if known is not None:
                self._keep_range(space, epoch, Range(at, at + 1), "known", known, now)
            self._tell_range("range.failed", space, epoch, claimed, actor, now, known, at=at)

    def release_range(self, space: str, claimed: Range, *, actor: str, now: datetime, epoch: int = 0) -> None:
        """Nothing is known of it: a gap again. Raises Refused if it is not claimed."""
        with self.together():
            self._unclaim(space, epoch, claimed)
            self._tell_range("range.released", space, epoch, claimed, actor, now)

    def _unclaim(self, space: str, epoch: int, claimed: Range) -> None:
        if not self.run("range_free", space=space, epoch=epoch, low=claimed.low, high=claimed.high):
            raise Refused(f"{claimed} of {space} is not claimed", hint="somebody else has ended or released it")

    def _make_clean(self, space: str, epoch: int, found: Range, now: datetime) -> None:
        beside = self.all("range_beside", space=space, epoch=epoch, low=found.low, high=found.high)
        low, high = (
            min([found.low, *(row["low"] for row in beside)]),
            max([found.high, *(row["high"] for row in beside)]),
        )
        self._keep_range(space, epoch, Range(low, high), "clean", None, now)

    def _keep_range(self, space: str, epoch: int, found: Range, state: str, item: str | None, now: datetime) -> None:
        values: dict[str, Any] = {"space": space, "epoch": epoch, "low": found.low, "high": found.high}
        self.run("range_insert", **values, state=state, item=item, now=rows.ms(now))

    def _tell_range(
        self, kind: str, space: str, epoch: int, found: Range, actor: str, now: datetime, item: str | None = None,
        **more: int,
    ) -> None:  # fmt: skip
        data = {"space": space, "epoch": epoch, "range": str(found), **more}
        self.record(Entry(now, kind, actor, item=item, data=data))
