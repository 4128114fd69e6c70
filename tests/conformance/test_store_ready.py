"""What is leased is what a plain definition over all items says, in the order that it says.

The definition below is the whole of it: dependencies and their rules, times, persons, pauses, lanes, repositories,
resources, scopes; who was interrupted first, then by rank. Longer with STORE_MACHINE_EXAMPLES=1000.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from harness import fs
from harness.model.globs import covered
from harness.model.outcome import Claimed, Disposition, Failed, Interrupted
from harness.model.work import UNFINISHED, Lease, WorkState
from harness.ports import LeaseRules, RepositoryRules, Settlement
from harness.store.audit import audit
from harness.store.sqlite import SqliteStore
from tests.kit.stores import NOW, WORK, item

pytestmark = pytest.mark.slow

S = WorkState
CAPS = {"app": RepositoryRules(running=2), "site": RepositoryRules(resources=("port",), one_scope=False)}
RULES = LeaseRules("loop", {"slow": 1, "default": None}, "app", repositories=CAPS)
PATHS = ("src/a.py", "src/b.py", "src/x/c.md", "docs/a.md", "docs/b.txt", "README.md")
GLOBS = ("src/**", "src/a.py", "src/?.py", "docs", "**/*.md", "docs/*.md")
ENDS = {
    "done": Settlement(Claimed("c"), Disposition(S.DONE, "claimed")),
    "parked": Settlement(Failed("gate_failed"), Disposition(S.PARKED, "spent", counted=True)),
    "interrupted": Settlement(Interrupted("p", "t"), Disposition(S.READY, "paused", continuation=WORK)),
    "asked": Settlement(Failed("lost"), Disposition(S.WAITING, "a person")),
}


wishes = st.fixed_dictionaries(
    {
        "priority": st.sampled_from([0, 20, 50]),
        "lane": st.sampled_from(["default", "default", "slow"]),
        "repo": st.sampled_from([None, "app", "site"]),
        "kind": st.sampled_from(["default", "note"]),
        "on_failure": st.sampled_from(["hold", "skip", "run"]),
        "resources": st.sampled_from([(), (), ("db",), ("db", "port")]),
        "scope": st.lists(st.sampled_from(GLOBS), max_size=2, unique=True).map(tuple),
        "assigned": st.sampled_from([None, None, None, "loop", "eva"]),
        "ahead": st.sampled_from([None, None, None, 30]),
    }
)


@dataclass(slots=True, kw_only=True)
class Known:
    name: str
    rank: int
    needs: tuple[str, ...]
    lane: str
    repo: str | None
    kind: str
    on_failure: str
    resources: tuple[str, ...]
    scope: tuple[str, ...]
    assigned: str | None
    not_before: int | None
    state: WorkState = S.READY
    fresh: bool = True

    @property
    def home(self) -> str:
        return self.repo or "app"

    @property
    def takes(self) -> set[str]:
        return {*self.resources, *(CAPS[self.home].resources)}

    @property
    def paths(self) -> set[str]:
        return {path for path in PATHS if covered(path, self.scope)}


class Queue(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-ready-"))
        self.store = SqliteStore(self.folder / "s" / "harness.db")
        self.known: dict[str, Known] = {}
        self.leases: dict[str, Lease] = {}
        self.pauses: set[str] = set()
        self.clock = 0

    def now(self) -> datetime:
        return NOW + timedelta(minutes=self.clock)

    def any(self, data: st.DataObject, *states: WorkState) -> Known | None:
        found = sorted(name for name, each in self.known.items() if not states or each.state in states)
        return self.known[data.draw(st.sampled_from(found))] if found else None

    # --- the definition -----------------------------------------------------------------------------------------------

    def idle(self, each: Known) -> WorkState:
        """The state of an item that nobody has."""
        needs = [self.known[name].state for name in each.needs]
        failed = [state for state in needs if state in (S.PARKED, S.CANCELLED)]
        if failed and each.on_failure == "skip":
            return S.CANCELLED
        if any(state is not S.DONE for state in needs if state not in failed or each.on_failure == "hold"):
            return S.BLOCKED
        return S.DELAYED if each.not_before is not None and each.not_before > self.clock else S.READY

    def settle_down(self) -> None:
        """Whoever is blocked looks at what it waits for, until nothing changes any more."""
        changed = True
        while changed:
            changed = False
            for each in self.known.values():
                if each.state is S.BLOCKED and self.idle(each) is not S.BLOCKED:
                    each.state, changed = self.idle(each), True

    def may_run(self, each: Known) -> bool:
        out = [self.known[name] for name in self.leases]
        here = [other for other in out if other.home == each.home]
        most = CAPS[each.home].running
        return (
            each.state is S.READY
            and each.assigned in (None, "loop")
            and not self.pauses & {"loop", f"repo:{each.home}", f"kind:{each.kind}", f"item:{each.name}"}
            and not (each.lane == "slow" and any(other.lane == "slow" for other in out))
            and not (most is not None and len(here) >= most)
            and not any(each.takes & other.takes for other in out)
            and not (CAPS[each.home].one_scope and any(each.paths & other.paths for other in here))
        )

    def order(self) -> Iterator[Known]:
        """Interrupted first, then by rank, then as they were added."""
        yield from sorted(filter(self.may_run, self.known.values()), key=lambda each: (each.fresh, each.rank))

    # --- what happens -------------------------------------------------------------------------------------------------

    @rule(minutes=st.integers(1, 90))
    def time_passes(self, minutes: int) -> None:
        self.clock += minutes

    @rule(wished=st.lists(wishes, min_size=1, max_size=6), data=st.data())
    def add(self, wished: list[dict[str, Any]], data: st.DataObject) -> None:
        for fields in wished:
            few = st.lists(st.sampled_from(sorted(self.known)), max_size=2, unique=True) if self.known else st.just([])
            self.add_one(f"i{len(self.known)}", tuple(data.draw(few)), **fields)

    def add_one(self, name: str, needs: tuple[str, ...], *, priority: int, ahead: int | None, **fields: Any) -> None:
        until = None if ahead is None else self.clock + ahead
        not_before = None if until is None else NOW + timedelta(minutes=until)
        new = item(name, priority=priority, depends_on=needs, not_before=not_before, **fields)
        assert self.store.add([new], actor="test", now=self.now())[0].applied
        known = Known(name=name, needs=needs, rank=self.clock + 60 * priority, not_before=until, **fields)
        self.known[name] = known
        known.state = self.idle(known)

    @rule(times=st.integers(1, 5))
    def lease(self, times: int) -> None:
        for each in self.known.values():
            if each.state is S.DELAYED and each.not_before is not None and each.not_before <= self.clock:
                each.state = S.READY
        for _ in range(times):
            expected = [each.name for each in self.order()]
            found = self.store.lease("me", RULES, self.now())
            assert (found and found.item.id) == (expected[0] if expected else None)
            if found is not None:
                self.leases[found.item.id] = found
                self.known[found.item.id].state = S.LEASED

    @rule(end=st.sampled_from(sorted(ENDS)), data=st.data())
    def settle(self, end: str, data: st.DataObject) -> None:
        if not self.leases:
            return
        name = data.draw(st.sampled_from(sorted(self.leases)))
        self.store.settle(self.leases.pop(name), ENDS[end], self.now())
        self.known[name].state, self.known[name].fresh = ENDS[end].disposition.state, end != "interrupted"
        self.settle_down()

    @rule(state=st.sampled_from([S.PARKED, S.CANCELLED]), data=st.data())
    def give_up(self, state: WorkState, data: st.DataObject) -> None:
        if (each := self.any(data, *(UNFINISHED - {S.LEASED}))) is not None:
            self.store.move(each.name, state, "by hand", actor="me", now=self.now())
            each.state = state
            self.settle_down()

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        if (each := self.any(data, S.PARKED, S.CANCELLED, S.DONE, S.WAITING, S.DELAYED)) is not None:
            self.store.move(each.name, S.READY, "again", actor="me", now=self.now())
            each.state, each.not_before = S.READY, None
            self.settle_down()

    @rule(priority=st.sampled_from([0, 50, 99]), data=st.data())
    def prioritise(self, priority: int, data: st.DataObject) -> None:
        if (each := self.any(data, *(UNFINISHED - {S.LEASED}))) is not None:
            before = self.store.item(each.name)
            assert before is not None
            self.store.update(each.name, {"priority": priority}, actor="me", now=self.now())
            each.rank += 60 * (priority - before.priority)

    @rule(rule=st.sampled_from(["hold", "skip", "run"]), data=st.data())
    def think_again(self, rule: str, data: st.DataObject) -> None:
        if (each := self.any(data, S.BLOCKED)) is not None:
            self.store.update(each.name, {"on_failure": rule}, actor="me", now=self.now())
            each.on_failure = rule
            self.settle_down()

    @rule(scope=st.sampled_from(["loop", "repo:app", "kind:note", "item:i0"]), shut=st.booleans())
    def pause(self, scope: str, shut: bool) -> None:
        if shut:
            self.store.open_pause(scope, "operator", "why", "me", self.now())
            self.pauses.add(scope)
        else:
            self.store.close_pause(scope, "me", "me", self.now())
            self.pauses.discard(scope)

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def every_item_is_where_the_definition_has_it(self) -> None:
        assert {each.id: each.state for each in self.store.items(limit=1000)} == {
            name: each.state for name, each in self.known.items()
        }
        assert set(self.store.resources().values()) <= set(self.leases)

    def teardown(self) -> None:
        path = self.store.path
        self.store.close()
        found = audit(path).violations
        fs.discard(self.folder / "s", under=self.folder)
        self.folder.rmdir()
        assert found == ()


TestReady = Queue.TestCase
TestReady.settings = settings(
    max_examples=int(os.environ.get("STORE_MACHINE_EXAMPLES", "12")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
