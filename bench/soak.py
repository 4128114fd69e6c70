"""Thousands of sessions in one loop: does it hold on to memory, descriptors, children, or leave zombies?

Everything is real but the agent, which is scripted and starts no CLI: worker, store, workspaces, gate, integration. The
first sessions are left out: caches fill, the database's for about 800. So memory is judged from 2,000 sessions on, and
only told below. Exit 1 if anything grows.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.app.build import open_store
from harness.app.loop import run_loop
from harness.config.load import load
from harness.engine.worker import Course
from harness.model.home import Home
from harness.model.work import WorkItem
from tests.kit.sampling import Sample, Sampler, least, slope
from tests.kit.user import repository

MOST_MEGABYTES = 1.0
"""A thousand sessions."""
LEAST_FOR_MEMORY = 2000
SETTLED = 0.4
SAMPLES = 500
"""At most about so many, for they take memory themselves."""
MEBIBYTE = 1 << 20
CONFIG = """\
harness: {{iteration_delay: 0, interrupt_check_interval: 1, workers: {workers}}}
agents: {{default: {{type: scripted}}}}
repositories:
  - {{name: app, path: {path}, branch: main, gates: [{{name: tests, run: "true"}}]}}
"""


def steps(number: int) -> list[Mapping[str, Any]]:
    """A session that commits one file of its own; folders of a thousand keep the tree flat."""
    return [
        {"write": {"path": f"counted/{number // 1000}/{number}.txt", "content": f"{number}\n"}},
        {"commit": f"Count to {number}"},
        {"complete": "counted"},
    ]


def furnish(folder: Path, sessions: int, workers: int) -> Home:
    """A home with that many items for one small repository."""
    home = Home(folder / "house")
    home.root.mkdir()
    home.config.write_text(CONFIG.format(path=repository(folder / "app"), workers=workers))
    store = open_store(home)
    items = [WorkItem(f"n-{n:06}", f"Count to {n}", extra={"script": steps(n)}) for n in range(sessions)]
    store.add(items, actor="bench", now=datetime.now(UTC))
    store.close()
    return home


def said(samples: Sequence[Sample], sessions: int) -> str:
    last, seconds = samples[-1], (samples[-1].at - samples[0].at).total_seconds()
    speed = sessions * (1 - 1 / len(samples)) / seconds if seconds else 0.0
    return (
        f"soak.progress sessions={sessions} rss_mb={last.rss / MEBIBYTE:.1f} descriptors={last.descriptors} "
        f"children={last.children} zombies={last.zombies} sessions_per_s={speed:.1f}"
    )


def growth(samples: Sequence[Sample], every: int) -> list[str]:
    """What grew from sample to sample, taken `every` so many sessions, in words; also prints the figures. Counts are
    judged by what stays: git and gates run beside.
    """
    third = len(samples) // 3
    early, late = samples[:third], samples[-third:]
    memory = slope([sample.rss for sample in samples]) * 1000 / every / MEBIBYTE
    counts = {what: (least(early, what), least(late, what)) for what in ("descriptors", "children", "zombies")}
    flat = " ".join(f"{what}={before}->{after}" for what, (before, after) in counts.items())
    print(f"soak.slope samples={len(samples)} mb_per_1000={memory:.2f} aim={MOST_MEGABYTES:.2f} {flat}")
    found = [f"{what} grew from {a} to {b}" for what, (a, b) in counts.items() if b > a]
    if memory > MOST_MEGABYTES and len(samples) * every >= LEAST_FOR_MEMORY * (1 - SETTLED):
        found.append(f"memory grew {memory:.2f} MB a thousand sessions")
    return found


def soak(folder: Path, sessions: int, workers: int) -> list[str]:
    home = furnish(folder, sessions, workers)
    sampler, tenth = Sampler(every=max(1, sessions // SAMPLES)), max(1, sessions // 10)
    sampler.told = lambda count: print(said(sampler.samples, count), flush=True) if count % tenth == 0 else None
    ended = run_loop(
        load(home.root, os.environ), Course(drain=True, workers=workers, iteration_delay_seconds=0), sampler
    )
    assert ended.outcomes == {"verified": sessions}, ended
    return sampler.wrong + growth(sampler.samples[int(len(sampler.samples) * SETTLED) :], sampler.every)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("IS_SANDBOX", "1")
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        found = soak(Path(name), options.sessions, options.workers)
    for what in found:
        print(f"soak.failed {what}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
