"""What must hold between tables, whoever wrote them: part of the audit, with SQL of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.store.audit import Tracked


def broken(connection: sqlite3.Connection, items: Mapping[str, Tracked]) -> Iterator[str]:
    """Sentences; `items` are what the journal says."""
    yield from _resources(connection, items)
    yield from _blocked(connection)
    yield from _regressions(connection)


def _resources(connection: sqlite3.Connection, items: Mapping[str, Tracked]) -> Iterator[str]:
    """Who has a resource is leased, under that lease; and who is leased has all that its item names."""
    for name, item, fence in connection.execute("SELECT name, item, fence FROM resources ORDER BY name"):
        told = ("unknown", 0) if item not in items else (items[item].state, items[item].fence)
        if told != ("leased", fence):
            yield f"resource {name} is with {item} under lease {fence}; the journal says {told[0]}, {told[1]}"
    for item, name in connection.execute(
        "SELECT items.id, wanted.value FROM items, json_each(items.resources) AS wanted"
        " WHERE items.state = 'leased'"
        " AND NOT EXISTS (SELECT 1 FROM resources WHERE name = wanted.value AND item = items.id)"
    ):
        yield f"{item} is leased without its resource {name}"


def _blocked(connection: sqlite3.Connection) -> Iterator[str]:
    """Nobody waits for what is done, nor for what has failed if its rule is to skip or to run on."""
    for item, rule, open_ones, failed in connection.execute(
        "SELECT items.id, items.on_failure,"
        " coalesce(sum(need.state NOT IN ('done', 'parked', 'cancelled')), 0),"
        " coalesce(sum(need.state IN ('parked', 'cancelled')), 0)"
        " FROM items LEFT JOIN deps ON deps.item = items.id LEFT JOIN items AS need ON need.id = deps.needs"
        " WHERE items.state = 'blocked' GROUP BY items.id"
    ):
        waits = {"hold": open_ones + failed > 0, "run": open_ones > 0, "skip": open_ones > 0 and not failed}
        if not waits[rule]:
            yield f"{item} is blocked ({rule}), but of what it depends on {open_ones} are open, {failed} have failed"


def _regressions(connection: sqlite3.Connection) -> Iterator[str]:
    for item, before, told in connection.execute(
        "SELECT items.id, items.regression_of, json_extract(journal.data, '$.regression_of')"
        " FROM items LEFT JOIN journal ON journal.item = items.id AND journal.kind = 'item.added'"
        " WHERE items.regression_of IS NOT NULL"
    ):
        if before != told:
            yield f"{item} is called a regression of {before}; the journal says {told or 'none'}"
