"""The audit: a history that the store wrote agrees with its tables; whatever was changed behind its back is named."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from harness.model.errors import NotFound, StoreError
from harness.model.session import SessionStatus
from harness.model.work import WorkState
from harness.store import schema
from harness.store.audit import audit
from harness.store.sqlite import SqliteStore
from tests.kit.stores import add, back, done, failed, item, later, lease, session


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with one of everything: work, a failure, a wait, hands, pauses, a session that a person marked."""
    path = tmp_path / "harness.db"
    store = SqliteStore(path)
    add(store, item("a"), item("b"), item("c", depends_on=("a",)), item("d"), item("e"))
    first = lease(store)
    store.open_session(first, session(first))
    row = session(first, status=SessionStatus.COMPLETED)
    store.settle(first, replace(done(), session=row), later(1))
    store.mark_session(replace(row, status=SessionStatus.FAILED), actor="eva", now=later(2))
    store.settle(lease(store), failed(), later(2))
    store.settle(lease(store), back(), later(3))
    store.take("d", "eva", actor="eva", now=later(4))
    by_hand = store.lease_by_hand("hand-1", "d", "app", later(5))
    store.settle(by_hand, done(), later(6))
    store.take("e", "eva", actor="eva", now=later(7))
    store.give_back("e", None, actor="eva", now=later(8))
    store.open_pause("kind:review", "operator", "wait", "eva", later(9))
    store.open_pause("loop", "operator", "wait", "eva", later(9))
    store.close_pause("loop", None, "eva", later(10))
    store.move("e", WorkState.PARKED, "later", actor="eva", now=later(11))
    lease(store, now=later(600))
    store.close()
    return path


def behind_its_back(path: Path, *statements: str) -> list[str]:
    """What the audit says after somebody had a SQL shell, with the triggers out of the way."""
    connection = sqlite3.connect(path)
    connection.executescript("DROP TRIGGER journal_delete; DROP TRIGGER journal_update; DROP TRIGGER items_move;")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return list(audit(path).violations)


def test_a_history_that_the_store_wrote_agrees(path: Path) -> None:
    found = audit(path)
    assert found.violations == ()
    assert (found.items, found.entries > 20) == (5, True)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE items SET state = 'ready' WHERE id = 'd'", "d is ('ready', 1, 0) (state, fence, attempts)"),
        ("UPDATE items SET attempts = 2 WHERE id = 'b'", "b is ("),
        ("UPDATE items SET reason = '' WHERE id = 'e'", "e is parked without a reason"),
        ("UPDATE attempts SET counted = 1 WHERE item = 'a'", "a: (1, 1, 0) attempts"),
        ("UPDATE sessions SET status = 'running'", "session ses_1 is running, but its lease 1 of a has ended"),
        ("UPDATE pauses SET ended_at = 1", "the journal says that kind:review is paused by eva"),
        ("UPDATE pauses SET ended_at = NULL", "loop is paused by eva, but the journal does not say so"),
        ("DELETE FROM journal WHERE seq = 3", "an entry is missing"),
        ("DELETE FROM journal WHERE kind = 'item.leased' AND item = 'a'", "moves from leased, but it was ready"),
        ("UPDATE journal SET data = '{}' WHERE kind = 'item.settled'", "is no entry of this program: KeyError 'from'"),
        ("UPDATE journal SET item = 'x' WHERE kind = 'item.parked' OR kind = 'item.moved'", "never added"),
        ("UPDATE journal SET kind = 'item.noted' WHERE kind = 'session.marked'", "a session that had ended"),
        ("DELETE FROM deps", None),
        ("INSERT INTO deps VALUES ('a', 'gone', 1)", "deps row None names a missing items"),
    ],
)
def test_what_was_changed_behind_its_back_is_named(path: Path, statement: str, told: str | None) -> None:
    found = behind_its_back(path, statement)
    assert any(told in line for line in found) if told else found == []


def test_an_audit_changes_nothing_and_needs_a_database_of_this_schema(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    audit(path)
    assert path.read_bytes() == before
    with pytest.raises(NotFound):
        audit(tmp_path / "none.db")
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    with pytest.raises(StoreError, match="newer version"):
        audit(path)
    (tmp_path / "torn.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        audit(tmp_path / "torn.db")
