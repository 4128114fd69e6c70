"""Leases: the right to one item, from the choice to the settlement.

    ready --lease--> leased --settle--> done | ready | delayed | waiting | parked | cancelled

Each lease raises the item's fence by one and opens an attempt. Every write under a lease names its fence and owner and
is refused once either is no longer the item's (LeaseLost): a worker that was believed dead cannot do harm (H13, H14).
A lease never runs out by itself; the reconciler settles those whose owner is dead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness.model.errors import LeaseLost, Refused, Usage
from harness.model.journal import AttemptRow, Entry
from harness.model.outcome import ENDINGS, LONGEST_WAIT, Cause, Disposition, Failed, Outcome, Verified, outcome_word
from harness.model.session import SessionRow
from harness.model.work import Lease, Phase, WorkItem, WorkState
from harness.store import rows
from harness.store.database import known
from harness.store.items import Items
from harness.store.pauses import Barriers, Pauses, barriers
from harness.store.sessions import Sessions

if TYPE_CHECKING:
    from harness.ports import LeaseRules, Orphan, Settlement

_FACTS = frozenset(field.name for field in fields(AttemptRow)) - {
    *("id", "item", "fence", "owner", "phase", "number", "started_at", "ended_at", "counted"),
}
_FACTS_OF_PHASES = frozenset({"base", "seal", "workspace", "commits", "verdicts"})
_UNKNOWN: Mapping[str, Any] = dict.fromkeys(_FACTS_OF_PHASES)

MOST_SEEN = 300
"""Characters of the evidence's first line that reach the journal; all of it is kept with the attempt."""


class Leases(Items, Pauses, Sessions):
    """Lease, phase, settle; and what is left when an owner dies."""

    # --- owners -------------------------------------------------------------------------------------------------------

    def register(self, owner: str, *, pid: int, boot: str, start: int, kind: str, now: datetime) -> None:
        with self.together():
            self.run("owner_register", owner=owner, pid=pid, boot=boot, start=start, kind=kind, now=rows.ms(now))

    def owners(self) -> Sequence[str]:
        return [row["owner"] for row in self.all("owners_known")]

    def forget(self, owner: str, now: datetime) -> None:
        """Raises Refused while it holds a lease: somebody has to settle that first."""
        with self.together():
            if held := self.all("leased_by", owners=rows.names([owner])):
                ids = ", ".join(row["id"] for row in held)
                raise Refused(
                    f"owner {owner} still holds {ids}", hint="the loop settles it at its next start or within a minute"
                )
            self.run("owner_end", owner=owner, now=rows.ms(now))

    def orphans(self, dead: Sequence[str]) -> Sequence[Orphan]:
        """Leases of dead owners with attempt and last session; changes nothing."""
        with self.snapshot():
            return [self._orphan(row) for row in self.all("leased_by", owners=rows.names(dead))]

    def _orphan(self, row: Any) -> Orphan:
        # Here, not above: see items._answer.
        from harness.ports import Orphan  # noqa: PLC0415

        key = {"item": row["id"], "fence": row["fence"]}
        attempt = rows.attempt(known(self.one("attempt_facts", **key), "attempt", row["id"]))
        session = self.one("session_of_lease", **key)
        lease = Lease(rows.item(row), row["owner"], row["fence"], attempt.id, rows.at(row["leased_at"]))
        boot = self.one("owner_boot", owner=row["owner"])
        last = None if session is None else rows.session(session)
        reviews = tuple(rows.session(each) for each in self.all("reviews_of_lease", **key))
        return Orphan(lease, attempt, last, None if boot is None else boot["boot"], reviews)

    # --- lease --------------------------------------------------------------------------------------------------------

    def lease(self, owner: str, rules: LeaseRules, now: datetime) -> Lease | None:
        """The best ready item that nothing holds back, or None. One transaction, also the promotion of what is due."""
        with self.together():
            self._promote(now)
            pauses = self.expired(self.pauses(), now)
            out = self.all("leases_out_at" if pauses else "leases_out")
            kept_out = barriers(pauses, self._crowd(out, rules), out, rules, now)
            if kept_out.everything:
                return None
            taken = self._take(owner, rules, kept_out, now)
            return None if taken is None else self._granted(self._item(taken), owner, rules, kept_out, now)

    def _promote(self, now: datetime) -> None:
        if not self.all("due_any", now=rows.ms(now)):
            return
        for row in self.all("due_promote", now=rows.ms(now)):
            data = {"from": "delayed", "to": "ready", "reason": row["reason"]}
            self.record(Entry(now, "item.moved", "loop", item=row["id"], data=data))

    def _take(self, owner: str, rules: LeaseRules, kept_out: Barriers, now: datetime) -> str | None:
        values = {"owner": owner, "actor": rules.actor, "now": rows.ms(now)}
        if kept_out.none and rules.only is None:
            taken = self.one("lease_take_any", **values)
        else:
            crowd = kept_out.crowd
            held_back = {name: rows.names(getattr(kept_out, name)) for name in ("repos", "kinds", "items")}
            held_back |= {"lanes": rows.names(crowd.lanes)}
            self._room.look(crowd, rules.default_repository)
            values |= {"default_repository": rules.default_repository, "least_urgent": kept_out.least_urgent}
            only = None if rules.only is None else rows.names(rules.only)
            taken = self.one("lease_take", **values, **held_back, only=only)
        return None if taken is None else taken["id"]

    def _granted(self, item: WorkItem, owner: str, rules: LeaseRules, kept_out: Barriers, now: datetime) -> Lease:
        self._occupy(item, rules)
        number = item.attempts + 1
        values = {"item": item.id, "fence": item.fence, "owner": owner, "number": number, "now": rows.ms(now)}
        attempt = self.insert("attempt_insert", values)
        data: dict[str, Any] = {"fence": item.fence, "owner": owner, "attempt": number}
        if item.continuation:
            data["continues"] = item.continuation.mode
        if kept_out.probes:
            data["probes"] = kept_out.probes
        self.record(Entry(now, "item.leased", rules.actor, item=item.id, data=data))
        return Lease(replace(item, repo=item.repo or rules.default_repository), owner, item.fence, attempt, now)

    def next_wake(self, now: datetime) -> datetime | None:
        """When the next delayed item becomes ready or the next pause may be probed."""
        row = self.one("wake_at", now=rows.ms(now))
        return None if row is None else rows.at_or_none(row["at"])

    # --- under the lease ----------------------------------------------------------------------------------------------

    def _check_held(self, lease: Lease) -> None:
        """Raises LeaseLost unless the lease is the item's newest."""
        holder = known(self.one("lease_holder", id=lease.item.id), "item", lease.item.id)
        if tuple(holder) != ("leased", lease.fence, lease.owner):
            now = f"{holder['state']}, lease {holder['fence']}" + (f" of {holder['owner']}" if holder["owner"] else "")
            raise LeaseLost(
                f"lease {lease.fence} of {lease.item.id} by {lease.owner} is lost: the item is {now}",
                hint=f"./loop why {lease.item.id}",
            )

    def open_session(self, lease: Lease, session: SessionRow) -> None:
        """Raises LeaseLost; Refused for an id that exists."""
        with self.together():
            self._check_held(lease)
            if self.one("session_status", id=session.id):
                raise Refused(f"session {session.id} exists already", hint="./loop session list")
            self.insert("session_insert", rows.session_row(session))
            at = session.started_at or lease.leased_at
            data = {"attempt": session.attempt, "agent": session.agent, "status": session.status.value}
            data |= {"claude_session_id": session.claude_session_id, "parent": session.parent}
            self.record(Entry(at, "session.opened", lease.owner, item=session.item, session=session.id, data=data))

    def phase(self, lease: Lease, phase: Phase, now: datetime, **facts: Any) -> None:
        """How far the attempt is, and what is known by then. Raises LeaseLost, Usage for an unknown fact."""
        _check_facts(facts, _FACTS_OF_PHASES)
        known_now = {**_UNKNOWN, **rows.attempt_facts(facts)}
        with self.together():
            self._check_held(lease)
            self.run("attempt_phase", item=lease.item.id, fence=lease.fence, phase=phase.value, **known_now)
            data = {"phase": phase.value, "fence": lease.fence} | facts
            self.record(Entry(now, "attempt.phase", lease.owner, item=lease.item.id, data=data))

    def _write_attempt(self, lease: Lease, facts: dict[str, Any]) -> None:
        _check_facts(facts, _FACTS | {"phase", "ended_at", "counted"})
        before = known(self.one("attempt_facts", item=lease.item.id, fence=lease.fence), "attempt", lease.item.id)
        self.run("attempt_write", **(rows.columns(before) | rows.attempt_facts(facts)))

    def begin_waits_anew(self, now: datetime) -> int:
        """Waits of ours that were set at a time after `now` (the clock was set back) get their length from now on; how
        many. What an operator set is left alone.
        """
        with self.together():
            longest = LONGEST_WAIT // timedelta(milliseconds=1)
            items = self.all("waits_begin_anew", now=rows.ms(now), longest=longest)
            for row in items:
                data = {"changes": {"not_before": rows.at(row["not_before"])}}
                self.record(Entry(now, "item.updated", "loop", item=row["id"], data=data))
            return len(items) + self.begin_pauses_anew(now)

    # --- settle -------------------------------------------------------------------------------------------------------

    def settle(self, lease: Lease, settlement: Settlement, now: datetime) -> WorkItem:
        """Item, attempt, session, question, dependants and journal in one transaction.

        Raises LeaseLost, also if the session has gone on since its evidence was read: its owner was not dead then.
        """
        with self.together():
            self._check_held(lease)
            self._check_unchanged(settlement)
            item = self._item(lease.item.id)
            counted = _counts(settlement.outcome, settlement.disposition)
            self._free(lease, settled(item, settlement, counted=counted), now)
            self._end_attempt(lease, settlement, now, counted=counted)
            if settlement.session is not None:
                self._write_session(settlement.session, now)
            for review in settlement.reviews:
                self._write_session(review, now)
            if settlement.question is not None:
                self.ask(lease, settlement, now)
            self._tell(lease, item, settlement, now, counted=counted)
            self._release_dependants(item.id, lease.owner, now)
            return self._item(item.id)

    def _check_unchanged(self, settlement: Settlement) -> None:
        if settlement.seen is None or settlement.session is None:
            return
        row = self.one("session_status", id=settlement.session.id)
        if row is not None and row["status"] != settlement.seen.value:
            raise LeaseLost(
                f"session {settlement.session.id} has gone on from {settlement.seen.value} to {row['status']}",
                hint="the next look settles it",
            )

    def _free(self, lease: Lease, item: WorkItem, now: datetime) -> None:
        values = rows.item_row(item)
        written = self.run("item_settle", **(values | {"owner": lease.owner, "now": rows.ms(now)}))
        assert written == 1

    def _end_attempt(self, lease: Lease, settlement: Settlement, now: datetime, *, counted: bool) -> None:
        outcome = settlement.outcome
        facts: dict[str, Any] = {"sentence": settlement.disposition.reason, "outcome": outcome_word(outcome)}
        if isinstance(outcome, Failed):
            cause = ENDINGS[outcome.ending].cause.value
            facts |= {"ending": outcome.ending, "cause": cause, "evidence": outcome.evidence}
        if isinstance(outcome, Verified):
            facts["verdicts"] = outcome.verdicts
        facts |= settlement.attempt or {}
        self._write_attempt(lease, facts | {"phase": Phase.SETTLED.value, "ended_at": now, "counted": counted})

    def _tell(self, lease: Lease, item: WorkItem, settlement: Settlement, now: datetime, *, counted: bool) -> None:
        disposition, outcome = settlement.disposition, settlement.outcome
        data: dict[str, Any] = {"from": "leased", "to": disposition.state.value, "outcome": outcome_word(outcome)}
        data |= {"ending": outcome.ending if isinstance(outcome, Failed) else None, "counted": counted}
        data |= {"fence": lease.fence, "attempts": item.attempts + counted, "reason": disposition.reason}
        if item.by_hand:
            data["by"] = item.assigned
        if isinstance(outcome, Failed) and outcome.evidence:
            data["seen"] = outcome.evidence.strip().splitlines()[0][:MOST_SEEN]
        session = settlement.session.id if settlement.session else None
        self.record(Entry(now, "item.settled", lease.owner, item=item.id, session=session, data=data))


def _check_facts(facts: Mapping[str, Any], allowed: frozenset[str]) -> None:
    if unknown := sorted(facts.keys() - allowed):
        raise Usage(f"an attempt has no {', '.join(unknown)}", hint=f"it has {', '.join(sorted(allowed))}")


def _counts(outcome: Outcome, disposition: Disposition) -> bool:
    """Only endings of cause agent count against an item (architecture 6)."""
    return disposition.counted and isinstance(outcome, Failed) and ENDINGS[outcome.ending].cause is Cause.AGENT


def settled(item: WorkItem, settlement: Settlement, *, counted: bool) -> WorkItem:
    """The item after its lease. Pure.

    Rescues and deferrals count in a row: a counted or finished attempt ends the row, an interruption leaves it.
    """
    disposition = settlement.disposition
    ended = counted or disposition.state is WorkState.DONE
    return replace(
        item,
        state=disposition.state,
        reason=disposition.reason,
        not_before=disposition.not_before,
        attempts=item.attempts + counted,
        rescues=0 if ended else item.rescues + disposition.rescued,
        deferrals=0 if ended else item.deferrals + disposition.deferred,
        continuation=disposition.continuation,
        outcome=outcome_word(settlement.outcome),
    )
