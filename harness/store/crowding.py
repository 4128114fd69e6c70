"""What must not run beside what runs now: full lanes and repositories, resources that are taken, overlapping scopes.

Looked at inside the transaction of a lease. Items without resources and scope are chosen from the index alone; one with
any is held against what is leased, and the next is taken if there is no room for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.model.errors import Refused
from harness.model.work import WorkItem
from harness.store.journal import Journal
from harness.store.room import Crowd, Room, wishes

if TYPE_CHECKING:
    from harness.ports import LeaseRules


class Crowding(Journal):
    """Inside the transactions of leases."""

    def __init__(self, path: Path, *, gate: Path | None = None, read_only: bool = False) -> None:
        super().__init__(path, gate=gate, read_only=read_only)
        self._room = Room()
        if not read_only:
            self._connection.create_function("has_room", 1, self._room)

    def _crowd(self, out: Sequence[Any], rules: LeaseRules) -> Crowd:
        """`out` are lane, repo and exclusive of what is leased now."""
        if not out:
            return Crowd()
        taken = frozenset(row["name"] for row in self.all("resources_taken"))
        return Crowd(_full_lanes(out, rules), _full_repositories(out, taken, rules), taken, _scopes(out, rules))

    def _occupy(self, item: WorkItem, rules: LeaseRules) -> None:
        """Take what the lease needs. Freed by the database, however the lease ends. Raises Refused if it is taken."""
        for name in dict.fromkeys((*item.resources, *rules.of(item.repo).resources)):
            if not self.run("resource_take", resource=name, item=item.id, fence=item.fence):
                row = self.one("resource_of", resource=name)
                holder = "another item" if row is None else row["item"]
                raise Refused(f"{item.id} needs {name}, which {holder} has now", hint=f"./loop why {holder}")


def _repo(row: Any, rules: LeaseRules) -> str:
    return row["repo"] or rules.default_repository or ""


def _full_lanes(out: Sequence[Any], rules: LeaseRules) -> tuple[str, ...]:
    running = Counter(lease["lane"] for lease in out)
    return tuple(lane for lane, cap in rules.lane_caps.items() if cap is not None and running[lane] >= cap)


def _full_repositories(out: Sequence[Any], taken: frozenset[str], rules: LeaseRules) -> tuple[str, ...]:
    if not rules.repositories:
        return ()
    running = Counter(_repo(lease, rules) for lease in out)
    return tuple(
        name
        for name, rule in rules.repositories.items()
        if (rule.running is not None and running[name] >= rule.running) or not taken.isdisjoint(rule.resources)
    )


def _scopes(out: Sequence[Any], rules: LeaseRules) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for lease in out:
        if lease["exclusive"] is not None and rules.of(lease["repo"]).one_scope:
            *_, scope = wishes(lease["exclusive"])
            if scope:
                found.setdefault(_repo(lease, rules), []).extend(scope)
    return found
