"""Replays the journal against a small model of what may happen, and holds the database against that model.

The journal is read over a connection of its own with SQL of its own, so that a fault of the store cannot hide itself.
Each entry is judged in the order of commits; `compare` then checks that items, attempts, sessions and integrations are
exactly what the entries say.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.interrupt_file import NAME
from harness.model.outcome import ENDINGS, Cause
from harness.model.session import FINAL
from harness.model.work import TRANSITIONS, WorkState
from harness.testing.known import Breaker, Item, Judge, OpenPause, OpenPauses, milliseconds
from harness.testing.standins import KINDS

BREAKER_GRACE_MS = 5000
WELL = ("verified", "claimed")
_FINAL = frozenset(status.value for status in FINAL)


def reader(database: Path) -> sqlite3.Connection:
    """A connection of the auditor's own."""
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


class Auditor:
    """`violations` is what was found; `trace` a digest of all that happened, the same for the same seed."""

    def __init__(
        self, connection: sqlite3.Connection, repository: str, breaker_limit: int, judges: Sequence[Judge] = ()
    ) -> None:
        self._connection = connection
        self._default = repository
        self._judges = judges
        self._seq = 0
        self._items: dict[str, Item] = {}
        self._out: dict[str, Item] = {}
        self._states: Counter[str] = Counter()
        self._sessions: dict[str, str] = {}
        self._aliases: dict[str, str] = {}
        self.pauses = OpenPauses()
        self._breaker = Breaker(breaker_limit)
        self._raised = 0
        self._digest = hashlib.blake2b(digest_size=12)
        self.recent: deque[str] = deque(maxlen=60)
        self.violations: list[str] = []
        self.endings: Counter[str] = Counter()
        self.leases = 0
        self.last_lease_ms = 0
        self._handlers: Mapping[str, Callable[[Any, Any], None]] = MappingProxyType(
            {
                "item.added": self._added, "item.moved": self._moved, "item.updated": self._moved,
                "item.leased": self._leased, "item.settled": self._settled, "attempt.phase": self._under_lease,
                "session.opened": self._opened, "session.updated": self._updated, "pause.opened": self._paused,
                "pause.changed": self._paused, "pause.closed": self._unpaused, "interrupt.raised": self._interrupted,
            }
        )  # fmt: skip

    @property
    def trace(self) -> str:
        return self._digest.hexdigest()

    def close(self) -> None:
        self._connection.close()

    def mark(self, text: str) -> None:
        """Something outside the journal that belongs to the story."""
        self._digest.update(text.encode())
        self.recent.append(text)

    def states(self) -> Counter[str]:
        return self._states

    def state(self, item: str) -> str | None:
        found = self._items.get(item)
        return found.state if found else None

    def could_begin(self, now: datetime) -> list[str]:
        """Ready items that no pause keeps from being leased now."""
        at, leased = milliseconds(now), self._out.values()
        ready = (item for item in self._items.values() if item.state == "ready")
        return [item.id for item in ready if next(self.pauses.in_the_way(item, leased, at), None) is None]

    def leased_by(self, owner: str) -> list[str]:
        return [item.id for item in self._out.values() if item.owner == owner]

    def clock_was_set(self, seconds: float) -> None:
        self.read()
        self._breaker.shift(round(seconds * 1000))

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
            if entry["kind"] in self._handlers:
                self._handlers[entry["kind"]](entry, data)
            item = self._items.get(entry["item"]) if entry["item"] else None
            for judge in self._judges:
                for text in judge.see(entry, data, item):
                    self._broken(entry, text)
            self._note(entry, data)

    def _note(self, entry: Any, data: Mapping[str, Any]) -> None:
        session = entry["session"]
        alias = self._aliases.setdefault(session, f"s{len(self._aliases)}") if session else "-"
        told = " ".join(str(data.get(name)) for name in ("from", "to", "status", "ending", "fence", "scope", "phase"))
        actor = self._aliases.get(entry["actor"], entry["actor"])
        self.mark(f"{entry['at']} {entry['kind']} {entry['item'] or '-'} {alias} {actor} {told}")

    def _added(self, entry: Any, data: Mapping[str, Any]) -> None:
        if entry["item"] in self._items:
            self._broken(entry, "added twice")
        row = self._connection.execute(
            "SELECT id, repo, kind, priority FROM items WHERE id = ?", (entry["item"],)
        ).fetchone()
        item = Item(row["id"], data["state"], row["repo"] or self._default, row["kind"], row["priority"])
        self._items[item.id] = item
        self._states[item.state] += 1

    def _move(self, entry: Any, item: Item, before: str, after: str) -> None:
        if before != item.state:
            self._broken(entry, f"moves from {before}, but it was {item.state}: an entry is missing or wrong")
        if before != after and WorkState(after) not in TRANSITIONS[WorkState(before)]:
            self._broken(entry, f"{before} -> {after} is no legal move")
        self._states[item.state] -= 1
        self._states[after] += 1
        item.state = after
        if after == "leased":
            self._out[item.id] = item
        else:
            self._out.pop(item.id, None)

    def _moved(self, entry: Any, data: Mapping[str, Any]) -> None:
        item = self._items[entry["item"]]
        item.priority = data.get("changes", {}).get("priority", item.priority)
        if "to" in data:
            self._move(entry, item, data["from"], data["to"])

    def _leased(self, entry: Any, data: Mapping[str, Any]) -> None:
        item = self._items[entry["item"]]
        for pause in self.pauses.in_the_way(item, self._out.values(), entry["at"]):
            self._broken(entry, f"leased under {pause}")
        self._move(entry, item, item.state, "leased")
        if data["fence"] != item.fence + 1:
            self._broken(entry, f"fence {data['fence']} after {item.fence}")
        item.fence, item.owner, item.leased_ms = data["fence"], data["owner"], entry["at"]
        self.leases += 1
        self.last_lease_ms = entry["at"]
        due = self._breaker.due_ms
        if due is not None and entry["at"] > due + BREAKER_GRACE_MS:
            self._broken(entry, f"leased {entry['at'] - due} ms after the consecutive-failures breaker was due")
            self._breaker.due_ms = None

    def _settled(self, entry: Any, data: Mapping[str, Any]) -> None:
        item = self._items[entry["item"]]
        self._move(entry, item, data["from"], data["to"])
        if data["from"] != "leased":
            if data["from"] != "waiting":
                self._broken(entry, f"settled outside a lease, but it was {data['from']}")
            return
        ending, counted, at = data["ending"], bool(data["counted"]), entry["at"]
        self.endings[ending or data["outcome"]] += 1
        if (data["fence"], entry["actor"]) != (item.fence, item.owner):
            self._broken(
                entry, f"a lease {data['fence']} of {entry['actor']} settles that of {item.owner}, {item.fence}"
            )
        if data["outcome"] == "verified" and not KINDS.get(item.kind, KINDS["default"]).gates:
            self._broken(entry, f"verified, but no gate judges the kind {item.kind}")
        if item.settled >= data["fence"]:
            self._broken(entry, f"fence {data['fence']} is settled a second time")
        item.settled = max(item.settled, data["fence"])
        if counted and (ending is None or ENDINGS[ending].cause is not Cause.AGENT):
            self._broken(entry, f"{ending or data['outcome']} was counted against the item")
        item.attempts += counted
        if data["attempts"] != item.attempts:
            self._broken(entry, f"says {data['attempts']} attempts; {item.attempts} were counted")
        if counted:
            self._breaker.failed(at, entry["item"])
        elif data["outcome"] in WELL:
            self._breaker.clear()

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
            self._broken(entry, f"a session that had ended ({before}) becomes {data['status']}")
        self._sessions[entry["session"]] = data["status"]

    # --- pauses and the breaker ---------------------------------------------------------------------------------------

    def _paused(self, entry: Any, data: Mapping[str, Any]) -> None:
        until = None if data["until"] is None else milliseconds(datetime.fromisoformat(data["until"]))
        if data["kind"] == "probe" and until is None:
            self._broken(entry, f"the pause of {data['scope']} ends by itself, but nobody knows when")
        if not data["reason"].strip():
            self._broken(entry, f"pauses {data['scope']} and does not say why")
        self.pauses.opened(data["scope"], entry["actor"], OpenPause(data["kind"], until, entry["at"]))
        if data["scope"] == "loop" and entry["actor"] == NAME:
            self._breaker.due_ms = None

    def _unpaused(self, entry: Any, data: Mapping[str, Any]) -> None:
        pause = self.pauses.closed(data["scope"], data["source"])
        if pause is None:
            self._broken(entry, f"closes a pause of {data['scope']} that was not open")
        elif data["scope"] == "loop" and pause.kind == "file":
            self._breaker.clear()

    def _interrupted(self, entry: Any, data: Mapping[str, Any]) -> None:
        if data["condition"] != "consecutive_failures":
            return
        self._raised += 1
        if not self._breaker.is_due():
            self._broken(entry, "the breaker fired without enough failures in a row over two items")
        self._breaker.due_ms = None

    @property
    def raised(self) -> int:
        """How often the breaker fired."""
        return self._raised

    # --- the database against the journal -----------------------------------------------------------------------------

    def compare(self) -> None:
        """Items, attempts and sessions are what the journal says. Reads everything: for the end of an epoch."""
        self.read()
        self.violations += [*self._compare_items(), *self._compare_attempts(), *self._compare_sessions()]

    def _compare_items(self) -> Iterator[str]:
        found = 0
        for row in self._connection.execute("SELECT id, state, fence, attempts, reason, not_before, owner FROM items"):
            found += 1
            item = self._items.get(row["id"])
            if item is None:
                yield f"{row['id']} is in the database, but the journal does not know it"
                continue
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
            item = self._items[row["item"]]
            facts = (row["counted"], row["number"], row["open"])
            wanted = (item.attempts, item.fence, int(item.state == "leased"))
            if facts != wanted:
                yield f"{row['item']}: {facts} attempts (counted, all, open); the journal says {wanted}"

    def _compare_sessions(self) -> Iterator[str]:
        for row in self._connection.execute(
            "SELECT id, item, fence, status FROM sessions"
            " WHERE status IN ('spawning', 'running', 'waiting_api', 'stopping')"
        ):
            item = self._items[row["item"]]
            if item.state != "leased" or item.fence != row["fence"]:
                yield f"session {row['id']} is {row['status']}, but its lease {row['fence']} of {row['item']} has ended"

    def has_session(self, session: str) -> bool:
        return self._connection.execute("SELECT 1 FROM sessions WHERE id = ?", (session,)).fetchone() is not None

    def phases(self, owner: str) -> list[str]:
        """What the open attempts of an owner are at."""
        rows = self._connection.execute("SELECT phase FROM attempts WHERE phase <> 'settled' AND owner = ?", (owner,))
        return [row["phase"] for row in rows]

    def verified(self) -> list[str]:
        """Items that are done as verified."""
        rows = self._connection.execute(
            "SELECT id FROM items WHERE state = 'done' AND outcome = 'verified' ORDER BY seq"
        )
        return [row["id"] for row in rows]
