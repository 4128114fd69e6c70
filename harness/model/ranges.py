"""Parts of a numeric space, half-open as they are stored: [low, high). People read and write both ends. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.model.errors import Usage

_TEXT = re.compile(r"\s*(-?[0-9_]+)\s*\.\.\s*(-?[0-9_]+)\s*")


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """Every position from `low` up to `high`, without `high`. Never empty: raises ValueError."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"an empty range: [{self.low}, {self.high})")

    def __len__(self) -> int:
        return self.high - self.low

    def __str__(self) -> str:
        """As people read it, both ends included (P21)."""
        return f"{self.low}..{self.high - 1}"

    def overlaps(self, other: Range) -> bool:
        """Whether they have a position in common."""
        return self.low < other.high and other.low < self.high

    def covers(self, other: Range) -> bool:
        """Whether every position of `other` is in this one."""
        return self.low <= other.low and other.high <= self.high


def parse_range(text: str) -> Range:
    """`FIRST..LAST`, both included; underscores may group digits. Raises Usage."""
    found = _TEXT.fullmatch(text)
    try:
        first, last = (int(end) for end in found.groups()) if found is not None else (0, -1)
    except ValueError:
        first, last = 0, -1
    if first > last:
        raise Usage(f"not a range: {text!r}", hint="FIRST..LAST, both included, as in 60_000_000..60_099_999")
    return Range(first, last + 1)


def union(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same positions in as few ranges as there can be, in order."""
    found: list[Range] = []
    for each in sorted(ranges):
        if found and each.low <= found[-1].high:
            found[-1] = Range(found[-1].low, max(found[-1].high, each.high))
        else:
            found.append(each)
    return tuple(found)


def subtract(ranges: Iterable[Range], others: Iterable[Range]) -> tuple[Range, ...]:
    """The positions of `ranges` that are in none of `others`, in as few ranges as there can be."""
    taken = union(others)
    return tuple(gap for each in union(ranges) for gap in gaps(each, taken))


def gaps(within: Range, taken: Iterable[Range]) -> Iterator[Range]:
    """What of `within` is free, from its beginning; `taken` in order and without overlaps, as `union` gives it."""
    low = within.low
    for each in taken:
        if each.low >= within.high:
            break
        if each.low > low:
            yield Range(low, each.low)
        low = max(low, each.high)
    if low < within.high:
        yield Range(low, within.high)


def first_gap(within: Range, taken: Iterable[Range], most: int) -> Range | None:
    """The beginning of the first gap, at most `most` positions long; None if nothing is free."""
    gap = next(gaps(within, taken), None)
    return None if gap is None else Range(gap.low, min(gap.high, gap.low + most))
