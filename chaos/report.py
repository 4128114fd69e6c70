"""What a part of the chaos run measured and what it found broken, and the one table that all parts print."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

BUSY = 1.75
"""Load per core above which times are not judged; a chaos run alone makes about one."""


@dataclass
class Report:
    """`rows` are (what, value); a part with `violations` fails the run, one with `skipped` says why it did nothing."""

    name: str
    rows: list[tuple[str, str]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    skipped: str = ""

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A new folder for this part; it stays, and is named, if a promise was broken or the part failed."""
        made = Path(tempfile.mkdtemp(prefix="chaos-"))
        kept = True
        try:
            yield made
            kept = bool(self.violations)
        finally:
            if kept:
                self.row("left for a look", made)
            else:
                shutil.rmtree(made)

    def row(self, what: str, value: object) -> None:
        self.rows.append((what, str(value)))

    def times(self, what: str, seconds: Sequence[float], limit: float | None = None) -> None:
        """A row of milliseconds; over `limit` seconds at the 99th percentile it is a violation.

        A machine that others keep busy measures them: there the figure is shown, and said not to be judged.
        """
        if not seconds:
            self.row(what, "not measured")
            return
        aim = "" if limit is None else f"   aim p99 <= {limit * 1000:.0f}"
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        busy = load > BUSY * cores
        self.row(what, f"{spread(seconds)}{aim}" + (f"   not judged: load {load:.1f} on {cores} cores" if busy else ""))
        if limit is not None and not busy and percentile(seconds, 99) > limit:
            self.violations.append(f"{what}: p99 {percentile(seconds, 99):.3f} s, the aim is {limit:g} s")

    def lines(self) -> Iterable[str]:
        yield f"{self.name}: {self.skipped or f'{len(self.violations)} violations'}"
        width = max((len(what) for what, _ in self.rows), default=0)
        for what, value in self.rows:
            yield f"  {what:<{width}}  {value}"
        for violation in self.violations:
            yield f"  VIOLATED  {violation}"


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank, so that it is a value that was seen."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-len(ordered) * percent // 100) - 1))]


def spread(seconds: Sequence[float]) -> str:
    figures = {"p50": median(seconds), "p99": percentile(seconds, 99), "max": max(seconds)}
    return "  ".join(f"{name} {value * 1000:.0f}" for name, value in figures.items()) + f" ms  n={len(seconds)}"
