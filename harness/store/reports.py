"""Questions that only people ask: figures over a period, ids by their beginning. Read-only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from harness.model.journal import AttemptRow
from harness.store import rows
from harness.store.database import Database

if TYPE_CHECKING:
    from decimal import Decimal

_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Run:
    """One start-to-stop of the loop; `ended_at` is None while it runs, and for good if it was killed.

    `isolation` is the level that it reached, None where that is not known.
    """

    run: str
    pid: int
    version: str
    began_at: datetime
    ended_at: datetime | None
    reason: str | None
    iterations: int | None
    isolation: str | None = None


def ids_like(database: Database, noun: str, prefix: str, limit: int = 4) -> Sequence[str]:
    """Ids of `item` or `session` that begin with `prefix`, in order."""
    found = database.all(f"{noun}_ids_like", low=prefix, high=prefix + _LAST, limit=limit)
    return [row["id"] for row in found]


def latest_run(database: Database) -> Run | None:
    row = database.one("run_latest")
    if row is None:
        return None
    times = {"began_at": rows.at(row["began_at"]), "ended_at": rows.at_or_none(row["ended_at"])}
    return Run(**{**dict(row), **times})


def unclean_runs(database: Database, since: datetime, now: datetime, source: str) -> int:
    """Starts that had no end, from `since` to `now` and since the last pause of `source` ended."""
    row = database.one("runs_unclean", since=rows.ms(since), now=rows.ms(now), source=source)
    assert row is not None
    return int(row["number"])


def outcomes_since(database: Database, since: datetime) -> Mapping[str, int]:
    """Settled attempts by outcome."""
    return {row["outcome"]: row["number"] for row in database.all("outcomes_since", since=rows.ms(since))}


def spend_since(database: Database, since: datetime) -> tuple[Decimal | None, int]:
    """US dollars of the sessions that ended since (None: nothing), and how many of them have no known cost."""
    costs = [row["cost"] for row in database.all("costs_since", since=rows.ms(since))]
    spent = [str(cost) for cost in costs if cost is not None and str(cost) != "0"]
    return _sum(spent) if spent else None, costs.count(None)


def _sum(costs: Sequence[str]) -> Decimal:
    from decimal import Decimal  # noqa: PLC0415 - where nothing was spent, nothing is loaded to add it up

    return sum(map(Decimal, costs), Decimal(0))


def latest_attempts(database: Database, limit: int) -> Sequence[AttemptRow]:
    """Settled ones, newest first."""
    return [rows.attempt(row) for row in database.all("attempts_latest", limit=limit)]


def strains(database: Database, session: str) -> Mapping[str, str]:
    """What a session is beyond its bounds with, by vital, each in words; what is over is left out."""
    found: dict[str, str] = {}
    for row in database.all("strains_of_session", session=session):
        data = json.loads(row["data"])
        found.pop(data["vital"], None)
        if row["kind"] != "session.relieved":
            word = "alert" if row["kind"] == "session.alert" else "warning"
            found[data["vital"]] = f"{word}: {data['reason']}"
    return found
