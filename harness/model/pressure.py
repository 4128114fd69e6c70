"""How short of memory, processor and descriptors a machine may be before nothing new begins on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MIB = 1 << 20
_CLEAR = 1.25


@dataclass(frozen=True, slots=True)
class Readings:
    """What is measured; None where the system does not tell. Memory in bytes.

    `cpu_stalled` is the share of the last 10 s, in percent, in which some process waited for a processor (PSI).
    """

    memory_total: int | None = None
    memory_available: int | None = None
    cpu_stalled: float | None = None
    descriptors: int = 0
    most_descriptors: int = 0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """None = not watched. Memory: below either one is short; the others in percent, above is short."""

    memory_percent: float | None = None
    memory_mib: float | None = None
    cpu_stalled_percent: float | None = None
    descriptors_percent: float | None = None

    @property
    def clear(self) -> Thresholds:
        """What is clear of the same thresholds: a quarter more room."""
        return Thresholds(
            _times(self.memory_percent, _CLEAR),
            _times(self.memory_mib, _CLEAR),
            _times(self.cpu_stalled_percent, 1 / _CLEAR),
            _times(self.descriptors_percent, 1 / _CLEAR),
        )


def shortages(found: Readings, limits: Thresholds) -> Mapping[str, str]:
    """What is short (memory, load, descriptors) and how, in words. Pure."""
    named = {"memory": _memory(found, limits), "load": _load(found, limits), "descriptors": _files(found, limits)}
    return {name: words for name, words in named.items() if words is not None}


def _memory(found: Readings, limits: Thresholds) -> str | None:
    if not found.memory_total or found.memory_available is None:
        return None
    percent, mib = 100 * found.memory_available / found.memory_total, found.memory_available / MIB
    few = limits.memory_percent is not None and percent < limits.memory_percent
    if few or (limits.memory_mib is not None and mib < limits.memory_mib):
        return f"{mib:.0f} MiB available, {percent:.0f} % of all"
    return None


def _load(found: Readings, limits: Thresholds) -> str | None:
    if found.cpu_stalled is None or limits.cpu_stalled_percent is None:
        return None
    much = found.cpu_stalled > limits.cpu_stalled_percent
    return f"in {found.cpu_stalled:.0f} % of the last 10 s something waited for a processor" if much else None


def _files(found: Readings, limits: Thresholds) -> str | None:
    if limits.descriptors_percent is None or found.most_descriptors <= 0:
        return None
    many = 100 * found.descriptors > limits.descriptors_percent * found.most_descriptors
    return f"the loop has {found.descriptors} of {found.most_descriptors} descriptors open" if many else None


def _times(limit: float | None, factor: float) -> float | None:
    return None if limit is None else limit * factor
