"""Items: how they come in, and what an operator may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness.model.dependencies import Way
from harness.model.errors import IllegalMove, Refused, Usage
from harness.model.journal import Entry
from harness.model.work import TRANSITIONS, Apart, Continuation, WorkItem, WorkState, check_id, rank_at
from harness.store import rows
from harness.store.database import known
from harness.store.dependencies import Dependencies, refuse_cycle, resting, state_of
from harness.store.overlaps import Overlaps
from harness.store.questions import Questions

if TYPE_CHECKING:
    from harness.ports import Added

CHANGEABLE = frozenset(
    {
        *("title", "kind", "description", "repo", "priority", "lane", "depends_on", "not_before", "max_attempts"),
        *("on_failure", "dedupe_key"),
        *("agent", "model", "scope", "branch", "assigned", "resources", "timeout_seconds", "max_cost_usd", "labels"),
        *("extra", "rank_at"),
    }
)
_S = WorkState
_RESTING = frozenset({_S.BLOCKED, _S.DELAYED, _S.READY})
_OVER = frozenset({_S.DONE, _S.CANCELLED})
_TOGETHER = 1000
"""Items of a large import that are written by one call."""


class Items(Dependencies, Questions, Overlaps):
    """The queue as operators and sources see it. Leases are elsewhere."""

    # --- in -----------------------------------------------------------------------------------------------------------

    def add(
        self, items: Sequence[WorkItem], *, actor: str, now: datetime, apart: Apart | None = None
    ) -> Sequence[Added]:
        """Add items in one transaction; they may depend on one another in any order.

        One whose scope overlaps that of an unfinished item is not added where `apart` says so. Raises Usage, and adds
        none, for an ill-formed id, an unknown dependency or a cycle.
        """
        _check_new(items)
        with self.together():
            answers = self._insert_all(items, actor, now, apart)
            new = [item for item, answer in zip(items, answers, strict=True) if answer.applied]
            for item in new:
                self._write_deps(item.id, item.depends_on)
            held = {item.id: self._hold(item.id, now, actor) for item in new if item.depends_on}
            return [replace(a, detail=why) if a.applied and (why := held.get(a.id)) else a for a in answers]

    def _insert_all(self, items: Sequence[WorkItem], actor: str, now: datetime, apart: Apart | None) -> Sequence[Added]:
        answers: list[Added] = []
        for first in range(0, len(items), _TOGETHER):
            some = items[first : first + _TOGETHER]
            if len(some) > 1 and self._are_plain(some, apart):
                answers += self._insert_plain(some, actor, now)
            else:
                answers += [self._insert(item, actor, now, apart) for item in some]
        return answers

    def _are_plain(self, items: Sequence[WorkItem], apart: Apart | None) -> bool:
        """Whether nothing of what is there, nor of each other, can keep any of them out."""
        ids = {item.id for item in items}
        alone = all(item.dedupe_key is None and not (item.scope and apart) for item in items)
        return alone and len(ids) == len(items) and not self.all("items_any_of", ids=rows.names(sorted(ids)))

    def _insert_plain(self, items: Sequence[WorkItem], actor: str, now: datetime) -> Sequence[Added]:
        stored = [self._stored(item, now) for item in items]
        written = self.run_many("item_insert", [rows.item_row(item) for item in stored])
        assert written == len(items)
        self.record_many([_entry(item, actor, now) for item in stored])
        return [_answer(item.id, item.state.value, applied=True) for item in stored]

    def _insert(self, item: WorkItem, actor: str, now: datetime, apart: Apart | None) -> Added:
        if overlap := self._overlapping(item, apart):
            return _answer(item.id, overlap, applied=False)
        stored = self._stored(item, now)
        if not self.run("item_insert", **rows.item_row(stored)):
            return self._known_already(item, actor, now)
        self.record(_entry(stored, actor, now))
        again = f", a regression: {stored.regression_of} was done for the same" if stored.regression_of else ""
        return _answer(item.id, f"{stored.state.value}{again}", applied=True)

    def _stored(self, item: WorkItem, now: datetime) -> WorkItem:
        """A new item as it is written; the usual one is so already, and a large import is a million copies."""
        if _is_complete(item, now):
            return item
        created = item.created_at or now
        state = item.state if item.state not in _RESTING else resting(item.not_before, now)
        return replace(
            item,
            state=state,
            created_at=created,
            updated_at=now,
            not_before=item.not_before if state is not _S.READY else None,
            rank_at=item.rank_at or rank_at(created, 0, item.priority),
            regression_of=self._done_before(item),
        )

    def _done_before(self, item: WorkItem) -> str | None:
        """The predecessor of a finding that comes back. A key that is the item's own source says that there is one at a
        time (schedules): such items come again because their time has come.
        """
        if item.dedupe_key is None or item.dedupe_key == item.source:
            return None
        row = self.one("item_done_before", dedupe_key=item.dedupe_key)
        return None if row is None else str(row["id"])

    def _known_already(self, item: WorkItem, actor: str, now: datetime) -> Added:
        twin = self.one("item_by_dedupe", dedupe_key=item.dedupe_key)
        found = self.one("item_state", id=item.id)
        if found is not None and (twin is None or twin["id"] != item.id):
            detail = f"id {item.id} exists: {found['state']}; ./loop queue retry {item.id}"
            return _answer(item.id, detail, applied=False)
        before = known(twin, "item", item.id)
        values = {"dedupe_key": item.dedupe_key, "priority": item.priority, "now": rows.ms(now)}
        seen = known(self.one("item_sighted", **values), "item", item.id)
        if seen["priority"] != before["priority"]:
            data = {"changes": {"priority": seen["priority"]}, "sightings": seen["sightings"]}
            self.record(Entry(now, "item.updated", actor, item=seen["id"], data=data))
        detail = f"already in the queue as {seen['id']} ({seen['state']}), seen {seen['sightings']} times"
        return _answer(seen["id"], detail, applied=False)

    def _hold(self, item: str, now: datetime, actor: str) -> str | None:
        """Block or skip an item by what it depends on; the sentence that says so."""
        current = self._item(item)
        found = self._standing(item, current.on_failure)
        if found.way is Way.GO or current.state not in _RESTING:
            return None
        state = state_of(found, None, now)
        self._move(current, state, found.reason, actor, now)
        if state in _OVER:
            self._release_dependants(item, actor, now)
        return f"{state}: {found.reason}"

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
                self._rewrite_deps(item, after.depends_on)
            if changes.keys() & {"depends_on", "on_failure", "not_before"} and before.state in _RESTING:
                after = self._rested(after, now)
            if after.dedupe_key != before.dedupe_key and after.state not in _OVER:
                self._refuse_twin(after)
            self.run("item_update", **rows.item_row(after))
            data: dict[str, Any] = {"changes": dict(changes)}
            if after.state is not before.state:
                data |= {"from": before.state.value, "to": after.state.value}
            self.record(Entry(now, "item.updated", actor, item=item, data=data))
            if after.state in _OVER:
                self._release_dependants(item, actor, now)
            return self._item(item)

    def _rested(self, item: WorkItem, now: datetime) -> WorkItem:
        """The state that follows from what an idle item waits for."""
        found = self._standing(item.id, item.on_failure)
        if found.way is not Way.GO:
            return replace(item, state=state_of(found, None, now), reason=found.reason)
        state = resting(item.not_before, now)
        reason = found.reason if item.state is _S.BLOCKED else item.reason
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
        if item.state is _S.WAITING:
            self.close_questions(item.id, reason, actor, now)
        data = {"from": item.state.value, "to": state.value, "reason": reason, "outcome": item.outcome}
        self.record(Entry(now, kind, actor, item=item.id, data=data))

    def _refuse_twin(self, item: WorkItem) -> None:
        """A finished item whose like is open again stays finished: the two would be one piece of work."""
        if item.dedupe_key is not None and (twin := self.one("item_by_dedupe", dedupe_key=item.dedupe_key)) is not None:
            raise Refused(f"{twin['id']} is open for the same as {item.id}", hint=f"./loop queue show {twin['id']}")


def _is_complete(item: WorkItem, now: datetime) -> bool:
    given = item.created_at is not None and item.rank_at is not None and item.updated_at == now
    return given and item.state is _S.READY and item.not_before is None and item.dedupe_key is None


def _entry(item: WorkItem, actor: str, now: datetime) -> Entry:
    data = {"title": item.title, "kind": item.kind, "state": item.state.value, "source": item.source}
    data |= {"regression_of": item.regression_of} if item.regression_of else {}
    return Entry(now, "item.added", actor, item=item.id, data=data)


def _answer(item: str, detail: str, *, applied: bool) -> Added:
    # Here, not above: an order of an operator that adds nothing does not need the page of ports, which costs 25 ms.
    from harness.ports import Added  # noqa: PLC0415

    return Added(item, applied, detail)


def _check_new(items: Sequence[WorkItem]) -> None:
    for item in items:
        check_id(item.id)
        if item.state is _S.LEASED:
            raise Usage(f"{item.id} cannot be added as leased", hint="leave state out")
    needs = {item.id: item.depends_on for item in items if item.depends_on}
    refuse_cycle(needs, lambda item: needs.get(item, ()))
