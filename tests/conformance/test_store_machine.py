"""Any sequence of operations against a model that fits in the head. Longer with STORE_MACHINE_EXAMPLES=1000."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from harness import fs
from harness.model.errors import IllegalMove, LeaseLost, Refused
from harness.model.outcome import Claimed, Disposition, Failed, Interrupted
from harness.model.work import TRANSITIONS, UNFINISHED, Lease, WorkState, rank_at
from harness.ports import LeaseRules, Settlement
from harness.store.sqlite import SqliteStore
from tests.kit.stores import NOW, WORK, item

S = WorkState
CAP = 2
RULES = LeaseRules("loop", {"capped": CAP, "default": None})


@dataclass
class Known:
    """What the model knows of one item."""

    id: str
    priority: int
    lane: str
    needs: tuple[str, ...]
    age: int
    state: WorkState = S.READY
    fence: int = 0
    attempts: int = 0
    not_before: int = 0
    resumed: bool = False
    history: list[int] = field(default_factory=list)


class Queue(RuleBasedStateMachine):
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-machine-"))
        self.store = SqliteStore(self.folder / "s" / "harness.db")
        self.known: dict[str, Known] = {}
        self.clock = 0
        self.paused = False

    def now(self):
        return NOW + timedelta(seconds=self.clock)

    @rule(seconds=st.integers(1, 90))
    def time_passes(self, seconds):
        self.clock += seconds

    @rule(priority=st.sampled_from([0, 20, 50]), lane=st.sampled_from(["default", "capped"]), data=st.data())
    def add(self, priority, lane, data):
        name = f"i{len(self.known)}"
        some = st.lists(st.sampled_from(sorted(self.known)), max_size=2, unique=True) if self.known else st.just([])
        needs = tuple(data.draw(some))
        new = item(name, priority=priority, lane=lane, depends_on=needs)
        assert self.store.add([new], actor="test", now=self.now())[0].applied
        held = any(self.known[need].state is not S.DONE for need in needs)
        age = int(rank_at(self.now(), 0, priority).timestamp())
        self.known[name] = Known(name, priority, lane, needs, age, S.BLOCKED if held else S.READY)

    @rule(paused=st.booleans())
    def pause(self, paused):
        if paused:
            self.store.open_pause("loop", "operator", "why", "test", self.now())
        else:
            self.store.close_pause("loop", None, "test", self.now())
        self.paused = paused

    def best(self) -> Known | None:
        running = sum(each.state is S.LEASED and each.lane == "capped" for each in self.known.values())
        free = [
            each
            for each in self.known.values()
            if each.state is S.READY and not (each.lane == "capped" and running >= CAP)
        ]
        return min(free, key=lambda each: (not each.resumed, each.age), default=None)

    @rule(target=leases)
    def lease(self):
        for each in self.known.values():
            if each.state is S.DELAYED and each.not_before <= self.clock:
                each.state = S.READY
        expected = None if self.paused else self.best()
        held = self.store.lease("a", RULES, self.now())
        assert (held and held.item.id) == (expected and expected.id)
        if held is None or expected is None:
            return multiple()
        expected.state, expected.fence = S.LEASED, expected.fence + 1
        assert held.fence == expected.fence
        assert held.item.attempts == expected.attempts
        return held

    def settled(self, held: Lease, settlement: Settlement) -> Known:
        known = self.known[held.item.id]
        self.store.settle(held, settlement, self.now())
        known.state = settlement.disposition.state
        known.resumed = settlement.disposition.continuation is not None
        return known

    @rule(held=consumes(leases))
    def finish(self, held):
        self.settled(held, Settlement(Claimed("c"), Disposition(S.DONE, "claimed")))
        self.release()

    def release(self):
        for each in self.known.values():
            if each.state is S.BLOCKED and all(self.known[need].state is S.DONE for need in each.needs):
                each.state = S.READY

    @rule(held=consumes(leases))
    def interrupt(self, held):
        self.settled(held, Settlement(Interrupted("p", "t"), Disposition(S.READY, "paused", continuation=WORK)))

    @rule(held=consumes(leases), seconds=st.integers(1, 90))
    def fail(self, held, seconds):
        until = self.now() + timedelta(seconds=seconds)
        waits = Disposition(S.DELAYED, "red", counted=True, not_before=until)
        known = self.settled(held, Settlement(Failed("gate_failed"), waits))
        known.attempts += 1
        known.not_before = self.clock + seconds

    @rule(held=leases)
    def settle_an_older_lease(self, held):
        old = Lease(held.item, held.owner, held.fence - 1, held.attempt_id, held.leased_at)
        with pytest.raises(LeaseLost):
            self.store.settle(old, Settlement(Claimed("c"), Disposition(S.DONE, "")), self.now())

    @rule(state=st.sampled_from([S.READY, S.WAITING, S.PARKED, S.CANCELLED, S.DONE]), data=st.data())
    def move(self, state, data):
        if not self.known:
            return
        known = self.known[data.draw(st.sampled_from(sorted(self.known)))]
        refused = Refused if known.state is S.LEASED else IllegalMove
        if known.state is not state and (known.state is S.LEASED or state not in TRANSITIONS[known.state]):
            with pytest.raises(refused):
                self.store.move(known.id, state, "by hand", actor="me", now=self.now())
            return
        found = self.store.move(known.id, state, "by hand", actor="me", now=self.now())
        known.state = state
        assert found.max_attempts > found.attempts or state is not S.READY
        self.release()

    @invariant()
    def the_store_knows_what_the_model_knows(self):
        found = {each.id: each for each in self.store.items(limit=1000)}
        assert {each: found[each].state for each in found} == {each.id: each.state for each in self.known.values()}
        assert {each: found[each].fence for each in found} == {each.id: each.fence for each in self.known.values()}
        for each in found.values():
            assert each.attempts == self.known[each.id].attempts
            assert len(self.store.attempts(each.id)) == each.fence
        assert sum(self.store.counts().values()) == len(self.known)
        assert [each.state in UNFINISHED for each in found.values()] == sorted(
            (each.state in UNFINISHED for each in found.values()), reverse=True
        )

    def teardown(self):
        entries = self.store.written()
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        self.store.close()
        fs.discard(self.folder / "s", under=self.folder)
        self.folder.rmdir()


TestQueue = Queue.TestCase
TestQueue.settings = settings(
    max_examples=int(os.environ.get("STORE_MACHINE_EXAMPLES", "40")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
