"""Opening the store of a home, for commands that must start fast: no asyncio, no pydantic (A11)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.store.reader import StoreReader

if TYPE_CHECKING:
    from harness.store.sqlite import SqliteStore


def database(state: Path) -> Path:
    """The truth of a home (contract 2)."""
    return state / "harness.db"


def gate(state: Path) -> Path:
    """The lock file that every writer of this database holds while it writes."""
    return state / "gate.lock"


def open_reader(state: Path) -> StoreReader:
    """For looking only. Raises NotFound if nothing has run here yet; creates nothing."""
    return StoreReader(database(state), read_only=True)


def open_writer(state: Path) -> SqliteStore:
    """For changing; makes what is missing."""
    # Here, not above: who only looks loads nothing that writes.
    from harness.store.sqlite import SqliteStore  # noqa: PLC0415

    return SqliteStore(database(state), gate=gate(state))
