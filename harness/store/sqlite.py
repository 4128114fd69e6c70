"""The store on SQLite: one thin schema, hand-written statements, one transaction a method (architecture 7.1).

`database` has connection, gate and errors, `reader` every question. The changes stand on top, by noun: `journal`,
`questions`, `items`, `pauses`, `sessions`, `leases`, `integrations`, `followups`, `hands`, `schedules`,
`decisions`, `money`, `tasks`, `ranges`; the SQL in `queries/`, the tables in `migrations/`.
"""

from __future__ import annotations

from harness.store.decisions import Decisions
from harness.store.money import Money
from harness.store.ranges import Ranges
from harness.store.tasks import Numbers


class SqliteStore(Decisions, Money, Numbers, Ranges):
    """`harness.ports.Store` on one file; used by one thread at a time.

    `SqliteStore(path, gate=None, read_only=False)`: a writer creates and migrates the file, its writes wait for the
    gate; a reader takes no lock, works while others write, and changes nothing.
    """
