"""Stores for tests: one way to open each implementation, and short words for what tests say often."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.model.outcome import Claimed, Disposition, Failed, Interrupted
from harness.model.session import SessionRow, SessionStatus
from harness.model.work import Continuation, Lease, WorkItem, WorkState
from harness.ports import LeaseRules, Settlement, Store
from harness.store.sqlite import SqliteStore

NOW = datetime(2026, 1, 27, 22, 0, tzinfo=UTC)
RULES = LeaseRules("loop", {"default": None}, "app")
WORK = Continuation("session", "interrupted", session="ses_0", claude_session_id="c-1", workspace="/w")


class Sqlite:
    """Opens the same database again and again; a PostgreSQL twin would join here."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "harness.db"
        self.gate = folder / "gate.lock"

    def open(self) -> SqliteStore:
        return SqliteStore(self.path, gate=self.gate)

    def reader(self) -> SqliteStore:
        return SqliteStore(self.path, read_only=True)

    @contextmanager
    def opened(self) -> Iterator[SqliteStore]:
        store = self.open()
        try:
            yield store
        finally:
            store.close()


MAKERS = {"sqlite": Sqlite}


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def item(name: str, **fields: object) -> WorkItem:
    return WorkItem(name, f"title of {name}", **fields)  # type: ignore[arg-type]


def add(store: Store, *items: WorkItem) -> None:
    answers = store.add(items, actor="test", now=NOW)
    assert all(answer.applied for answer in answers), answers


def lease(store: Store, owner: str = "a", rules: LeaseRules = RULES, now: datetime = NOW) -> Lease:
    found = store.lease(owner, rules, now)
    assert found is not None
    return found


def done() -> Settlement:
    return Settlement(Claimed("c0ffee"), Disposition(WorkState.DONE, "claimed"))


def back(continuation: Continuation | None = None) -> Settlement:
    return Settlement(Interrupted("pause", "test"), Disposition(WorkState.READY, "paused", continuation=continuation))


def failed(ending: str = "gate_failed", *, seconds: float = 60) -> Settlement:
    waits = Disposition(WorkState.DELAYED, ending, counted=True, not_before=later(seconds))
    return Settlement(Failed(ending, "2 tests red"), waits)


def session(lease_: Lease, name: str = "ses_1", status: SessionStatus = SessionStatus.SPAWNING) -> SessionRow:
    return SessionRow(
        id=name,
        item=lease_.item.id,
        fence=lease_.fence,
        attempt=1,
        agent="default",
        status=status,
        iteration=1,
        run="run1",
        claude_session_id="c-1",
        started_at=NOW,
        updated_at=NOW,
    )


def kinds(store: Store) -> list[str]:
    """What it has written down since it was last asked."""
    return [entry.kind for entry in store.written()]
