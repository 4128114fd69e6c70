"""Where records go: state/iteration.log, state/logs/<component>.log (each 5 MiB, three of them), and the console.

Works when the database does not. Never raises: a line that cannot be written is counted in `dropped`, and the loop goes
on; the disk check, not the log, tells that the disk is full.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, MutableMapping
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import structlog

from harness.model.errors import HarnessError
from harness.model.text import one_line, plain
from harness.telemetry.line import Record, line, local, quiet
from harness.telemetry.names import Level, component, known
from harness.telemetry.rotate import RotatingFile

VERBOSE, DEBUG = 1, 2
"""Values of `detail`."""


class Logs:
    """All logs of one loop. `detail` 0 = normal, 1 = VERBOSE, 2 = DEBUG (H23); the component logs keep everything.
    `redact` blots secrets out of each finished line.
    """

    def __init__(
        self,
        state: Path,
        *,
        now: Callable[[], datetime],
        detail: int = 0,
        console: TextIO | None = None,
        redact: Callable[[str], str] = str,
    ) -> None:
        self.dropped = 0
        self._redact = redact
        self._state = state
        self._iteration = RotatingFile(state / "iteration.log", mode=0o644)
        self._now = now
        self._detail = detail
        self._console = console
        self._colour = console is not None and wants_colour(console, os.environ)
        self._components: dict[str, Any] = {}
        self._place: tuple[int, int] | None = None

    def write(self, record: Record) -> None:
        """One line an event. Never raises."""
        here = self._in_place()
        if here:
            self._keep(lambda: self._component(component(record.kind)).msg(record.message, record=record))
        if record.detail > self._detail:
            return
        if here:
            self._keep(self._iteration.write, self._redact(line(record)))
        if self._console is not None:
            self._keep(self._show, record)

    def _in_place(self) -> bool:
        """Whether the state folder is the one of the first line: one that was moved away is not made anew by its log,
        and another one at its place is somebody else's.
        """
        try:
            found = self._state.stat()
        except OSError:
            return self._place is None
        self._place = self._place or (found.st_dev, found.st_ino)
        return self._place == (found.st_dev, found.st_ino)

    def say(
        self, kind: str, facts: Mapping[str, Any], *, level: Level | None = None, at: datetime | None = None
    ) -> None:
        """Log an event by its name in `names.EVENTS`."""
        event = known(kind)
        detail = DEBUG if level is Level.DEBUG else event.detail
        text = event.text if event.level is Level.SUCCESS else quiet(one_line(event.text, 200))
        self.write(Record(at or self._now(), level or event.level, kind, text, facts, detail))

    def _show(self, record: Record) -> None:
        assert self._console is not None
        self._console.write(self._redact(line(record, colour=self._colour)) + "\n")
        self._console.flush()

    def _keep(self, write: Callable[..., Any], *args: Any) -> None:
        try:
            write(*args)
        except (HarnessError, OSError, ValueError):  # ValueError: the console was closed
            self.dropped += 1

    def _component(self, name: str) -> Any:
        if name not in self._components:
            sink = _Sink(RotatingFile(self._state / "logs" / f"{name}.log"), self._redact)
            renderer = structlog.processors.JSONRenderer(default=_json)
            self._components[name] = structlog.wrap_logger(
                sink, processors=[_flat, _clean, renderer], wrapper_class=structlog.BoundLogger
            )
        return self._components[name]


class _Sink:
    """What structlog calls with the finished line."""

    def __init__(self, file: RotatingFile, redact: Callable[[str], str]) -> None:
        self._file = file
        self._redact = redact

    def msg(self, text: str) -> None:
        self._file.write(self._redact(text))


class LibraryHandler(logging.Handler):
    """Warnings of libraries (asyncio's lost exceptions, the SDK's) become lines of ours."""

    def __init__(self, logs: Logs) -> None:
        super().__init__(logging.WARNING)
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        kind = "library.error" if record.levelno >= logging.ERROR else "library.warning"
        raised = record.exc_info[1] if record.exc_info else None
        cause = f"{type(raised).__name__}: {raised}" if raised is not None else None
        self._logs.say(kind, {"library": record.name, "said": record.getMessage(), "raised": cause})


def detail_of(*, verbose: bool, debug: bool) -> int:
    """How much is shown, from the two switches of contract 5."""
    return DEBUG if debug else VERBOSE if verbose else 0


def capture_libraries(logs: Logs) -> None:
    """Send what libraries log to our logs, and nothing of it to stderr."""
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, LibraryHandler)]
    root.addHandler(LibraryHandler(logs))


def wants_colour(console: TextIO, environment: Mapping[str, str]) -> bool:
    """A terminal that can, and nobody who said no (https://no-color.org)."""
    return console.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def _flat(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    record: Record = event["record"]
    head = {"at": local(record.at), "level": record.level.value, "event": record.kind}
    return head | {key: fact for key, fact in record.facts.items() if key not in head}


def _clean(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: plain(fact) if isinstance(fact, str) else fact for key, fact in event.items()}


def _json(fact: Any) -> Any:
    return local(fact) if isinstance(fact, datetime) else str(fact)
