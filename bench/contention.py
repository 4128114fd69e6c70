"""Eight processes lease and settle one queue: none twice, nobody waits long, everybody gets a share.

Held against raw durable one-row transactions under the same contention in the same run: for a quarter of the time all
processes write to the raw table instead. Both sides wait at a gate of their own (`flock`): without one SQLite lets a
writer starve for seconds, which would make the comparison easy.
"""

from __future__ import annotations

import argparse
import fcntl
import multiprocessing
import os
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness.model.outcome import Claimed, Disposition
from harness.model.work import WorkItem, WorkState
from harness.ports import LeaseRules, Settlement
from harness.store.sqlite import SqliteStore

RULES = LeaseRules("bench", {"default": None})
DONE = Settlement(Claimed("0" * 40), Disposition(WorkState.DONE, "bench"))
SLICE_SECONDS = 2.0
RAW_EVERY = 4
"""Each so-manieth slice belongs to the raw table."""
WINDOW_SECONDS = 60.0
P999_AIM_SECONDS, SLOWEST_AIM, SHARE_AIM = 0.150, 3.0, 1.6


@dataclass
class Told:
    """What one process saw: seconds of its leases and raw transactions, ids, and how many leases in each window."""

    leases: list[float] = field(default_factory=list)
    raws: list[float] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    windows: Counter[int] = field(default_factory=Counter)


def raw(folder: Path) -> Callable[[], None]:
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None, timeout=60)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS one (id INTEGER PRIMARY KEY, n INTEGER)")
    connection.execute("INSERT OR IGNORE INTO one VALUES (1, 0)")
    gate = os.open(folder / "raw.gate", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def transaction() -> None:
        fcntl.flock(gate, fcntl.LOCK_EX)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE one SET n = n + 1 WHERE id = 1")
            connection.execute("COMMIT")
        finally:
            fcntl.flock(gate, fcntl.LOCK_UN)

    return transaction


def work(folder: Path, owner: str, began: float, told: multiprocessing.SimpleQueue[Told]) -> None:
    """Lease and settle until nothing is left."""
    store, transaction, seen = SqliteStore(folder / "harness.db"), raw(folder), Told()
    while True:
        before = time.monotonic()
        if int((before - began) / SLICE_SECONDS) % RAW_EVERY == RAW_EVERY - 1:
            transaction()
            seen.raws.append(time.monotonic() - before)
            continue
        lease = store.lease(owner, RULES, datetime.now(UTC))
        if lease is None:
            break
        seen.leases.append(time.monotonic() - before)
        seen.ids.append(lease.item.id)
        seen.windows[int((before - began) / WINDOW_SECONDS)] += 1
        store.settle(lease, DONE, datetime.now(UTC))
        store.written()
    store.close()
    told.put(seen)


def contend(folder: Path, items: int, processes: int) -> tuple[Sequence[Told], Mapping[WorkState, int], float]:
    store, now = SqliteStore(folder / "harness.db"), datetime.now(UTC)
    store.add([WorkItem(f"wrk_{n:08x}", f"item {n}") for n in range(items)], actor="bench", now=now)
    owners = [f"bench-{n}" for n in range(processes)]
    for owner in owners:
        store.register(owner, pid=os.getpid(), boot="bench", start=0, kind="worker", now=now)
    raw(folder)
    context = multiprocessing.get_context("fork")
    told: multiprocessing.SimpleQueue[Told] = context.SimpleQueue()
    store.close()
    began = time.monotonic()
    workers = [context.Process(target=work, args=(folder, owner, began, told)) for owner in owners]
    for worker in workers:
        worker.start()
    seen = [told.get() for _ in workers]
    seconds = time.monotonic() - began
    for worker in workers:
        worker.join()
    store = SqliteStore(folder / "harness.db")
    counts = store.counts()
    store.close()
    return seen, counts, seconds


def at(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def shares(seen: Sequence[Told], seconds: float) -> float:
    """Busiest over laziest in the worst whole window; in all if there was none."""
    whole = range(int(seconds / WINDOW_SECONDS))
    counted = [[each.windows[n] for each in seen] for n in whole] or [[len(each.leases) for each in seen]]
    return max(max(window) / max(1, min(window)) for window in counted)


def judged(seen: Sequence[Told], counts: Mapping[WorkState, int], items: int, seconds: float) -> list[str]:
    """What missed its aim, in words; prints the figures."""
    leases, raws = [s for each in seen for s in each.leases], [s for each in seen for s in each.raws]
    twice = [name for name, times in Counter(name for each in seen for name in each.ids).items() if times > 1]
    slowest, share, p999 = max(leases) / max(raws), shares(seen, seconds), at(leases, 0.999)
    print(
        f"contention items={items} processes={len(seen)} seconds={seconds:.0f} pairs_per_s={len(leases) / seconds:.0f} "
        f"lease_p50_ms={at(leases, 0.5) * 1e3:.1f} p99_ms={at(leases, 0.99) * 1e3:.1f} p999_ms={p999 * 1e3:.1f} "
        f"slowest_ms={max(leases) * 1e3:.1f} raw_p50_ms={at(raws, 0.5) * 1e3:.1f} raw_slowest_ms={max(raws) * 1e3:.1f} "
        f"slowest_over_raw={slowest:.2f} aim={SLOWEST_AIM} busiest_over_laziest={share:.2f} aim={SHARE_AIM} "
        f"twice={len(twice)} done={counts[WorkState.DONE]}"
    )
    found = [f"{len(twice)} items were leased twice: {twice[:3]}"] if twice else []
    if counts[WorkState.DONE] != items:
        found.append(f"{counts[WorkState.DONE]} of {items} items are done")
    if p999 > P999_AIM_SECONDS:
        found.append(f"p99.9 of a lease is {p999 * 1e3:.0f} ms")
    if slowest > SLOWEST_AIM:
        found.append(f"the slowest lease took {slowest:.2f} times the slowest raw transaction")
    if share > SHARE_AIM:
        found.append(f"the busiest process had {share:.2f} times what the laziest had")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-contention-") as name:
        seen, counts, seconds = contend(Path(name), options.items, options.processes)
    found = judged(seen, counts, options.items, seconds)
    for what in found:
        print(f"contention.failed {what}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
