"""Several processes on one store, and processes that die in the middle of a write."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.model.outcome import Disposition, Failed
from harness.model.work import WorkState
from harness.ports import Settlement
from harness.store.sqlite import SqliteStore
from tests.kit.stores import add, item

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
LOST = Settlement(Failed("lost"), Disposition(WorkState.READY, "lost", rescued=True))
LEASER = """
import sys
from pathlib import Path
from harness.store.sqlite import SqliteStore
from tests.kit.stores import NOW, RULES
store = SqliteStore(Path(sys.argv[1]))
sys.stdin.readline()
while (held := store.lease(sys.argv[2], RULES, NOW)) is not None:
    print(held.item.id)
"""
WRITER = """
import sys
from pathlib import Path
from harness.store.sqlite import SqliteStore
from tests.kit.stores import NOW, RULES, add, done, item
store = SqliteStore(Path(sys.argv[1]))
for number in range(100_000):
    name = f"{sys.argv[2]}-{number}"
    add(store, item(name))
    print(name, flush=True)
    if (held := store.lease(sys.argv[2], RULES, NOW)) is not None:
        store.settle(held, done(), NOW)
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_eight_processes_lease_two_thousand_items_and_none_twice(tmp_path):
    path = tmp_path / "harness.db"
    store = SqliteStore(path)
    add(store, *(item(f"i{number}") for number in range(2000)))
    crowd = [start(LEASER, str(path), f"owner{number}") for number in range(8)]
    for process in crowd:
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = [process.communicate()[0].split() for process in crowd]
    everything = [name for names in taken for name in names]
    assert [process.returncode for process in crowd] == [0] * 8
    assert (len(everything), len(set(everything))) == (2000, 2000)
    assert {item_.fence for item_ in store.items(limit=3000)} == {1}
    store.close()


def test_a_writer_killed_at_any_moment_loses_nothing_it_acknowledged(tmp_path):
    """kill -9 in the middle of a write; the next program opens the database and everything acknowledged is in it."""
    path = tmp_path / "harness.db"
    chance = random.Random(1)
    acknowledged: list[str] = []
    for turn in range(6):
        process = start(WRITER, str(path), f"w{turn}")
        acknowledged.append(process.stdout.readline().strip())
        time.sleep(chance.uniform(0.01, 0.25))  # the moment of death is what this test varies
        process.send_signal(signal.SIGKILL)
        acknowledged += process.communicate()[0].split("\n")[:-1]
        check_integrity(path)
        with_leases_settled(path, f"w{turn}")
    store = SqliteStore(path)
    missing = [name for name in acknowledged if store.item(name) is None]
    assert missing == []
    assert len(acknowledged) > 12
    store.close()


def check_integrity(path: Path) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def with_leases_settled(path: Path, dead: str) -> None:
    """A killed writer leaves at most one lease, and it is found by its owner's name."""
    store = SqliteStore(path)
    orphans = store.orphans([dead])
    assert len(orphans) <= 1
    assert store.owners() == [orphan.lease.owner for orphan in orphans]
    for orphan in orphans:
        store.settle(orphan.lease, LOST, orphan.lease.leased_at)
    store.close()
