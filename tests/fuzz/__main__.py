"""`python -m tests.fuzz --seconds 120`: rounds of new cases, each under a seed of its own, until the time is used up."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLES = 2000


def play(seed: int, examples: int, arguments: list[str]) -> int:
    """One round; the exit code of pytest."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-k", "not thirty_thousand", f"--hypothesis-seed={seed}", str(HERE), *arguments],
        env={**os.environ, "FUZZ_EXAMPLES": str(examples)},
        cwd=HERE.parents[1],
        check=False,
    ).returncode  # fmt: skip


def main() -> int:
    """0 = nothing found; else pytest's code, with the seed that finds it again."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="a test and round")
    parser.add_argument("--seed", type=int, default=None, help="play this one round and no other")
    options, arguments = parser.parse_known_args()
    if options.seed is not None:
        return play(options.seed, options.examples, arguments)
    began, rounds = time.monotonic(), 0
    first = int(time.time())
    while time.monotonic() - began < options.seconds:
        status = play(first + rounds, options.examples, arguments)
        rounds += 1
        if status:
            command = f"python -m tests.fuzz --seed {first + rounds - 1} --examples {options.examples}"
            sys.stdout.write(f"found in round {rounds}; again: {command}\n")
            return status
    sys.stdout.write(f"{rounds} rounds of {options.examples} examples a test, nothing found\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
