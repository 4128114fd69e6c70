"""What gates say of sealed work: verdicts, and the runs of commands that they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

PASSED, FAILED, BROKEN, ASKS = "passed", "failed", "broken", "asks"


@dataclass(frozen=True, slots=True)
class GateRun:
    """One run of a command for a gate.

    `on` says of what: head, base, `base + tests` (the base with the tests of the work), `head + tests` (the work
    with the tests of the base), or seal (a review). `sha256` is that of the whole log; `exit_code` None = the command
    could not be run.
    """

    on: str
    commit: str
    exit_code: int | None
    seconds: float
    log: str
    sha256: str = ""
    timed_out: bool = False

    @property
    def green(self) -> bool:
        return self.exit_code == 0 and not self.timed_out


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says of sealed work: passed, failed (a timeout too), broken (it could not start), or asks (a person).

    `flaky`: red, then green in a second clean checkout. `proves` False: a guard, which can object but proves nothing.
    `files` are those it speaks of.
    """

    gate: str
    verdict: str
    seconds: float
    log: str = ""
    tail: str = ""
    commit: str = ""
    flaky: bool = False
    proves: bool = True
    files: tuple[str, ...] = ()
    runs: tuple[GateRun, ...] = ()

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Verdict:
        """One from an attempt's row; keys that a newer version wrote are passed over."""
        known = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        runs = tuple(GateRun(**run) for run in known.pop("runs", ()))
        return cls(**{**known, "files": tuple(known.get("files", ()))}, runs=runs)


def named(verdicts: tuple[Verdict, ...]) -> str:
    """The gates that proved something, for a line of text; a flaky one says so."""
    return ", ".join(
        f"{each.gate} (flaky: green in its second run)" if each.flaky else each.gate
        for each in verdicts
        if each.verdict == PASSED and each.proves
    )
