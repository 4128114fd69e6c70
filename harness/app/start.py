"""What the faces start: a loop, a demo. Plain values in, records out."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from harness.app.demo import Demo, run_demo
from harness.app.life import Ended
from harness.app.loop import run_loop
from harness.app.worker import run_worker
from harness.config.load import Loaded, load
from harness.engine.worker import Course
from harness.model.errors import Usage
from harness.model.home import Home
from harness.model.redact import Redactor
from harness.telemetry.journalist import Journal
from harness.telemetry.log import Logs, capture_libraries, detail_of

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_COLLECTION = (700, 10, 10)
"""How often Python looks for garbage if nobody says otherwise."""
Run = Callable[[Loaded, Course, Journal, Callable[[], Loaded]], Ended]
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of `run`; None = as configured. `until` is the local time of day, worked out; `seconds` the span."""

    max_iterations: int | None = None
    once: bool = False
    drain: bool = False
    workers: int | None = None
    until: datetime | None = None
    seconds: float | None = None


def span(text: str) -> timedelta:
    """`8h`, `90m`, `1d`. Raises Usage."""
    parts = _SPAN.findall(text)
    if not parts or _SPAN.sub("", text).strip():
        raise Usage(f"not a span of time: {text!r}", hint="30m, 8h, 1h30m, 1d")
    return timedelta(seconds=sum(float(count) * _UNIT_SECONDS[unit] for count, unit in parts))


def time_of_day(text: str, now: datetime) -> datetime:
    """The next moment at which the local clock shows `07:00`. Raises Usage."""
    found = re.fullmatch(r"(\d{1,2}):(\d{2})", text)
    if not found or int(found[1]) > 23 or int(found[2]) > 59:
        raise Usage(f"not a time of day: {text!r}", hint="07:00")
    today, at = now.astimezone().date(), time(int(found[1]), int(found[2]))
    # each day by itself: between two of them the local clock may be changed
    days = (datetime.combine(today + timedelta(days=more), at).astimezone() for more in (0, 1))
    return next(wanted for wanted in days if wanted > now)


def journal(home: Home, *, verbose: bool = False, debug: bool = False) -> Journal:
    """The logs of a loop on `home`, also shown on stderr."""
    detail = detail_of(verbose=verbose, debug=debug)
    redact = Redactor(os.environ).text
    logs = Logs(home.state, now=lambda: datetime.now(UTC), detail=detail, console=sys.stderr, redact=redact)
    capture_libraries(logs)
    return Journal(logs)


def start(home: Home, options: Options) -> Ended:
    """Run the loop of `home` until its course is at an end. Raises HarnessError for what forbids the start."""
    return _started(home, options, run_loop)


def start_worker(home: Home, options: Options) -> Ended:
    """Work beside the loop of `home`, one session at a time unless told otherwise. Raises as `start` does."""
    return _started(home, replace(options, workers=options.workers or 1), run_worker)


def _started(home: Home, options: Options, run: Run) -> Ended:
    flags = {"harness.max_iterations": options.max_iterations, "harness.workers": options.workers}
    environ = dict(os.environ)
    loaded = load(home.root, environ, flags)
    logs = journal(home, verbose=loaded.verbose, debug=loaded.debug)
    for warning in loaded.warnings:
        logs.line("WARN", "config.warning", reason=warning)
    _keep_what_is_loaded()
    return run(loaded, course_of(loaded, options), logs, lambda: load(home.root, environ, flags))


def _keep_what_is_loaded() -> None:
    """From here on garbage is looked for as usual, but among what a loop makes, not in the program itself."""
    gc.freeze()
    gc.set_threshold(*_COLLECTION)


def course_of(loaded: Loaded, options: Options) -> Course:
    settings = loaded.config.harness
    return Course(
        max_iterations=settings.max_iterations,
        once=options.once,
        drain=options.drain,
        until=options.until,
        seconds=options.seconds,
        workers=settings.workers,
        iteration_delay_seconds=settings.iteration_delay,
        pass_seconds=settings.interrupt_check_interval,
    )


def demo(root: Path, scenario: Path | None) -> Demo:
    return run_demo(root, journal, scenario)
