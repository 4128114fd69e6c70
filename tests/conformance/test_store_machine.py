"""Any sequence of operations against a model that fits in the head. Longer with STORE_MACHINE_EXAMPLES=1000.

Every write may be cut off between two of its statements, or between its COMMIT and its answer: then nothing of it has
happened, or all. (Here the connection is closed in the middle; test_store_processes kills whole processes.)
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from harness import fs
from harness.model.errors import IllegalMove, LeaseLost, Refused, Usage
from harness.model.outcome import Asked, Claimed, Disposition, Failed, Interrupted
from harness.model.session import SessionRow, SessionStatus
from harness.model.work import TRANSITIONS, UNFINISHED, Lease, Phase, WorkState, rank_at
from harness.ports import LeaseRules, Settlement, Store
from harness.store.sqlite import SqliteStore
from harness.testing.auditor import Auditor, reader
from harness.testing.known import Item, OpenPause, OpenPauses, milliseconds
from tests.kit.stores import NOW, WORK, item, session

pytestmark = pytest.mark.slow

S = WorkState
CAP = 2
RULES = LeaseRules("loop", {"capped": CAP, "default": None})
OWNERS = ("a", "b")
NO_BREAKER = 10**6
fuses = st.one_of(st.just(0), st.integers(1, 14))
seconds_ahead = st.integers(1, 90)


class Died(BaseException):
    """SIGKILL, between two statements."""


class Mortal(SqliteStore):
    """Dies after `fuse` statements; COMMIT is one of them."""

    fuse = 0
    committed = False

    def _burn(self) -> None:
        if self.fuse:
            self.fuse -= 1
            if self.fuse == 0:
                raise Died

    def run(self, name: str, **values: Any) -> int:
        self._burn()
        return super().run(name, **values)

    def insert(self, name: str, values: Any) -> int:
        self._burn()
        return super().insert(name, values)

    def all(self, name: str, **values: Any) -> Sequence[Any]:
        self._burn()
        return super().all(name, **values)

    @contextmanager
    def together(self) -> Iterator[None]:
        outermost = not self._connection.in_transaction
        with super().together():
            yield
        if outermost:
            self.committed = True
            self._burn()


@dataclass(slots=True)
class Known(Item):
    """What the model knows of one item, beside what the auditor would."""

    lane: str = "default"
    needs: tuple[str, ...] = ()
    age: int = 0
    not_before: int = 0
    resumed: bool = False


class Queue(RuleBasedStateMachine):
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-machine-"))
        self.path = self.folder / "s" / "harness.db"
        self.store = Mortal(self.path)
        self.known: dict[str, Known] = {}
        self.rows: dict[tuple[str, int], SessionRow] = {}
        self.pauses = OpenPauses()
        self.clock = 0
        for owner in OWNERS:
            self.register(owner)

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.clock)

    def does(self, fuse: int, call: Callable[[Store], Any]) -> tuple[bool, Any]:
        """Whether the call took effect, and its answer: None if the process died."""
        self.store.fuse, self.store.committed = fuse, False
        try:
            return True, call(self.store)
        except Died:
            committed = self.store.committed
            self.store.close()
            self.store = Mortal(self.path)
            return committed, None
        finally:
            self.store.fuse = 0

    def leased(self, owner: str | None = None) -> list[Known]:
        return [each for each in self.known.values() if each.state is S.LEASED and owner in (None, each.owner)]

    # --- rules --------------------------------------------------------------------------------------------------------

    @rule(seconds=seconds_ahead)
    def time_passes(self, seconds: int) -> None:
        self.clock += seconds

    @rule(
        priority=st.sampled_from([0, 20, 50]),
        lane=st.sampled_from(["default", "capped"]),
        kind=st.sampled_from(["default", "note"]),
        fuse=fuses,
        data=st.data(),
    )
    def add(self, priority: int, lane: str, kind: str, fuse: int, data: st.DataObject) -> None:
        name = f"i{len(self.known)}"
        needs = self.some(data)
        new = item(name, priority=priority, lane=lane, kind=kind, depends_on=needs)
        took, answers = self.does(fuse, lambda s: s.add([new], actor="test", now=self.now()))
        if not took:
            return
        assert answers is None or answers[0].applied
        age = int(rank_at(self.now(), 0, priority).timestamp())
        state = S.BLOCKED if self.is_held(needs) else S.READY
        self.known[name] = Known(name, state, repo=None, kind=kind, priority=priority, lane=lane, needs=needs, age=age)

    def some(self, data: st.DataObject) -> tuple[str, ...]:
        if not self.known:
            return ()
        return tuple(data.draw(st.lists(st.sampled_from(sorted(self.known)), max_size=2, unique=True)))

    def is_held(self, needs: Sequence[str]) -> bool:
        return any(self.known[need].state is not S.DONE for need in needs)

    @rule(fuse=fuses, data=st.data())
    def rewire(self, fuse: int, data: st.DataObject) -> None:
        if not self.known:
            return
        known, needs = self.any(data), self.some(data)

        def change(store: Store) -> object:
            return store.update(known.id, {"depends_on": needs}, actor="me", now=self.now())

        if known.state is S.LEASED or self.would_circle(known.id, needs):
            with pytest.raises(Refused if known.state is S.LEASED else Usage):
                change(self.store)
            return
        took, _ = self.does(fuse, change)
        if not took:
            return
        known.needs = needs
        if known.state in (S.READY, S.DELAYED, S.BLOCKED):
            self.rest(known)

    def would_circle(self, name: str, needs: Sequence[str]) -> bool:
        seen, todo = set[str](), list(needs)
        while todo:
            here = todo.pop()
            if here == name:
                return True
            if here not in seen:
                seen.add(here)
                todo += self.known[here].needs
        return False

    def rest(self, known: Known) -> None:
        """The state that follows from what an idle item waits for."""
        if self.is_held(known.needs):
            known.state = S.BLOCKED
        elif known.not_before > self.clock:
            known.state = S.DELAYED
        else:
            known.state, known.not_before = S.READY, 0

    @rule(
        scope=st.sampled_from(["loop", "credential", "kind:note"]),
        kind=st.sampled_from(["operator", "probe", "hold", "reserve"]),
        ahead=st.none() | seconds_ahead,
        fuse=fuses,
    )
    def pause(self, scope: str, kind: str, ahead: int | None, fuse: int) -> None:
        scope = "credential" if kind == "reserve" else scope
        ahead = 30 if kind == "probe" and ahead is None else ahead
        until = None if ahead is None or kind == "operator" else self.now() + timedelta(seconds=ahead)
        took, _ = self.does(fuse, lambda s: s.open_pause(scope, kind, "why", kind, self.now(), until))
        if took:
            began = milliseconds(self.now())
            self.pauses.opened(scope, kind, OpenPause(kind, None if until is None else milliseconds(until), began))

    @rule(scope=st.sampled_from(["loop", "credential", "kind:note"]), fuse=fuses)
    def resume(self, scope: str, fuse: int) -> None:
        took, _ = self.does(fuse, lambda s: s.close_pause(scope, None, "test", self.now()))
        if took:
            for source in self.pauses.sources(scope):
                self.pauses.closed(scope, source)

    def best(self) -> Known | None:
        running, at = sum(each.lane == "capped" for each in self.leased()), milliseconds(self.now())
        free = [
            each
            for each in self.known.values()
            if each.state is S.READY and not (each.lane == "capped" and running >= CAP)
            if next(self.pauses.in_the_way(each, self.leased(), at), None) is None
        ]
        return min(free, key=lambda each: (not each.resumed, each.age), default=None)

    @rule(target=leases, owner=st.sampled_from(OWNERS), fuse=fuses)
    def lease(self, owner: str, fuse: int) -> Any:
        took, held = self.does(fuse, lambda s: s.lease(owner, RULES, self.now()))
        if not took:
            return multiple()
        for each in self.known.values():
            if each.state is S.DELAYED and each.not_before <= self.clock:
                each.state, each.not_before = S.READY, 0
        expected = self.best()
        if expected is None:
            assert held is None
            return multiple()
        expected.state, expected.fence, expected.owner = S.LEASED, expected.fence + 1, owner
        expected.leased_ms = milliseconds(self.now())
        if held is None:
            assert fuse, "there was something to lease"
            return multiple()
        assert (held.item.id, held.fence, held.item.attempts) == (expected.id, expected.fence, expected.attempts)
        return held

    def is_lost(self, held: Lease) -> bool:
        known = self.known[held.item.id]
        return (known.state, known.fence, known.owner) != (S.LEASED, held.fence, held.owner)

    @rule(held=leases, fuse=fuses)
    def begin_a_session(self, held: Lease, fuse: int) -> None:
        key = (held.item.id, held.fence)
        row = session(held, f"ses_{held.item.id}_{held.fence}")
        if self.is_lost(held):
            with pytest.raises(LeaseLost):
                self.store.open_session(held, row)
            with pytest.raises(LeaseLost):
                self.store.phase(held, Phase.RUNNING, self.now())
        elif key not in self.rows:
            took, _ = self.does(fuse, lambda s: s.open_session(held, row))
            if took:
                self.rows[key] = row
            self.does(fuse, lambda s: s.phase(held, Phase.RUNNING, self.now()))

    def settle(self, held: Lease, settlement: Settlement, fuse: int) -> Known | None:
        """The item, if it was settled: not under a lease that was lost, nor by a process that died first."""
        ended = self.rows.get((held.item.id, held.fence))
        if ended is not None:
            row = replace(ended, status=SessionStatus.KILLED, ended_at=self.now())
            settlement = replace(settlement, session=row)
        if self.is_lost(held):
            with pytest.raises(LeaseLost):
                self.store.settle(held, settlement, self.now())
            return None
        took, _ = self.does(fuse, lambda s: s.settle(held, settlement, self.now()))
        if not took:
            return None
        known, disposition = self.known[held.item.id], settlement.disposition
        known.state, known.resumed, known.not_before = disposition.state, disposition.continuation is not None, 0
        return known

    @rule(held=consumes(leases), fuse=fuses)
    def finish(self, held: Lease, fuse: int) -> None:
        self.settle(held, Settlement(Claimed("c"), Disposition(S.DONE, "claimed")), fuse)
        self.release()

    def release(self) -> None:
        for each in self.known.values():
            if each.state is S.BLOCKED and not self.is_held(each.needs):
                self.rest(each)

    @rule(held=consumes(leases), fuse=fuses)
    def interrupt(self, held: Lease, fuse: int) -> None:
        paused = Disposition(S.READY, "paused", continuation=WORK)
        self.settle(held, Settlement(Interrupted("p", "t"), paused), fuse)

    @rule(held=consumes(leases), seconds=seconds_ahead, fuse=fuses)
    def fail(self, held: Lease, seconds: int, fuse: int) -> None:
        until = self.now() + timedelta(seconds=seconds)
        waits = Disposition(S.DELAYED, "red", counted=True, not_before=until)
        known = self.settle(held, Settlement(Failed("gate_failed"), waits), fuse)
        if known is not None:
            known.attempts += 1
            known.not_before = self.clock + seconds

    @rule(held=consumes(leases), asks=st.booleans(), fuse=fuses)
    def give_to_a_person(self, held: Lease, asks: bool, fuse: int) -> None:
        asked = Settlement(Asked("which?", ("x", "y")), Disposition(S.WAITING, "asks"), question=("which?", ("x", "y")))
        parked = Settlement(Failed("lost"), Disposition(S.PARKED, "poison", rescued=True))
        self.settle(held, asked if asks else parked, fuse)

    @rule(held=leases)
    def settle_an_older_lease(self, held: Lease) -> None:
        old = Lease(held.item, held.owner, held.fence - 1, held.attempt_id, held.leased_at)
        with pytest.raises(LeaseLost):
            self.store.settle(old, Settlement(Claimed("c"), Disposition(S.DONE, "")), self.now())

    @rule(owner=st.sampled_from(OWNERS), fuse=fuses)
    def reap(self, owner: str, fuse: int) -> None:
        """The owner is dead, or thought to be: what it holds goes back, uncounted."""
        orphans = self.store.orphans([owner])
        assert {o.lease.item.id: o.lease.fence for o in orphans} == {e.id: e.fence for e in self.leased(owner)}
        for orphan in orphans:
            key = (orphan.lease.item.id, orphan.lease.fence)
            assert (orphan.session and orphan.session.id) == (self.rows[key].id if key in self.rows else None)
            rescued = Disposition(S.READY, "lost", rescued=True, continuation=WORK)
            self.settle(orphan.lease, Settlement(Failed("lost"), rescued), fuse)

    @rule(owner=st.sampled_from(OWNERS))
    def forget(self, owner: str) -> None:
        if self.leased(owner):
            with pytest.raises(Refused):
                self.store.forget(owner, self.now())
            return
        self.store.forget(owner, self.now())
        assert owner not in self.store.owners()
        self.register(owner)

    def register(self, owner: str) -> None:
        self.store.register(owner, pid=1, boot="boot", start=1, kind="loop", now=self.now())
        assert owner in self.store.owners()

    @rule(state=st.sampled_from([S.READY, S.WAITING, S.PARKED, S.CANCELLED, S.DONE]), fuse=fuses, data=st.data())
    def move(self, state: WorkState, fuse: int, data: st.DataObject) -> None:
        """Park, unpark, retry, cancel, answer."""
        if not self.known:
            return
        known = self.any(data)
        refused = Refused if known.state is S.LEASED else IllegalMove
        if known.state is not state and (known.state is S.LEASED or state not in TRANSITIONS[known.state]):
            with pytest.raises(refused):
                self.store.move(known.id, state, "by hand", actor="me", now=self.now())
            return
        took, found = self.does(fuse, lambda s: s.move(known.id, state, "by hand", actor="me", now=self.now()))
        if not took:
            return
        known.state = state
        known.not_before = 0 if state is S.READY else known.not_before
        assert found is None or found.max_attempts > found.attempts or state is not S.READY
        self.release()

    def any(self, data: st.DataObject) -> Known:
        return self.known[data.draw(st.sampled_from(sorted(self.known)))]

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def the_store_knows_what_the_model_knows(self) -> None:
        found = {each.id: each for each in self.store.items(limit=1000)}
        assert {each: found[each].state for each in found} == {each.id: each.state for each in self.known.values()}
        assert {each: found[each].fence for each in found} == {each.id: each.fence for each in self.known.values()}
        for each in found.values():
            attempts = self.store.attempts(each.id)
            assert each.attempts == self.known[each.id].attempts == sum(attempt.counted for attempt in attempts)
            assert len(attempts) == each.fence
            assert [a.fence for a in attempts if a.ended_at is None] == [each.fence] * (each.state is S.LEASED)
        assert sum(self.store.counts().values()) == len(self.known)
        assert [each.state in UNFINISHED for each in found.values()] == sorted(
            (each.state in UNFINISHED for each in found.values()), reverse=True
        )

    @invariant()
    def no_session_outlives_its_lease(self) -> None:
        assert {row.id for row in self.store.sessions(limit=1000)} == {row.id for row in self.rows.values()}
        for row in self.store.sessions(live=True, limit=1000):
            known = self.known[row.item]
            assert (known.state, known.fence) == (S.LEASED, row.fence)

    def teardown(self) -> None:
        """The journal tells the same story, to somebody who reads it with SQL of his own."""
        auditor = Auditor(reader(self.path), "default", NO_BREAKER)
        auditor.compare()
        auditor.close()
        self.store.close()
        fs.discard(self.folder / "s", under=self.folder)
        self.folder.rmdir()
        assert auditor.violations == []


TestQueue = Queue.TestCase
TestQueue.settings = settings(
    max_examples=int(os.environ.get("STORE_MACHINE_EXAMPLES", "40")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
