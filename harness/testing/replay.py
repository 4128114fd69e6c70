"""`python -m harness.testing.replay`: recorded sessions through the real watchdog in virtual time, at many thresholds.

A false kill ends a session that was still to give a sign of life; a miss leaves a hung one to its wall clock.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from harness.agents.claude.recorded import events
from harness.engine.watchdog import Finding, Watchdog
from harness.model.brief import Limits
from harness.model.errors import HarnessError, Usage
from harness.model.events import StopReason
from harness.testing.recordings import Recording, cut, load, stretched

SHIPPED = Path(__file__).parents[2] / "tests" / "data" / "replay"
THRESHOLDS = (30.0, 60.0, 120.0, 300.0, 420.0, 600.0, 900.0)
STRETCHES = 20
NEVER = float("inf")
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the watchdog did to a recording. `found_at` in seconds since the start; both false: it was right."""

    recording: Recording
    finding: Finding | None
    found_at: float | None
    false_kill: bool = False
    miss: bool = False

    def __str__(self) -> str:
        what = "false kill" if self.false_kill else "miss" if self.miss else "right"
        said = f" at {self.found_at:.0f} s: {self.finding.reason}, {self.finding.doing}" if self.finding else ""
        return f"{what}: {self.recording.name}, last frame at {self.recording.last:.0f} s{said}"


def judge(recording: Recording, limits: Limits) -> Verdict:
    """Play a recording. Every limit is looked at right before each frame, which is the worst moment for a slow one.

    The wall clock of the session is left out: what only it would end is a miss.
    """
    endless = replace(limits, session_timeout_seconds=NEVER)
    dog, over = Watchdog(endless, started=0.0), False
    for at, event in events(recording.frames, endless):
        if (finding := dog.tick(at)) is not None:
            return _killed(recording, dog, finding, at)
        dog.on(event, at)
        over = dog.state == "idle"
    if over or not recording.hung:
        return Verdict(recording, None, None)
    horizon = recording.last + limits.session_timeout_seconds
    finding = dog.tick(horizon)
    if finding is None:
        return Verdict(recording, None, None, miss=True)
    return Verdict(recording, finding, _since(dog, recording.last, horizon))


def _killed(recording: Recording, dog: Watchdog, finding: Finding, at: float) -> Verdict:
    """Before the last frame. Going round in circles is no sign of life, though frames come."""
    right = recording.circling and finding.reason is StopReason.SPINNING
    return Verdict(recording, finding, _since(dog, at - finding.silent_seconds, at), false_kill=not right)


def _since(dog: Watchdog, quiet: float, found: float) -> float:
    """The second at which the finding was due: without events it stays due once it is."""
    while found - quiet > 1.0:
        middle = (quiet + found) / 2
        quiet, found = (quiet, middle) if dog.tick(middle) is not None else (middle, found)
    return found


def corpus(recordings: Iterable[Recording], stretches: int) -> list[Recording]:
    """Recordings, slow nights of each, and the healthy ones falling silent after each of their frames."""
    whole = [recording for recording in recordings if recording.frames or recording.hung]
    slow = [stretched(recording, seed) for recording in whole if recording.frames for seed in range(stretches)]
    silent = [piece for recording in whole if recording.hung is False for piece in cut(recording)]
    return [*whole, *slow, *silent]


def row(threshold: float, verdicts: Sequence[Verdict]) -> str:
    """One line of the table: how long hung sessions went unnoticed is counted from their last frame."""
    kills, misses = (sum(getattr(v, what) for v in verdicts) for what in ("false_kill", "miss"))
    noticed = [v for v in verdicts if v.recording.hung and not v.false_kill]
    late = [v.found_at - v.recording.last for v in noticed if v.found_at is not None]
    delay = f"{max(0.0, median(late)):10.0f} {max(0.0, *late):8.0f}" if late else f"{'-':>10} {'-':>8}"
    return f"{threshold:9.0f} {len(verdicts):9} {kills:12} {misses:7} {delay}"


def files(given: Sequence[Path]) -> list[Path]:
    """The logs to play. Raises Usage if there are none."""
    found = list(given) or sorted(SHIPPED.glob("*.log"))
    if not found:
        raise Usage(f"no recorded sessions in {SHIPPED}", hint="name your own: docs/sessions/*.log")
    return found


def play(recordings: Sequence[Recording], limits: Limits, thresholds: Iterable[float]) -> list[Verdict]:
    """Print a row for each threshold; the wrong verdicts at the threshold of `limits`."""
    sys.stdout.write("threshold  sessions  false kills  misses  noticed after s (median, most)\n")
    for threshold in sorted({*thresholds, limits.stall_threshold_seconds}):
        at = replace(limits, stall_threshold_seconds=threshold)
        verdicts = [judge(recording, at) for recording in recordings]
        mark = "  <- judged" if threshold == limits.stall_threshold_seconds else ""
        sys.stdout.write(f"{row(threshold, verdicts)}{mark}\n")
        if mark:
            wrong = [v for v in verdicts if v.false_kill or v.miss]
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """0 = every verdict at the judged threshold was right; 1 = not; 2 = a file that is no session log."""
    parser = argparse.ArgumentParser(prog="python -m harness.testing.replay", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="session logs; without any, the shipped ones")
    parser.add_argument("--threshold", type=float, default=Limits().stall_threshold_seconds, help="the one to judge by")
    parser.add_argument("--stretches", type=int, default=STRETCHES, help="slow nights made of each session")
    options = parser.parse_args(arguments)
    try:
        recordings = corpus(map(load, files(options.files)), options.stretches)
    except HarnessError as exc:
        sys.stderr.write(f"error: {exc.message}\n  next: {exc.hint}\n")
        return exc.status
    wrong = play(recordings, Limits(stall_threshold_seconds=options.threshold), THRESHOLDS)
    for verdict in wrong[:SHOWN]:
        sys.stdout.write(f"{verdict}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
