"""Items: how they come in, and what an operator may change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness.model.errors import IllegalMove, Refused, Usage
from harness.model.journal import Entry
from harness.model.work import TRANSITIONS, Continuation, WorkItem, WorkState, check_id, rank_at
from harness.store import rows
from harness.store.cycles import find_cycle
from harness.store.database import known
from harness.store.journal import Journal

if TYPE_CHECKING:
    from harness.ports import Added

CHANGEABLE = frozenset(
    {
        *("title", "kind", "description", "repo", "priority", "lane", "depends_on", "not_before", "max_attempts"),
        *("agent", "model", "scope", "branch", "assigned", "resources", "timeout_seconds", "max_cost_usd", "labels"),
        *("extra", "rank_at"),
    }
)
_S = WorkState
_RESTING = frozenset({_S.BLOCKED, _S.DELAYED, _S.READY})
_OVER = frozenset({_S.DONE, _S.CANCELLED})


class Items(Journal):
    """The queue as operators and sources see it. Leases are elsewhere."""

    # --- in -----------------------------------------------------------------------------------------------------------

    def add(self, items: Sequence[WorkItem], *, actor: str, now: datetime) -> Sequence[Added]:
        """Add items in one transaction; they may depend on one another in any order.

        Raises Usage, and adds none, for an ill-formed id, an unknown dependency or a cycle.
        """
        _check_new(items)
        with self.together():
            answers = [self._insert(item, actor, now) for item in items]
            new = [item for item, answer in zip(items, answers, strict=True) if answer.applied]
            for item in new:
                self._write_deps(item.id, item.depends_on)
            held = {item.id: self._hold(item.id, now, actor) for item in new if item.depends_on}
            return [replace(a, detail=held.get(a.id) or a.detail) if a.applied else a for a in answers]

    def _insert(self, item: WorkItem, actor: str, now: datetime) -> Added:
        created = item.created_at or now
        state = item.state if item.state not in _RESTING else _resting(item.not_before, now)
        stored = replace(
            item,
            state=state,
            created_at=created,
            updated_at=now,
            not_before=item.not_before if state is not _S.READY else None,
            rank_at=item.rank_at or rank_at(created, 0, item.priority),
        )
        if not self.run("item_insert", **rows.item_row(stored)):
            return self._known_already(item)
        data = {"title": item.title, "kind": item.kind, "state": state.value, "source": item.source}
        self.record(Entry(now, "item.added", actor, item=item.id, data=data))
        return _answer(item.id, state.value, applied=True)

    def _known_already(self, item: WorkItem) -> Added:
        if row := self.one("item_state", id=item.id):
            state = row["state"]
            return _answer(item.id, f"id {item.id} exists: {state}; ./loop queue retry {item.id}", applied=False)
        seen = known(self.one("item_sighted", dedupe_key=item.dedupe_key), "item", item.id)
        detail = f"already in the queue as {seen['id']} ({seen['state']}), seen {seen['sightings']} times"
        return _answer(item.id, detail, applied=False)

    def _write_deps(self, item: str, needs: Iterable[str]) -> None:
        for position, need in enumerate(dict.fromkeys(needs)):
            if need == item:
                raise Usage(f"{item} depends on itself", hint="take it out of depends_on")
            if self.one("item_state", id=need) is None:
                raise Usage(f"{item} depends on {need}, which does not exist", hint="add that item first, or with it")
            self.run("deps_insert", item=item, needs=need, position=position)

    def _hold(self, item: str, now: datetime, actor: str) -> str | None:
        """Block an item that still waits for others; the sentence that says so."""
        current = self._item(item)
        reason = self._waits_for(item)
        if not reason or current.state not in _RESTING:
            return None
        self._move(current, _S.BLOCKED, reason, actor, now)
        return f"blocked: {reason}"

    def _waits_for(self, item: str) -> str:
        stopped = (_S.PARKED.value, _S.CANCELLED.value)
        waits = [
            f"{row['id']} ({row['state']})" if row["state"] in stopped else row["id"]
            for row in self.all("deps_unfinished", item=item)
        ]
        return f"waits for {', '.join(waits)}" if waits else ""

    # --- changes ------------------------------------------------------------------------------------------------------

    def update(self, item: str, changes: Mapping[str, Any], *, actor: str, now: datetime) -> WorkItem:
        """Change what an operator may change; a new priority shifts the rank, new dependencies or times the state.

        Raises Usage for another key or a cycle, NotFound, Refused if leased.
        """
        if foreign := sorted(changes.keys() - CHANGEABLE):
            allowed = ", ".join(sorted(CHANGEABLE - {"rank_at"}))
            raise Usage(f"cannot change {', '.join(foreign)} of {item}", hint=f"what can be changed: {allowed}")
        with self.together():
            before = self._unleased(item)
            shift = timedelta(hours=changes.get("priority", before.priority) - before.priority)
            ranked = {"rank_at": before.rank_at + shift} if before.rank_at else {}
            after = replace(before, **(ranked | dict(changes)), updated_at=now)
            if "depends_on" in changes:
                self._rewire(after)
            if changes.keys() & {"depends_on", "not_before"} and before.state in _RESTING:
                after = self._rested(after, now)
            self.run("item_update", **rows.item_row(after))
            data: dict[str, Any] = {"changes": dict(changes)}
            if after.state is not before.state:
                data |= {"from": before.state.value, "to": after.state.value}
            self.record(Entry(now, "item.updated", actor, item=item, data=data))
            return self._item(item)

    def _rewire(self, item: WorkItem) -> None:
        def needs(other: str) -> Iterable[str]:
            return item.depends_on if other == item.id else [r["needs"] for r in self.all("deps_of", item=other)]

        _refuse_cycle([item.id], needs)
        self.run("deps_clear", item=item.id)
        self._write_deps(item.id, item.depends_on)

    def _rested(self, item: WorkItem, now: datetime) -> WorkItem:
        """The state that follows from what an idle item waits for."""
        if reason := self._waits_for(item.id):
            return replace(item, state=_S.BLOCKED, reason=reason)
        state = _resting(item.not_before, now)
        reason = "" if item.state is _S.BLOCKED else item.reason
        return replace(item, state=state, reason=reason, not_before=item.not_before if state is _S.DELAYED else None)

    def _item(self, item: str) -> WorkItem:
        return known(self.item(item), "item", item)

    def _unleased(self, item: str) -> WorkItem:
        found = self._item(item)
        if found.state is _S.LEASED:
            raise Refused(
                f"{item} is being worked on (lease {found.fence})",
                hint="./loop pause or ./loop session stop first, or wait for its end",
            )
        return found

    def move(self, item: str, state: WorkState, reason: str, *, actor: str, now: datetime) -> WorkItem:
        """An operator's move. To ready (retry, unpark) from every state but leased: `max_attempts` becomes at least
        attempts + 1, waiting times, rescues and deferrals are forgotten, attempts never (architecture 6).

        Raises NotFound, IllegalMove, Refused if leased, and to ready if a person has it. Any other move ends hand work.
        """
        with self.together():
            found = self._unleased(item)
            if found.by_hand and found.continuation is not None:
                if state is _S.READY:
                    raise Refused(f"{item} is {found.reason}", hint=f"./loop queue return {item}")
                found = replace(found, assigned=None, continuation=replace(found.continuation, mode="work"))
            if state is _S.READY:
                again = max(found.max_attempts, found.attempts + 1)
                found = replace(found, max_attempts=again, not_before=None, rescues=0, deferrals=0)
            self._move(found, state, reason, actor, now)
            self._release_dependants(item, actor, now)
            return self._item(item)

    def carry(self, item: str, continuation: Continuation, *, actor: str, now: datetime) -> WorkItem:
        """Where the next lease goes on, by an operator's will. Raises NotFound, Refused if leased."""
        with self.together():
            found = replace(self._unleased(item), continuation=continuation, updated_at=now)
            self.run("item_carry", **rows.item_row(found))
            changes = {"continuation": continuation.mode, "wip_ref": continuation.wip_ref}
            self.record(Entry(now, "item.updated", actor, item=item, data={"changes": changes}))
            return self._item(item)

    def settle_held(self, item: str, state: WorkState, reason: str, outcome: str, now: datetime) -> WorkItem:
        """The end of an item that waited for its integration. Raises NotFound, IllegalMove, Refused (leased, ended)."""
        with self.together():
            found = self._unleased(item)
            goes_on = None if found.by_hand else found.continuation
            found = replace(found, outcome=outcome, continuation=goes_on)
            if found.state is state:
                raise Refused(f"{item} is {state} already: somebody else settled it", hint=f"./loop why {item}")
            self._move(found, state, reason, "loop", now, kind="item.settled")
            self._release_dependants(item, "loop", now)
            return self._item(item)

    def _move(  # the one way out of a state that is not a lease
        self, item: WorkItem, state: WorkState, reason: str, actor: str, now: datetime, *, kind: str = "item.moved"
    ) -> None:
        if state is not item.state and state not in TRANSITIONS[item.state] - {_S.LEASED}:
            allowed = ", ".join(sorted(TRANSITIONS[item.state] - {_S.LEASED}))
            raise IllegalMove(f"{item.id} is {item.state}: it cannot become {state}", hint=f"from here: {allowed}")
        if item.state in _OVER and state not in _OVER:
            self._refuse_twin(item)
        values = rows.item_row(replace(item, state=state, reason=reason, updated_at=now))
        self.run("item_move", **values)
        data = {"from": item.state.value, "to": state.value, "reason": reason, "outcome": item.outcome}
        self.record(Entry(now, kind, actor, item=item.id, data=data))

    def _refuse_twin(self, item: WorkItem) -> None:
        """A finished item whose like is open again stays finished: the two would be one piece of work."""
        if item.dedupe_key is not None and (twin := self.one("item_by_dedupe", dedupe_key=item.dedupe_key)) is not None:
            raise Refused(f"{twin['id']} is open for the same as {item.id}", hint=f"./loop queue show {twin['id']}")

    def _release_dependants(self, item: str, actor: str, now: datetime) -> None:
        """What waits for this item goes on, or says what has become of it."""
        for row in self.all("dependants_blocked", needs=item):
            reason = self._waits_for(row["id"])
            if reason == row["reason"]:
                continue
            state = _S.BLOCKED if reason else _resting(rows.at_or_none(row["not_before"]), now)
            self.run("item_rest", id=row["id"], state=state.value, reason=reason, now=rows.ms(now))
            data = {"from": "blocked", "to": state.value, "reason": reason or f"{item} is done"}
            self.record(Entry(now, "item.moved", actor, item=row["id"], data=data))


def _answer(item: str, detail: str, *, applied: bool) -> Added:
    # Here, not above: an order of an operator that adds nothing does not need the page of ports, which costs 25 ms.
    from harness.ports import Added  # noqa: PLC0415

    return Added(item, applied, detail)


def _resting(not_before: datetime | None, now: datetime) -> WorkState:
    return _S.DELAYED if not_before is not None and not_before > now else _S.READY


def _check_new(items: Sequence[WorkItem]) -> None:
    for item in items:
        check_id(item.id)
        if item.state is _S.LEASED:
            raise Usage(f"{item.id} cannot be added as leased", hint="leave state out")
    needs = {item.id: item.depends_on for item in items if item.depends_on}
    _refuse_cycle(needs, lambda item: needs.get(item, ()))


def _refuse_cycle(items: Iterable[str], needs: Any) -> None:
    if cycle := find_cycle(items, needs):
        raise Usage(f"the items depend on each other: {' -> '.join(cycle)}", hint="take one out of depends_on")
