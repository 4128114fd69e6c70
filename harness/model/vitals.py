"""What a running session uses of the machine and does to its workspace, judged over time (O8). Pure.

Every vital is a sum that only grows (CPU seconds, bytes moved, files changed, memory times time), so its mean over any
window is one subtraction, and a peak or a gap between two looks cannot be missed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

CLEAR = 0.9
"""An episode is over once its mean is a tenth clear of every bound: one at the border would begin and end in turns."""
MEGABYTE = 1_000_000


class Level(IntEnum):
    CALM = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Bound:
    """Crossed when the mean over the last `seconds` reaches `value`, from below or, for a low vital, from above."""

    value: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Rule:
    """The bounds of one vital; None = not watched. `acts` = a critical one has a consequence besides being said."""

    warning: Bound | None = None
    critical: Bound | None = None
    acts: bool = False

    @property
    def bounds(self) -> Sequence[tuple[Level, Bound]]:
        """The worst first."""
        named = ((Level.CRITICAL, self.critical), (Level.WARNING, self.warning))
        return [(level, bound) for level, bound in named if bound is not None]


Rules = Mapping[str, Rule]


@dataclass(frozen=True, slots=True)
class Vital:
    """How a vital reads for people; `low` = too little of it is what is wrong."""

    words: str
    low: bool = False


VITALS: Mapping[str, Vital] = MappingProxyType(
    {
        "cpu": Vital("its processes use {mean} % of the machine's processors"),
        "memory": Vital("its processes hold {mean} % of the machine's memory"),
        "disk": Vital("its processes move {mean} MB/s to and from disks"),
        "files": Vital("it changes {mean} files a minute in its workspace", low=True),
        "loop_memory": Vital("the loop's own process holds {mean} MiB"),
    }
)


@dataclass(frozen=True, slots=True)
class Look:
    """What is measured of a session at one moment; None where the system does not tell.

    `cpu_seconds` (of all processors together: at most 1 a second), `disk_bytes` and `changed_files` are sums since the
    first look and never fall; `memory_percent` is that of this moment.
    """

    cpu_seconds: float | None = None
    memory_percent: float | None = None
    disk_bytes: float | None = None
    changed_files: int | None = None


@dataclass(frozen=True, slots=True)
class Sign:
    """One change that a person is told. `level` CALM = the episode is over; `acts` as the rule has it."""

    vital: str
    level: Level
    reason: str
    acts: bool = False


@dataclass(slots=True)
class Trace:
    """One vital over time: points (time, sum), no older than its longest window needs."""

    name: str
    told: Level = Level.CALM
    _points: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, at: float, total: float, rule: Rule) -> Sign | None:
        """One more point; what is to be said now. Times and sums never fall."""
        self._points.append((at, total))
        self._forget(at - max((bound.seconds for _, bound in rule.bounds), default=0.0))
        for level, bound in rule.bounds:
            mean = self.mean(bound.seconds)
            if level > self.told and mean is not None and self._beyond(mean, bound.value):
                self.told = level
                return Sign(self.name, level, self._said(mean, bound), rule.acts and level is Level.CRITICAL)
        return self._over(rule)

    def mean(self, seconds: float) -> float | None:
        """Growth a second over the last `seconds`; None before so much time has passed."""
        end, total = self._points[-1]
        before = None
        for at, then in self._points:
            if at > end - seconds:
                break
            before = at, then
        return None if before is None else (total - before[1]) / (end - before[0])

    def _over(self, rule: Rule) -> Sign | None:
        if self.told is Level.CALM:
            return None
        known = [(bound, mean) for _, bound in rule.bounds if (mean := self.mean(bound.seconds)) is not None]
        if not all(self._clear(mean, bound.value) for bound, mean in known):
            return None
        self.told = Level.CALM
        return Sign(self.name, Level.CALM, self._said(known[-1][1], known[-1][0]) if known else "no longer watched")

    def _beyond(self, mean: float, value: float) -> bool:
        return mean <= value if VITALS[self.name].low else mean >= value

    def _clear(self, mean: float, value: float) -> bool:
        if VITALS[self.name].low:
            return mean > value and mean * CLEAR >= value
        return mean < value * CLEAR

    def _said(self, mean: float, bound: Bound) -> str:
        words = VITALS[self.name].words.format(mean=f"{mean:.1f}".removesuffix(".0"))
        return f"{words}, over {_span(bound.seconds)} (limit {bound.value:g})"

    def _forget(self, until: float) -> None:
        """The newest point at or before `until` stays: a window begins there."""
        while len(self._points) > 1 and self._points[1][0] <= until:
            self._points.popleft()


@dataclass(slots=True)
class Vitals:
    """All vitals of one session. Feed it looks with one monotonic time."""

    _traces: dict[str, Trace] = field(default_factory=dict)
    _at: float | None = None
    _quiet_seconds: float = 0.0
    _held: float = 0.0

    def look(self, at: float, found: Look, rules: Rules, *, resting: bool = False) -> list[Sign]:
        """What is to be said now. While `resting` (a tool runs, the API is waited for) nobody expects file changes:
        that time does not count for them, what was changed in it does.
        """
        passed = 0.0 if self._at is None else at - self._at
        self._at = at
        self._quiet_seconds += 0.0 if resting else passed
        self._held += (found.memory_percent or 0.0) * passed
        points = {
            "cpu": (at, _times(found.cpu_seconds, 100.0)),
            "memory": (at, None if found.memory_percent is None else self._held),
            "disk": (at, _times(found.disk_bytes, 1 / MEGABYTE)),
            "files": (self._quiet_seconds, _times(found.changed_files, 60.0)),
        }
        signs = [self._add(name, when, total, rules) for name, (when, total) in points.items() if total is not None]
        return [sign for sign in signs if sign is not None]

    def _add(self, name: str, at: float, total: float, rules: Rules) -> Sign | None:
        trace = self._traces.setdefault(name, Trace(name))
        return trace.add(at, total, rules.get(name, Rule()))


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 120 else f"{seconds:g} s"
