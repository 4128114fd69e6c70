"""Replays the journal against a small model of what may happen, and holds the tables against that model.

The journal is read over a connection of its own with SQL of its own, so that a fault of the store cannot hide itself,
and neither can a hand edit by SQL. Each entry is judged in the order of commits; `compare` then checks that items,
attempts, sessions and pauses are exactly what the entries say.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from harness.model.errors import NotFound
from harness.model.outcome import ENDINGS, Cause
from harness.model.session import FINAL
from harness.model.work import HAND, TRANSITIONS, WorkState
from harness.store import constraints, schema
from harness.store.database import translate

_FINAL = frozenset(status.value for status in FINAL)


@dataclass(slots=True)
class Tracked:
    """An item as its entries tell it: `settled` is the highest fence that was settled."""

    id: str
    state: str
    fence: int = 0
    attempts: int = 0
    owner: str = ""
    settled: int = 0


T = TypeVar("T", bound=Tracked)

_OF_ALL = ("pause.", "interrupt.")
"""Entries of these kinds may speak of no item: they are about the whole loop."""


class Replay(Generic[T]):
    """`violations` is what was found, in the order of the journal. A subclass says what it tracks of an item."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._seq = 0
        self._items: dict[str, T] = {}
        self._sessions: dict[str, str] = {}
        self._open_pauses: set[tuple[str, str]] = set()
        self._revived: tuple[Any, str] | None = None
        self.violations: list[str] = []
        self._handlers: Mapping[str, Callable[[Any, Any], None]] = MappingProxyType(self._handled())

    def _handled(self) -> dict[str, Callable[[Any, Any], None]]:
        return {
            "item.added": self._added, "item.moved": self._moved, "item.updated": self._moved,
            "item.taken": self._moved, "item.returned": self._moved,
            "item.leased": self._leased, "item.settled": self._settled, "attempt.phase": self._under_lease,
            "session.opened": self._opened, "session.updated": self._updated, "pause.opened": self._paused,
            "pause.changed": self._paused, "pause.closed": self._unpaused,
        }  # fmt: skip

    @property
    def entries(self) -> int:
        """How many entries were read."""
        return self._seq

    @property
    def items(self) -> int:
        """How many items they added."""
        return len(self._items)

    def _new(self, entry: Any, data: Mapping[str, Any]) -> T:
        raise NotImplementedError

    def _seen(self, entry: Any, data: Mapping[str, Any], item: T | None) -> None:
        """Called after each entry was judged."""

    def _broken(self, entry: Any, text: str) -> None:
        self.violations.append(f"journal {entry['seq']} {entry['kind']} {entry['item'] or ''}: {text}")

    # --- the journal, entry by entry ----------------------------------------------------------------------------------

    def read(self) -> None:
        """Judge what was committed since the last call."""
        for entry in self._connection.execute("SELECT * FROM journal WHERE seq > ? ORDER BY seq", (self._seq,)):
            if entry["seq"] != self._seq + 1:
                self._broken(entry, f"follows number {self._seq}: an entry is missing")
            self._seq = entry["seq"]
            data = json.loads(entry["data"])
            if self._revived is not None:
                self._judge_revival(entry)
            if entry["kind"] in self._handlers:
                self._judge(entry, data)
            self._seen(entry, data, self._items.get(entry["item"]) if entry["item"] else None)
        self._judge_revival(None)

    def _judge(self, entry: Any, data: Mapping[str, Any]) -> None:
        name, kind = entry["item"], entry["kind"]
        if name not in self._items and kind != "item.added" and not kind.startswith(_OF_ALL):
            self._broken(entry, "speaks of an item that was never added")
            return
        try:
            self._handlers[entry["kind"]](entry, data)
        except (KeyError, TypeError, ValueError) as exc:
            self._broken(entry, f"is no entry of this program: {type(exc).__name__} {exc}")

    def _added(self, entry: Any, data: Mapping[str, Any]) -> None:
        if entry["item"] in self._items:
            self._broken(entry, "added twice")
        self._items[entry["item"]] = self._new(entry, data)

    def _move(self, entry: Any, item: T, before: str, after: str) -> None:
        if before != item.state:
            self._broken(entry, f"moves from {before}, but it was {item.state}: an entry is missing or wrong")
        if before != after and WorkState(after) not in TRANSITIONS[WorkState(before)]:
            self._broken(entry, f"{before} -> {after} is no legal move")
        item.state = after

    def _moved(self, entry: Any, data: Mapping[str, Any]) -> None:
        if "to" in data:
            self._move(entry, self._items[entry["item"]], data["from"], data["to"])

    def _leased(self, entry: Any, data: Mapping[str, Any]) -> None:
        item = self._items[entry["item"]]
        if item.state == "waiting" and data.get("continues") == HAND:
            self._move(entry, item, "waiting", "ready")
        self._move(entry, item, item.state, "leased")
        if data["fence"] != item.fence + 1:
            self._broken(entry, f"fence {data['fence']} after {item.fence}")
        item.fence, item.owner = data["fence"], data["owner"]

    def _settled(self, entry: Any, data: Mapping[str, Any]) -> None:
        item = self._items[entry["item"]]
        self._move(entry, item, data["from"], data["to"])
        if data["from"] != "leased":
            return
        ending, counted = data["ending"], bool(data["counted"])
        if (data["fence"], entry["actor"]) != (item.fence, item.owner):
            self._broken(
                entry, f"a lease {data['fence']} of {entry['actor']} settles that of {item.owner}, {item.fence}"
            )
        if item.settled >= data["fence"]:
            self._broken(entry, f"fence {data['fence']} is settled a second time")
        item.settled = max(item.settled, data["fence"])
        if counted and (ending not in ENDINGS or ENDINGS[ending].cause is not Cause.AGENT):
            self._broken(entry, f"{ending or data['outcome']} was counted against the item")
        item.attempts += counted
        if data["attempts"] != item.attempts:
            self._broken(entry, f"says {data['attempts']} attempts; {item.attempts} were counted")

    def _under_lease(self, entry: Any, data: Mapping[str, Any]) -> None:
        item = self._items[entry["item"]]
        if item.state != "leased" or data["fence"] != item.fence:
            self._broken(entry, f"a stale write: fence {data['fence']}, the item is {item.state} under {item.fence}")

    def _opened(self, entry: Any, _data: Mapping[str, Any]) -> None:
        if self._items[entry["item"]].state != "leased":
            self._broken(entry, "a session without a lease")
        self._sessions[entry["session"]] = "spawning"

    def _updated(self, entry: Any, data: Mapping[str, Any]) -> None:
        before = self._sessions.get(entry["session"])
        if before in _FINAL:
            self._revived = (entry, f"a session that had ended ({before}) becomes {data['status']}")
        self._sessions[entry["session"]] = data["status"]

    def _judge_revival(self, after: Any) -> None:
        """An ended session changes by a person's word alone, which is the very next entry."""
        if self._revived is not None:
            entry, text = self._revived
            if after is None or (after["kind"], after["session"]) != ("session.marked", entry["session"]):
                self._broken(entry, text)
            self._revived = None

    def _paused(self, entry: Any, data: Mapping[str, Any]) -> None:
        self._open_pauses.add((data["scope"], entry["actor"]))

    def _unpaused(self, entry: Any, data: Mapping[str, Any]) -> None:
        pause = (data["scope"], data["source"])
        if pause not in self._open_pauses:
            self._broken(entry, f"closes a pause of {data['scope']} that was not open")
        self._open_pauses.discard(pause)

    # --- the tables against the journal -------------------------------------------------------------------------------

    def compare(self) -> None:
        """Items, attempts, sessions and pauses are what the journal says. Reads everything."""
        self.read()
        self.violations += [
            *self._compare_items(), *self._compare_attempts(), *self._compare_sessions(), *self._compare_pauses(),
            *constraints.broken(self._connection, self._items),
        ]  # fmt: skip

    def _compare_items(self) -> Iterator[str]:
        found = 0
        for row in self._connection.execute("SELECT id, state, fence, attempts, reason FROM items"):
            item = self._items.get(row["id"])
            if item is None:
                yield f"{row['id']} is in the database, but the journal does not know it"
                continue
            found += 1
            stored, told = (row["state"], row["fence"], row["attempts"]), (item.state, item.fence, item.attempts)
            if stored != told:
                yield f"{row['id']} is {stored} (state, fence, attempts); the journal says {told}"
            if row["state"] in ("blocked", "waiting", "parked") and not row["reason"]:
                yield f"{row['id']} is {row['state']} without a reason"
        if found != len(self._items):
            yield f"{len(self._items) - found} items are lost"

    def _compare_attempts(self) -> Iterator[str]:
        """Exactly the current lease of an item is open; what counts is what the item has counted."""
        rows = self._connection.execute(
            "SELECT item, sum(counted) AS counted, count(*) AS number, sum(phase <> 'settled') AS open FROM attempts"
            " GROUP BY item"
        )
        for row in rows:
            item = self._items.get(row["item"])
            facts = (row["counted"], row["number"], row["open"])
            wanted = None if item is None else (item.attempts, item.fence, int(item.state == "leased"))
            if facts != wanted:
                yield f"{row['item']}: {facts} attempts (counted, all, open); the journal says {wanted}"

    def _compare_sessions(self) -> Iterator[str]:
        for row in self._connection.execute(
            "SELECT id, item, fence, status FROM sessions"
            " WHERE status IN ('spawning', 'running', 'waiting_api', 'stopping')"
        ):
            item = self._items.get(row["item"])
            if item is None or item.state != "leased" or item.fence != row["fence"]:
                yield f"session {row['id']} is {row['status']}, but its lease {row['fence']} of {row['item']} has ended"

    def _compare_pauses(self) -> Iterator[str]:
        rows = self._connection.execute("SELECT scope, source FROM pauses WHERE ended_at IS NULL")
        stored = {(row["scope"], row["source"]) for row in rows}
        for scope, source in sorted(stored - self._open_pauses):
            yield f"{scope} is paused by {source}, but the journal does not say so"
        for scope, source in sorted(self._open_pauses - stored):
            yield f"the journal says that {scope} is paused by {source}; the database does not"


class _Audit(Replay[Tracked]):
    def _new(self, entry: Any, data: Mapping[str, Any]) -> Tracked:
        return Tracked(entry["item"], data["state"])


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit read and what it found; no `violations`: the tables are exactly what the journal says."""

    entries: int
    items: int
    violations: tuple[str, ...]


def audit(path: Path) -> Audited:
    """Replay the journal of a database, as of one moment, with or without a loop on it. Changes nothing.

    Raises NotFound, StoreError (another schema, a damaged file).
    """
    if not path.exists():
        raise NotFound(f"no database at {path}", hint="./loop status")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            schema.check(schema.version(connection), path, exactly=True)
            connection.execute("BEGIN")
            replay = _Audit(connection)
            replay.violations += [f"SQLite: {text}" for text in damage(connection)]
            replay.compare()
        finally:
            connection.close()
    except sqlite3.Error as exc:
        raise translate(exc, path) from exc
    return Audited(replay.entries, replay.items, tuple(replay.violations))


def damage(connection: sqlite3.Connection, most: int = 20) -> list[str]:
    """What SQLite itself finds wrong with pages, indexes, constraints and references; at most `most` of each."""
    told = [row[0] for row in connection.execute(f"PRAGMA integrity_check({most})")]
    lost = connection.execute("PRAGMA foreign_key_check").fetchmany(most)
    return [text for text in told if text != "ok"] + [f"{row[0]} row {row[1]} names a missing {row[2]}" for row in lost]
