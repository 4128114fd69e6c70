"""What surrounds the loop: the clock, checks, measures, telemetry, records, leftover processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from harness.model.journal import Entry
from harness.model.session import SessionRow
from harness.model.vitals import Look


class Clock(Protocol):
    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw. `level`: ok, warn, fail; `ending` names the row of ENDINGS it would cause, if any."""

    check: str
    level: str
    found: str
    expected: str = ""
    mend: str = ""
    ending: str | None = None


class Gauge(Protocol):
    """Measures one running session from outside (O8)."""

    def look(self, pid: int) -> Look:
        """`pid` is agent-init's. Blocking, some ms; called in a thread, one call at a time. Never raises."""
        ...


class Check(Protocol):
    name: str

    async def probe(self) -> Sequence[Finding]: ...


class Journalist(Protocol):
    """Telemetry's side: takes what happened and writes iteration.log and the component logs. Never raises."""

    def entry(self, entry: Entry) -> None: ...
    def line(self, level: str, event: str, **facts: Any) -> None: ...


class Records(Protocol):
    """The documented files of sessions (contract 2): projections, written atomically."""

    def current(self, row: SessionRow) -> None: ...
    def state(self, row: SessionRow) -> None: ...
    def metrics(self, session: str, document: Mapping[str, Any]) -> Path: ...
    def context(self, session: str, document: Mapping[str, Any]) -> Path: ...
    def read_context(self, session: str) -> Mapping[str, Any] | None: ...


class Processes(Protocol):
    """Leftovers of earlier runs: who is dead, and ending what an agent-init left behind."""

    def owner_is_dead(self, owner: str) -> bool: ...
    def session_is_dead(self, session: str) -> bool: ...
    async def end_session(self, row: SessionRow, *, term_seconds: float = 4.0) -> int:
        """End every process of a session, whoever started it; how many were ended."""
        ...

    def rebooted(self, boot: str | None) -> bool:
        """Whether the machine was started again since `boot`: then nothing of it lives, and nobody killed it. False for
        one that is not known.
        """
        ...


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What became of the transcript of a session: files looked through, secrets blotted out."""

    files: int
    blots: int


class Transcripts(Protocol):
    """The conversations as the CLI keeps them."""

    def scrub(self, row: SessionRow) -> Scrubbed:
        """Blot secrets out of a conversation that nobody goes on in. Blocking. Raises DiskFull or HarnessError."""
        ...
