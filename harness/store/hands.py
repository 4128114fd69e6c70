"""Hand work: an item that a person takes out of the queue, hands in and gives back (O10, R12).

    ready, delayed, blocked, waiting, parked --take--> waiting, assigned --give_back--> ready, or blocked
                                                          │        ▲
                                            lease_by_hand ▼        │ red, or cut off
                                                        leased ────┴──settle──► done

While a person has an item its continuation is `hand`; whatever it is settled to but done leaves it so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from harness.model.errors import Refused
from harness.model.journal import Integration
from harness.model.work import HAND, Continuation, Lease, WorkItem, WorkState
from harness.store import rows
from harness.store.followups import Followups
from harness.store.pauses import Barriers

if TYPE_CHECKING:
    from harness.ports import RepositoryRules

_OVER = frozenset({WorkState.DONE, WorkState.CANCELLED})


class Hands(Followups):
    def take(self, item: str, person: str, *, actor: str, now: datetime) -> WorkItem:
        """Raises NotFound; Refused if it is leased, finished, or with another person. Twice is once."""
        with self.together():
            found = self._unleased(item)
            if found.state in _OVER:
                raise Refused(f"{item} is finished: {found.state}", hint=f"./loop queue retry {item}, then take it")
            if found.by_hand and found.state is WorkState.WAITING:
                if found.assigned == person:
                    return found
                raise Refused(f"{item} is {found.reason}", hint=f"./loop queue return {item}")
            since = now.astimezone().isoformat(sep=" ", timespec="minutes")
            reason = f"in the hands of {person} since {since}"
            self._give_up(self.integrations(item=item, states=("held",)), f"taken by {person}", now)
            hand = replace(found.continuation or Continuation(HAND, reason), mode=HAND, reason=reason)
            taken = replace(found, assigned=person, not_before=None, continuation=hand)
            self._move(taken, WorkState.WAITING, reason, actor, now, kind="item.taken")
            return self._item(item)

    def _give_up(self, held: Sequence[Integration], reason: str, now: datetime) -> None:
        """Else the minute's try would bring to the branch what a person is changing."""
        for row in held:
            self.resolve(row.id, "aborted", now, reason=reason)

    def give_back(self, item: str, continuation: Continuation | None, *, actor: str, now: datetime) -> WorkItem:
        """Unassigned and ready, or blocked by what it still waits for. Raises NotFound, Refused if nobody has it."""
        with self.together():
            found = self._held_by_hand(item)
            again = max(found.max_attempts, found.attempts + 1)
            free = replace(found, assigned=None, continuation=continuation, max_attempts=again, rescues=0, deferrals=0)
            self._move(free, WorkState.READY, f"given back by {actor}", actor, now, kind="item.returned")
            self._hold(item, now, actor)
            return self._item(item)

    def lease_by_hand(
        self,
        owner: str,
        item: str,
        default_repository: str | None,
        now: datetime,
        repositories: Mapping[str, RepositoryRules] | None = None,
    ) -> Lease:
        """Raises NotFound; Refused if it is leased, nobody has it, or another item has what it needs."""
        # Here, not above: see items._answer.
        from harness.ports import LeaseRules  # noqa: PLC0415

        with self.together():
            found = self._held_by_hand(item)
            self.run("lease_offer", id=item)
            self.run("lease_named", id=item, owner=owner, now=rows.ms(now))
            rules = LeaseRules(found.assigned or owner, {}, default_repository, repositories=repositories or {})
            return self._granted(self._item(item), owner, rules, Barriers(), now)

    def _held_by_hand(self, item: str) -> WorkItem:
        found = self._unleased(item)
        if found.by_hand and found.state is WorkState.WAITING:
            return found
        raise Refused(f"nobody has taken {item}: it is {found.state}", hint=f"./loop queue take {item}")
