"""What items wait for: written with them, and looked at again whenever one that is needed ends or fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime

from harness.model.dependencies import Standing, Way, standing
from harness.model.errors import Usage
from harness.model.journal import Entry
from harness.model.work import WorkState
from harness.store import rows
from harness.store.cycles import find_cycle
from harness.store.journal import Journal

_STATES = {Way.WAIT: WorkState.BLOCKED, Way.SKIP: WorkState.CANCELLED}


class Dependencies(Journal):
    """Inside the transactions of whoever adds, changes, moves and settles."""

    def _write_deps(self, item: str, needs: Iterable[str]) -> None:
        for position, need in enumerate(dict.fromkeys(needs)):
            if need == item:
                raise Usage(f"{item} depends on itself", hint="take it out of depends_on")
            if self.one("item_state", id=need) is None:
                raise Usage(f"{item} depends on {need}, which does not exist", hint="add that item first, or with it")
            self.run("deps_insert", item=item, needs=need, position=position)

    def _rewrite_deps(self, item: str, needs: Iterable[str]) -> None:
        """Instead of those it had. Raises Usage for a cycle, naming it."""
        wished = tuple(needs)

        def needs_of(other: str) -> Iterable[str]:
            return wished if other == item else [row["needs"] for row in self.all("deps_of", item=other)]

        refuse_cycle([item], needs_of)
        self.run("deps_clear", item=item)
        self._write_deps(item, wished)

    def _standing(self, item: str, on_failure: str) -> Standing:
        unfinished = [(row["id"], WorkState(row["state"])) for row in self.all("deps_unfinished", item=item)]
        return standing(unfinished, on_failure)

    def _release_dependants(self, item: str, actor: str, now: datetime) -> None:
        """What waits for this item goes on, is skipped, or says what has become of it; and so what waits for those."""
        ended = deque([item])
        while ended:
            need = ended.popleft()
            for row in self.all("dependants_blocked", needs=need):
                found = self._standing(row["id"], row["on_failure"])
                if found.reason == row["reason"]:
                    continue
                state = state_of(found, rows.at_or_none(row["not_before"]), now)
                self.run("item_rest", id=row["id"], state=state.value, reason=found.reason, now=rows.ms(now))
                data = {"from": "blocked", "to": state.value, "reason": found.reason or f"{need} is done"}
                self.record(Entry(now, "item.moved", actor, item=row["id"], data=data))
                if state is WorkState.CANCELLED:
                    ended.append(row["id"])


def state_of(found: Standing, not_before: datetime | None, now: datetime) -> WorkState:
    """Of an idle item that stands so."""
    return _STATES.get(found.way) or resting(not_before, now)


def resting(not_before: datetime | None, now: datetime) -> WorkState:
    """Of an idle item that waits for nobody."""
    return WorkState.DELAYED if not_before is not None and not_before > now else WorkState.READY


def refuse_cycle(items: Iterable[str], needs: Callable[[str], Iterable[str]]) -> None:
    if cycle := find_cycle(items, needs):
        raise Usage(f"the items depend on each other: {' -> '.join(cycle)}", hint="take one out of depends_on")
