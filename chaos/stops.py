"""Sessions that run the process zoo are stopped, time out, succeed or are killed; nothing of them lives on (B2)."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from chaos.report import Report
from tests.lifecycle.zoo.den import Den
from tests.lifecycle.zoo.zoo import KINDS

EMPTY_SECONDS = 0.25
STORMS = ("storm", "gale")
CALM = tuple(kind for kind in KINDS if kind not in STORMS)
ENOUGH_SECONDS = 30.0


class _Zoo:
    """One agent-init with the zoo under it. Each end returns when its last signal was sent."""

    def __init__(self, folder: Path, action: str, kinds: tuple[str, ...]) -> None:
        self.den = Den(folder)
        self.den.prepare(grace_seconds=0.2)
        self.process = self.den.start(*self.den.zoo(action, *kinds))
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b'{"type":"ready"}\n'

    def stopped(self) -> float:
        """TERM to agent-init: the zoo ignores it, so the kill after the grace is the last signal."""
        sent = time.monotonic()
        self.process.terminate()
        self.process.communicate(timeout=ENOUGH_SECONDS)
        return sent + self.den.spec.grace_seconds

    def timed_out(self) -> float:
        """The second TERM of the ladder, which does not wait for the grace."""
        self.process.terminate()
        time.sleep(0.02)
        sent = time.monotonic()
        self.process.terminate()
        self.process.communicate(timeout=ENOUGH_SECONDS)
        return sent

    def succeeded(self) -> float:
        """The agent itself exits well and leaves everybody behind; its exit is what agent-init acts upon."""
        sent = time.monotonic()
        self.process.communicate(timeout=ENOUGH_SECONDS)
        return sent

    def killed(self) -> float:
        """KILL to the agent."""
        pid = self.den.record().agent_pid
        assert pid
        sent = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self.process.communicate(timeout=ENOUGH_SECONDS)
        return sent


ENDS: Mapping[str, tuple[str, Callable[[_Zoo], float]]] = {
    "stopped": ("then-ignore", _Zoo.stopped),
    "timed out": ("then-ignore", _Zoo.timed_out),
    "succeeded": ("then-exit", _Zoo.succeeded),
    "killed": ("then-stay", _Zoo.killed),
}


def stops(count: int) -> Report:
    """`count` ends, three of four with the calm part of the zoo, one with the fork storms, whose time is apart."""
    report = Report(f"{count} ends of a session that runs the process zoo")
    calm, storm, ends = list[float](), list[float](), Counter[str]()
    began = time.monotonic()
    with report.folder() as folder:
        for number in range(count):
            name, (action, end) = list(ENDS.items())[number % len(ENDS)]
            stormy = (number // len(ENDS)) % 4 == 3
            place = folder / str(number)
            place.mkdir()
            zoo = _Zoo(place, action, tuple(KINDS) if stormy else CALM)
            try:
                (storm if stormy else calm).append(max(0.0, _seconds(zoo, end)))
                left = zoo.den.living()
                report.violations += [f"end {number} ({name}): {left} still live"] * bool(left)
            finally:
                zoo.den.clear()
            ends[name] += 1
    report.row("ends", ", ".join(f"{number} {name}" for name, number in ends.items()))
    report.row("kinds", f"{' '.join(CALM)}; in storms also {' '.join(STORMS)}")
    report.times("last signal to empty", calm, EMPTY_SECONDS)
    report.times("the same with fork storms", storm)
    report.row("seconds", f"{time.monotonic() - began:.0f}")
    return report


def _seconds(zoo: _Zoo, end: Callable[[_Zoo], float]) -> float:
    sent = end(zoo)
    return time.monotonic() - sent
