"""`python -m harness.testing.simulate`: play seeds through the real loop in virtual time and say what was found."""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.testing.campaign import Report, simulate
from harness.testing.faults import FAULTS

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made in it is ours alone and goes at the end
PER_STORY = 1000
YOUNG = 500_000
"""Objects made before the garbage is looked through: a story makes millions that go by themselves."""
SHOWN_EVENTS = 25
SHOWN_VIOLATIONS = 5


@dataclass(frozen=True, slots=True)
class Order:
    """One story to play: a seed, how many sessions, and the planted bug if there is one."""

    seed: int
    sessions: int
    fault: str | None = None


def play(order: Order) -> Report:
    """Play in a folder that is in memory where there is such a thing: the disk is not what is tested."""
    where = MEMORY if MEMORY.is_dir() else None
    gc.set_threshold(YOUNG)
    with tempfile.TemporaryDirectory(prefix="loop-simulation-", dir=where) as folder:
        return simulate(order.seed, order.sessions, Path(folder), FAULTS[order.fault] if order.fault else None)


def stories(seed: int, sessions: int, fault: str | None) -> list[Order]:
    """Cut into stories of at most 1,000 sessions, each with a seed of its own from `seed` on."""
    sizes = [min(PER_STORY, sessions - done) for done in range(0, sessions, PER_STORY)]
    return [Order(seed + number, size, fault) for number, size in enumerate(sizes)]


def failure(order: Order, report: Report) -> str:
    """What was found, how it came to that, and the command that plays it again."""
    fault = f" --bug {order.fault}" if order.fault else ""
    return "\n".join(
        [
            f"seed {report.seed} after {report.sessions} sessions, trace {report.trace}:",
            *(f"  {text}" for text in report.violations[:SHOWN_VIOLATIONS]),
            "  the last events:",
            *(f"    {line}" for line in report.recent[-SHOWN_EVENTS:]),
            f"again: python -m harness.testing.simulate --seed {order.seed} --sessions {order.sessions}{fault}",
        ]
    )


def summary(reports: Sequence[Report], seconds: float) -> str:
    sessions = sum(r.sessions for r in reports)
    hours = sum(r.virtual_seconds for r in reports) / 3600
    starts, breakers = sum(r.starts for r in reports), sum(r.breakers for r in reports)
    speed = f"{sessions} sessions in {seconds:.1f} s: {sessions / seconds:.0f}/s"
    return "\n".join(
        [
            f"{speed}; {hours:.1f} virtual hours, {starts} starts, {breakers} breakers",
            f"endings: {_histogram(r.endings for r in reports)}",
            f"processes ended: {_histogram(r.ended_by for r in reports)}",
            f"killed in: {_histogram(r.killed_in for r in reports)}",
            *(f"seed {r.seed}: trace {r.trace}" for r in reports[:1]),
        ]
    )


def _histogram(counters: Iterable[Counter[str]]) -> str:
    total = sum(counters, Counter[str]())
    return ", ".join(f"{name} {number}" for name, number in total.most_common())


def main(arguments: Sequence[str] | None = None) -> int:
    """0 = nothing that must not happen happened; 1 = it did, and the seed is printed."""
    parser = argparse.ArgumentParser(prog="python -m harness.testing.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=1, help="stories at a time")
    parser.add_argument("--bug", choices=sorted(FAULTS), help="plant a bug: it must be found")
    options = parser.parse_args(arguments)
    orders, began = stories(options.seed, options.sessions, options.bug), time.monotonic()
    reports: list[Report] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for order, report in zip(orders, pool.map(play, orders), strict=True):
            reports.append(report)
            if report.violations:
                sys.stdout.write(failure(order, report) + "\n")
                if options.bug:
                    break
        pool.shutdown(cancel_futures=True)
    sys.stdout.write(summary(reports, time.monotonic() - began) + "\n")
    return 1 if any(report.violations for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
