"""The command's own `--timeout`: exit 124 whatever it was doing (contract 4)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.model.errors import Expired


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Raises Expired if what is inside takes longer, at once or, if it answers a TERM by winding up, when it has."""
    if seconds is None:
        yield
        return
    late = Expired(f"not done within --timeout {seconds:g} s", hint="give it more time, or leave --timeout out")
    passed = False
    inherited = signal.getsignal(signal.SIGTERM)

    def ring(_signum: int, _frame: FrameType | None) -> None:
        nonlocal passed
        passed = True
        # An exception out of nowhere would be some task's of an event loop; a TERM is meant for all of it.
        # Only a handler that what is inside has set itself is known to wind up.
        if signal.getsignal(signal.SIGTERM) is inherited:
            raise late
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if passed:
        raise late
