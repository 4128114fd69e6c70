"""`python -m harness` is `./loop`."""

from __future__ import annotations

import gc
import signal
import sys

from harness.cli.words import is_loop

OBJECTS = 250_000
"""New objects between two collections: more than a command makes, or a loop until it has loaded everything."""


def start() -> int:
    # What is loaded stays until the end: looking for garbage in it was a fifth of the CPU of `status`, and a tenth of
    # what a loop takes to its first lease.
    gc.set_threshold(OBJECTS)
    if is_loop(sys.argv[1:]):
        # Before anything else is loaded: TERM is a good end also for a loop that has not begun (contract 5).
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from harness.cli.main import main  # noqa: PLC0415 - takes half a second

    return main()


if __name__ == "__main__":
    sys.exit(start())
