"""When to strike: right after a named commit, inside a transaction, or at any moment."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle

from chaos.journal import Gate, entries, last_seq
from harness.model.home import Home
from tests.kit.loop import LoopProcess

LOOK_SECONDS = 0.0003
PATIENCE_SECONDS = 6.0
COMMITS = (
    "run.begun",
    "item.leased",
    "attempt.phase preparing",
    "attempt.phase running",
    "session.updated running",
    "session.claimed",
    "session.saved",
    "session.updated completed",
    "attempt.phase proving",
    "attempt.phase integrating",
    "integration.intended",
    "integration.applied",
    "item.settled",
    "item.rescued",
)
"""The commit boundaries of an item's life, and of its rescue."""
MOMENTS = {"any moment of the start": 0.6, "any moment of the work": 2.0}
IN_A_TRANSACTION = "inside a transaction"


def round_robin(rng: random.Random) -> Iterator[str]:
    """Every aim equally often, in an order of its own."""
    aims = [*COMMITS, *MOMENTS, IN_A_TRANSACTION]
    rng.shuffle(aims)
    return cycle(aims)


def wait_for(aim: str, loop: LoopProcess, home: Home, database: sqlite3.Connection, rng: random.Random) -> bool:
    """Whether the moment came; False if the loop had nothing of that kind to do, or has ended."""
    if aim in MOMENTS:
        time.sleep(rng.uniform(0, MOMENTS[aim]))
        return loop.running
    if aim == IN_A_TRANSACTION:
        time.sleep(rng.uniform(0.4, 1.5))
        return _until_in_a_transaction(loop, home)
    return _until_committed(aim, loop, database)


def _until_committed(step: str, loop: LoopProcess, database: sqlite3.Connection) -> bool:
    seen, give_up = last_seq(database), time.monotonic() + PATIENCE_SECONDS
    while loop.running and time.monotonic() < give_up:
        new = entries(database, seen)
        if any(entry.step == step for entry in new):
            return True
        seen = new[-1].seq if new else seen
        time.sleep(LOOK_SECONDS)
    return False


def _until_in_a_transaction(loop: LoopProcess, home: Home) -> bool:
    give_up = time.monotonic() + PATIENCE_SECONDS
    with closing(Gate(home.state / "gate.lock")) as gate:
        while loop.running and time.monotonic() < give_up:
            if gate.is_held():
                return True
    return False
