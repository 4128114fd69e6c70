"""Holds every start of a session against the budgets, by the rows of the sessions alone.

Budgets only rise while a loop runs, so what is allowed now was never less than what was allowed when it was decided.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from harness.model.session import FINAL
from harness.testing.known import Item, milliseconds
from harness.testing.money import MOST_USD
from harness.testing.world import World

_FINAL = frozenset(status.value for status in FINAL)
_MOST = Decimal(str(MOST_USD))
_LONGEST_DAY_MS = 2 * 24 * 3600 * 1000
_LATE_MS = 600_000
"""A session that ended just before midnight may be settled, and so counted, after it."""


@dataclass(slots=True)
class _Session:
    item: str
    kind: str
    owner: str
    cost: Decimal | None = None
    ended_ms: int | None = None


class Ledger:
    """A Judge. What a loop spends that was frozen and thought dead is out of everybody's reach, and left out."""

    def __init__(self, connection: sqlite3.Connection, world: World, leased_by: Callable[[str], list[str]]) -> None:
        self._connection = connection
        self._world = world
        self._leased_by = leased_by
        self._sessions: dict[str, _Session] = {}
        self._running: dict[str, _Session] = {}
        self._of_run: set[str] = set()
        """Owners since the newest loop began: it may have ended by the time somebody looks."""

    def see(self, entry: Any, data: Mapping[str, Any], item: Item | None) -> Iterator[str]:
        match entry["kind"]:
            case "run.begun":
                self._of_run.clear()
            case "session.opened" if item is not None:
                made = _Session(item.id, item.kind, entry["actor"])
                self._of_run.add(made.owner)
                self._sessions[entry["session"]] = self._running[entry["session"]] = made
                yield from self._judge_start(entry, made)
            case "session.updated" if data["status"] in _FINAL:
                self._ended(entry["session"])
            case "pause.opened" | "pause.changed" if entry["actor"] == "budget":
                yield from self._judge_hold(entry, data["reason"])
            case "item.settled" if item is not None and "budget: budgets." in data["reason"]:
                yield from self._judge_refusal(entry, data, item)

    def _ended(self, session: str) -> None:
        ended = self._running.pop(session, None)
        if ended is None:
            return
        row = self._connection.execute("SELECT ended_at, metrics FROM sessions WHERE id = ?", (session,)).fetchone()
        cost = json.loads(row["metrics"] or "{}").get("cost_usd")
        ended.cost = None if cost is None else Decimal(str(cost))
        ended.ended_ms = row["ended_at"]

    def _judge_start(self, entry: Any, session: _Session) -> Iterator[str]:
        """No session begins that could exceed a budget by more than what one running session may still use."""
        if session.owner in self._world.stale:
            return
        for name, limit, since, kind, item in self._limits(session.kind, session.item, entry["at"]):
            spent = self._spent(since, kind, item)
            running = sum(each.owner == session.owner and _within(each, kind, item) for each in self._running.values())
            if spent + running * _MOST > limit + _MOST:
                yield f"begun with ${spent} spent and {running} sessions running; budgets.{name} is ${limit}"

    def _judge_hold(self, entry: Any, reason: str) -> Iterator[str]:
        """Nothing is held for want of money while there is room for one session more."""
        name = reason.split(":")[1].strip().removeprefix("budgets.")
        if not reason.endswith("./loop resume") and name != "day_usd":
            yield f"is held by {name}, and does not say what to do"
        owners = {each.owner for each in self._running.values()} | self._world.locks
        for found, limit, since, kind, item in self._limits(_kind_of(name), "", entry["at"]):
            if _key(found, kind) == name:
                leased = sum(len(self._leased_by(owner)) for owner in owners)
                most = self._spent(since, kind, item, late=True) + (leased + 1) * _MOST + self._unknown()
                if most <= limit:
                    yield f"held by {name} at ${limit}, but at most ${most} are spent, reserved or wanted"

    def _judge_refusal(self, entry: Any, data: Mapping[str, Any], item: Item) -> Iterator[str]:
        if data["counted"]:
            yield "a budget was counted against the item"
        limit = self._world.money.budgets.item
        if data["to"] != "waiting" or limit is None or entry["actor"] in self._world.stale:
            return
        spent = self._spent(0, None, item.id, late=True)
        if spent + _MOST <= limit:
            yield f"waits for money with ${spent} of ${limit} spent"

    def _limits(self, kind: str, item: str, at: int) -> Iterator[tuple[str, Decimal, int, str | None, str | None]]:
        """Name, limit, since when, and what counts for it."""
        budgets = self._world.money.budgets
        if budgets.item is not None and item:
            yield "item_usd", budgets.item, 0, None, item
        if kind in budgets.kinds:
            yield "kind", budgets.kinds[kind], 0, kind, None
        if budgets.total is not None:
            yield "total_usd", budgets.total, 0, None, None
        if budgets.day is not None and self._world.clock_is_as_it_was:
            yield "day_usd", budgets.day, _midnight(at), None, None

    def _spent(self, since: int, kind: str | None, item: str | None, *, late: bool = False) -> Decimal:
        until = since + _LONGEST_DAY_MS if since else None  # beyond it: before a clock that was set back
        since -= _LATE_MS if late else 0
        costs = (
            each.cost
            for each in self._sessions.values()
            if each.cost is not None and (each.ended_ms or 0) >= since and _within(each, kind, item)
            if until is None or (each.ended_ms or 0) < until
            if late or each.owner not in self._world.stale
        )
        return sum(costs, Decimal(0))

    def _unknown(self) -> Decimal:
        """Sessions whose cost nobody knows count as what was reserved for them, as long as their loop lives."""
        living = self._world.locks | self._world.stale | self._of_run
        unknown = sum(
            each.cost is None and each.ended_ms is not None and each.owner in living for each in self._sessions.values()
        )
        return unknown * _MOST


def _within(session: _Session, kind: str | None, item: str | None) -> bool:
    return kind in (None, session.kind) and item in (None, session.item)


def _key(name: str, kind: str | None) -> str:
    return f"kind.{kind}" if name == "kind" else name


def _kind_of(name: str) -> str:
    return name.removeprefix("kind.") if name.startswith("kind.") else ""


def _midnight(at: int) -> int:
    """The local midnight before `at` (ms)."""
    local = datetime.fromtimestamp(at / 1000, UTC).astimezone()
    return milliseconds(local.replace(hour=0, minute=0, second=0, microsecond=0))
