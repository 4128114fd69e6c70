"""`python -m chaos`: faults on purpose, one table, exit 1 if a promise was broken (docs/howto/chaos.md)."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Mapping

from chaos.disk import full_disk
from chaos.kill9 import kill9
from chaos.real import real
from chaos.report import Report
from chaos.stops import stops


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument(
        "--kills", type=int, default=100, help="strikes against the loop with scripted agents; 0 = none"
    )
    parser.add_argument("--real", type=int, default=5, help="strikes under sessions of the real CLI")
    parser.add_argument("--stops", type=int, default=50, help="ends of a session that runs the process zoo")
    parser.add_argument("--disk", type=int, default=1, help="whether to fill a small disk; 0 = no (needs root)")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="of the moments of the strikes")
    given = parser.parse_args()
    parts: Mapping[str, Callable[[], Report]] = {
        "kills": lambda: kill9(given.kills, given.seed),
        "real": lambda: real(given.real, given.seed),
        "disk": full_disk,
        "stops": lambda: stops(given.stops),
    }
    bad, began = 0, time.monotonic()
    for name, part in parts.items():
        if getattr(given, name):
            report = part()
            bad += len(report.violations)
            print(*report.lines(), sep="\n", flush=True)
    print(f"all parts: {bad} violations in {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
