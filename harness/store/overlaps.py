"""Scopes that overlap: of two items of one repository, where that is refused, only the first is added."""

from __future__ import annotations

import json
from collections.abc import Sequence

from harness.model.work import Apart, WorkItem
from harness.store.journal import Journal


class Overlaps(Journal):
    """Inside the transaction of whoever adds."""

    def _overlapping(self, item: WorkItem, apart: Apart | None) -> str | None:
        """Which unfinished item stands in the way, in one sentence; None if nothing does, or nobody asked."""
        repository = (apart or {}).get(item.repo)
        if repository is None or not item.scope or self.one("item_state", id=item.id) is not None:
            return None
        assert apart is not None
        for row in self.stream("items_scoped"):
            if apart.get(row["repo"]) == repository and (pair := _first_pair(item.scope, json.loads(row["scope"]))):
                mine, its = pair
                other = f"{its} of {row['id']} ({row['state']})"
                return f"its scope {mine} overlaps {other}: overlap is refuse in {repository}"
        return None


def _first_pair(one: Sequence[str], other: Sequence[str]) -> tuple[str, str] | None:
    from harness.model.globs_meet import meet  # noqa: PLC0415 - for installations that refuse overlaps only

    return next(((mine, its) for mine in one for its in other if meet([mine], [its])), None)
