"""A process that was taken for dead writes nothing when it comes back, and one killed anywhere leaves a whole queue (Q5).

The kernel's lock of a frozen process is held: it is taken over when a person takes its lock file away.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.errors import HarnessError, LeaseLost, StoreError
from harness.model.journal import Entry, Integration
from harness.model.session import SessionStatus
from harness.model.work import Lease, Phase, WorkState
from harness.ports import Settlement
from harness.store.audit import audit
from harness.store.sqlite import SqliteStore
from tests.kit.stores import NOW, RULES, Sqlite, add, back, done, failed, item, later, lease, session

STALE, HEIR = "worker-1", "loop-2"
Write = Callable[[SqliteStore, Lease], object]


def intended(held: Lease) -> Integration:
    return Integration(0, held.item.id, held.fence, "app", "main", "b0", "5ea1", "intended", merged="c1", began_at=NOW)


WRITES: dict[str, Write] = {
    "phase": lambda s, h: s.phase(h, Phase.PROVING, NOW, seal="5ea1"),
    "open_session": lambda s, h: s.open_session(h, session(h, "ses_late")),
    "update_session": lambda s, h: s.update_session(replace(session(h), status=SessionStatus.RUNNING, pid=1)),
    "settle": lambda s, h: s.settle(h, done(), NOW),
    "give back": lambda s, h: s.settle(h, back(), NOW),
    "ask": lambda s, h: s.settle(h, replace(back(), question=("red?", ("yes", "no"))), NOW),
    "intend": lambda s, h: s.intend(intended(h)),
    "resolve": lambda s, _: s.resolve(1, "applied", NOW),
    "publish": lambda s, _: s.publish([1], "pushed", "origin", NOW),
    "follow": lambda s, _: s.follow([1], "done", "late", NOW),
    "lease": lambda s, _: s.lease(STALE, RULES, NOW),
    "reserve": lambda s, h: s.reserve(h, Decimal(1), 0, lambda _others: None),
    "add": lambda s, _: s.add([item("more")], actor=STALE, now=NOW),
    "pause": lambda s, _: s.open_pause("loop", "operator", "late", "late", NOW),
    "note": lambda s, h: s.note(Entry(NOW, "session.progress", STALE, item=h.item.id)),
    "forget": lambda s, _: s.forget(STALE, NOW),
}
LEASED = ("phase", "open_session", "update_session", "settle", "give back", "ask", "intend")
"""Writes under a lease: refused as well if only the lease was lost, and not the process."""


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        return list(database.iterdump())


def register(store: SqliteStore, owner: str) -> None:
    store.register(owner, pid=1, boot="boot", start=1, kind="worker", now=NOW)
    store.act_as(owner)


@contextmanager
def frozen_at(stage: str) -> Iterator[tuple[Path, SqliteStore, SqliteStore, Lease]]:
    """A worker that got so far with an item when it was frozen, and the loop that takes over."""
    with tempfile.TemporaryDirectory() as folder:
        files = Sqlite(Path(folder))
        with files.opened() as stale, files.opened() as heir:
            register(stale, STALE)
            add(stale, item("a"), item("b"))
            held = lease(stale, STALE)
            steps: Sequence[tuple[str, Callable[[], object]]] = [
                ("leased", lambda: None),
                ("running", lambda: stale.open_session(held, session(held))),
                ("proving", lambda: stale.phase(held, Phase.PROVING, NOW, seal="5ea1")),
                ("intended", lambda: stale.intend(intended(held))),
            ]
            for name, step in steps:
                step()
                if name == stage:
                    break
            register(heir, HEIR)
            yield files.path, stale, heir, held


def taken_over(heir: SqliteStore, *, forgotten: bool) -> None:
    """As the reconciler does it: settled by what is known, the session closed, and leased again."""
    (orphan,) = heir.orphans([STALE])
    row = orphan.session
    ended = None if row is None else replace(row, status=SessionStatus.KILLED, ended_at=NOW)
    heir.settle(orphan.lease, replace(back(), session=ended), NOW)
    if forgotten:
        heir.forget(STALE, NOW)
    assert lease(heir, HEIR, now=later(1)).item.id == orphan.lease.item.id


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(["leased", "running", "proving", "intended"]), st.permutations(sorted(WRITES)))
def test_no_write_of_a_process_that_was_taken_over_changes_anything(stage: str, writes: list[str]) -> None:
    with frozen_at(stage) as (path, stale, heir, held):
        taken_over(heir, forgotten=True)
        before = dump(path)
        for name in writes:
            with pytest.raises(LeaseLost, match=f"{STALE} was taken for dead"):
                WRITES[name](stale, held)
            assert dump(path) == before, name


@pytest.mark.parametrize("name", LEASED)
def test_a_write_under_a_lease_that_is_somebody_elses_changes_nothing(name: str) -> None:
    with frozen_at("proving") as (path, stale, heir, held):
        taken_over(heir, forgotten=False)
        before = dump(path)
        with pytest.raises(LeaseLost):
            WRITES[name](stale, held)
        assert dump(path) == before


def test_a_process_whose_database_a_newer_program_has_migrated_writes_nothing_more() -> None:
    with frozen_at("running") as (path, stale, _heir, held):
        with closing(sqlite3.connect(path)) as newer:
            (known,) = newer.execute("PRAGMA user_version").fetchone()
            newer.execute(f"PRAGMA user_version = {known + 1}")
        before = dump(path)
        for name in LEASED:
            with pytest.raises(StoreError, match="a newer version of the harness wrote it"):
                WRITES[name](stale, held)
        assert dump(path) == before


def test_each_of_these_writes_is_one_while_the_process_is_in_its_right() -> None:
    for name in sorted(set(WRITES) - {"resolve", "publish", "follow", "forget"}):
        with frozen_at("running") as (path, stale, _heir, held):
            before = dump(path)
            WRITES[name](stale, held)
            assert dump(path) != before, name
    with frozen_at("intended") as (path, stale, _heir, held):
        for name in ("resolve", "publish"):
            before = dump(path)
            WRITES[name](stale, held)
            assert dump(path) != before, name
        stale.settle(held, done(), NOW)
        stale.forget(STALE, NOW)
        with pytest.raises(LeaseLost):
            stale.note(Entry(NOW, "session.progress", STALE))


# --- killed in any statement ------------------------------------------------------------------------------------------


def works(store: SqliteStore) -> Iterator[None]:
    """A worker's day, one method after the other; what it depends on, moves, settles, parks, asks."""
    register(store, STALE)
    yield
    store.add([item("a"), item("b", depends_on=("a",)), item("c", not_before=later(5))], actor="t", now=NOW)
    yield
    held = lease(store, STALE)
    yield
    store.open_session(held, session(held))
    yield
    store.phase(held, Phase.PROVING, NOW, seal="5ea1")
    yield
    store.intend(intended(held))
    yield
    store.resolve(1, "applied", NOW, merged="c1")
    yield
    ended = replace(session(held), status=SessionStatus.COMPLETED, ended_at=NOW)
    store.settle(held, Settlement(done().outcome, done().disposition, session=ended), NOW)
    yield
    second = lease(store, STALE, now=later(6))
    yield
    store.settle(second, failed(), later(7))
    yield
    store.move("c", WorkState.PARKED, "later", actor="t", now=later(8))
    yield
    store.forget(STALE, later(9))
    yield


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder that is fast to sync: what a killed process leaves does not depend on the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


def whole_days(path: Path) -> list[list[str]]:
    """What the database holds after each method."""
    store = SqliteStore(path)
    seen = [dump(path), *(dump(path) for _ in works(store))]
    store.close()
    return seen


def killed_at(path: Path, statement: int) -> bool:
    """Whether a process that was to be killed in that statement of its day was."""
    child = os.fork()
    if child == 0:
        left = [statement]

        def count(_sql: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        store = SqliteStore(path)
        store._connection.set_trace_callback(count)
        try:
            for _ in works(store):
                pass
        except HarnessError:
            os._exit(2)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code != 0


@pytest.mark.process
@pytest.mark.slow
def test_a_worker_that_is_killed_in_any_statement_leaves_the_queue_as_before_or_after_its_method(
    in_memory: Path,
) -> None:
    fresh = in_memory / "fresh"
    fresh.mkdir()
    SqliteStore(fresh / "harness.db").close()
    shutil.copytree(fresh, in_memory / "whole")
    states = whole_days(in_memory / "whole" / "harness.db")
    statement = 0
    reached = set()
    while True:
        folder = in_memory / f"at-{statement}"
        shutil.copytree(fresh, folder)
        killed = killed_at(folder / "harness.db", statement)
        SqliteStore(folder / "harness.db").close()
        found = dump(folder / "harness.db")
        assert found in states, f"statement {statement} left half a method"
        if states.index(found) not in reached:
            reached.add(states.index(found))
            assert audit(folder / "harness.db").violations == ()
        shutil.rmtree(folder)
        if not killed:
            break
        statement += 1
    assert reached == set(range(len(states)))
    assert statement > 60
