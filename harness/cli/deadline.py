"""The command's own `--timeout`: exit 124 whatever it was doing (contract 4)."""

from __future__ import annotations

import signal
from types import FrameType

from harness.model.errors import Expired


def start_deadline(seconds: float | None) -> None:
    """From now on the command has this long; then Expired is raised in the main thread."""
    if seconds is None:
        return

    def expired(_signum: int, _frame: FrameType | None) -> None:
        raise Expired(f"not done within --timeout {seconds:g} s", hint="give it more time, or leave --timeout out")

    signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def clear_deadline() -> None:
    """The command is over in time."""
    signal.setitimer(signal.ITIMER_REAL, 0)
