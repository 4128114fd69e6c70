"""The audit of the journal, as `./loop audit verify` has it, and what only the simulator can judge besides: pauses
under which nothing may be leased, the breaker of failures in a row, gates that prove, and the same story for a seed.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.interrupt_file import NAME
from harness.store.audit import Replay
from harness.testing.known import Breaker, Item, Judge, OpenPause, OpenPauses, milliseconds
from harness.testing.standins import KINDS

BREAKER_GRACE_MS = 5000
WELL = ("verified", "claimed")


def reader(database: Path) -> sqlite3.Connection:
    """A connection of the auditor's own."""
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


class Auditor(Replay[Item]):
    """`violations` is what was found; `trace` a digest of all that happened, the same for the same seed."""

    def __init__(
        self, connection: sqlite3.Connection, repository: str, breaker_limit: int, judges: Sequence[Judge] = ()
    ) -> None:
        super().__init__(connection)
        self._default = repository
        self._judges = judges
        self._out: dict[str, Item] = {}
        self._states: Counter[str] = Counter()
        self._aliases: dict[str, str] = {}
        self.pauses = OpenPauses()
        self._breaker = Breaker(breaker_limit)
        self._raised = 0
        self._digest = hashlib.blake2b(digest_size=12)
        self.recent: deque[str] = deque(maxlen=60)
        self.endings: Counter[str] = Counter()
        self.leases = 0
        self.last_lease_ms = 0

    def _handled(self) -> dict[str, Callable[[Any, Any], None]]:
        return super()._handled() | {"interrupt.raised": self._interrupted}

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

    # --- the journal, entry by entry ----------------------------------------------------------------------------------

    def _seen(self, entry: Any, data: Mapping[str, Any], item: Item | None) -> None:
        for judge in self._judges:
            for text in judge.see(entry, data, item):
                self._broken(entry, text)
        self._note(entry, data)

    def _note(self, entry: Any, data: Mapping[str, Any]) -> None:
        session = entry["session"]
        alias = self._aliases.setdefault(session, f"s{len(self._aliases)}") if session else "-"
        get = data.get
        told = f"{get('from')} {get('to')} {get('status')} {get('ending')} {get('fence')} {get('scope')} {get('phase')}"
        actor = self._aliases.get(entry["actor"], entry["actor"])
        self.mark(f"{entry['at']} {entry['kind']} {entry['item'] or '-'} {alias} {actor} {told}")

    def _new(self, entry: Any, data: Mapping[str, Any]) -> Item:
        row = self._connection.execute(
            "SELECT repo, kind, priority FROM items WHERE id = ?", (entry["item"],)
        ).fetchone()
        self._states[data["state"]] += 1
        repo = row["repo"] or self._default
        return Item(entry["item"], data["state"], repo=repo, kind=row["kind"], priority=row["priority"])

    def _move(self, entry: Any, item: Item, before: str, after: str) -> None:
        self._states[item.state] -= 1
        self._states[after] += 1
        super()._move(entry, item, before, after)
        if after == "leased":
            self._out[item.id] = item
        else:
            self._out.pop(item.id, None)

    def _moved(self, entry: Any, data: Mapping[str, Any]) -> None:
        item = self._items[entry["item"]]
        item.priority = data.get("changes", {}).get("priority", item.priority)
        super()._moved(entry, data)

    def _leased(self, entry: Any, data: Mapping[str, Any]) -> None:
        item = self._items[entry["item"]]
        for pause in self.pauses.in_the_way(item, self._out.values(), entry["at"]):
            self._broken(entry, f"leased under {pause}")
        super()._leased(entry, data)
        item.leased_ms = entry["at"]
        self.leases += 1
        self.last_lease_ms = entry["at"]
        due = self._breaker.due_ms
        if due is not None and entry["at"] > due + BREAKER_GRACE_MS:
            self._broken(entry, f"leased {entry['at'] - due} ms after the consecutive-failures breaker was due")
            self._breaker.due_ms = None

    def _settled(self, entry: Any, data: Mapping[str, Any]) -> None:
        super()._settled(entry, data)
        if data["from"] != "leased":
            if data["from"] != "waiting":
                self._broken(entry, f"settled outside a lease, but it was {data['from']}")
            return
        self.endings[data["ending"] or data["outcome"]] += 1
        kind = self._items[entry["item"]].kind
        if data["outcome"] == "verified" and not KINDS.get(kind, KINDS["default"]).gates:
            self._broken(entry, f"verified, but no gate judges the kind {kind}")
        if data["counted"]:
            self._breaker.failed(entry["at"], entry["item"])
        elif data["outcome"] in WELL:
            self._breaker.clear()

    # --- pauses and the breaker ---------------------------------------------------------------------------------------

    def _paused(self, entry: Any, data: Mapping[str, Any]) -> None:
        super()._paused(entry, data)
        until = None if data["until"] is None else milliseconds(datetime.fromisoformat(data["until"]))
        if data["kind"] == "probe" and until is None:
            self._broken(entry, f"the pause of {data['scope']} ends by itself, but nobody knows when")
        if not data["reason"].strip():
            self._broken(entry, f"pauses {data['scope']} and does not say why")
        self.pauses.opened(data["scope"], entry["actor"], OpenPause(data["kind"], until, entry["at"]))
        if data["scope"] == "loop" and entry["actor"] == NAME:
            self._breaker.due_ms = None

    def _unpaused(self, entry: Any, data: Mapping[str, Any]) -> None:
        super()._unpaused(entry, data)
        pause = self.pauses.closed(data["scope"], data["source"])
        if pause is not None and data["scope"] == "loop" and pause.kind == "file":
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

    # --- looked up ----------------------------------------------------------------------------------------------------

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
