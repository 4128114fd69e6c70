"""Lease over a raw durable one-row IMMEDIATE transaction: interleaved blocks in one run, ratio of medians.

The raw side is what any durable queue has to pay on this disk: WAL, synchronous=FULL, one updated row, one COMMIT.
"""

from __future__ import annotations

import argparse
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from harness.model.outcome import Disposition, Interrupted
from harness.model.work import Lease, WorkItem, WorkState
from harness.ports import LeaseRules, Settlement
from harness.store.sqlite import SqliteStore

RULES = LeaseRules("bench", {"default": None, "sweep": 2})
BLOCKS, SIZE, AIM = 12, 50, 4.5
BACK = Settlement(Interrupted("bench", "bench"), Disposition(WorkState.READY, "bench"))


def raw(folder: Path) -> Callable[[], None]:
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE one (id INTEGER PRIMARY KEY, n INTEGER)")
    connection.execute("INSERT INTO one VALUES (1, 0)")

    def transaction() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE one SET n = n + 1 WHERE id = 1")
        connection.execute("COMMIT")

    return transaction


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e6


def block(store: SqliteStore, now: datetime) -> list[float]:
    """Lease times; the settles in between are not counted."""
    taken: list[Lease | None] = []
    spent = [timed(lambda: taken.append(store.lease("bench", RULES, now))) for _ in range(SIZE)]
    for lease in taken:
        assert lease is not None
        store.settle(lease, BACK, now)
    store.written()
    return spent


def measure(rows: int) -> float:
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="bench-store-") as name:
        folder = Path(name)
        store, transaction = SqliteStore(folder / "harness.db"), raw(folder)
        began = time.perf_counter()
        store.add([WorkItem(f"wrk_{n:08x}", f"item {n}") for n in range(rows)], actor="bench", now=now)
        adding = rows / (time.perf_counter() - began)
        block(store, now)
        raws: list[float] = []
        leases: list[float] = []
        for _ in range(BLOCKS):
            raws += [timed(transaction) for _ in range(SIZE)]
            leases += block(store, now)
        store.close()
    ratio = median(leases) / median(raws)
    print(
        f"store.lease rows={rows} raw_p50_us={median(raws):.0f} lease_p50_us={median(leases):.0f} "
        f"lease_p99_us={sorted(leases)[int(len(leases) * 0.99)]:.0f} adds_per_s={adding:.0f} "
        f"ratio={ratio:.2f} aim={AIM}"
    )
    return ratio


def import_cpu(script: str) -> float:
    """Median CPU milliseconds of a fresh interpreter."""
    spent = []
    for _ in range(9):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", script], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return median(spent) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000, 100_000])
    for rows in parser.parse_args().rows:
        measure(rows)
    bare, reading = import_cpu("pass"), import_cpu("import harness.store.reading")
    print(f"store.import bare_ms={bare:.0f} reading_ms={reading:.0f} over_ms={reading - bare:.0f} aim=40")


if __name__ == "__main__":
    main()
