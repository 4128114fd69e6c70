"""What a process holds on to over many sessions: memory, descriptors, children, looked at whenever an item is settled."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.model.journal import Entry
from harness.proc import procfs


@dataclass(frozen=True, slots=True)
class Sample:
    rss: int
    descriptors: int
    children: int
    at: datetime
    zombies: int = 0


def sample() -> Sample:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    below = procfs.descendants(os.getpid())
    ended = sum(_ended(pid) for pid in below)
    memory = pages * resource.getpagesize()
    return Sample(memory, descriptors, len(below) - ended, datetime.now(UTC), ended)


def _ended(pid: int) -> bool:
    fields = procfs.stat_fields(pid)
    return bool(fields) and fields[procfs.STATE] in procfs.ENDED


@dataclass
class Sampler:
    """Implements ports.Journalist. Looks at each `every`th settlement. `wrong` is what must not be said: an item that did
    not end verified, an ERROR. It is kept, not raised: asyncio would swallow what its callbacks raise.
    """

    samples: list[Sample] = field(default_factory=list)
    every: int = 1
    told: Callable[[int], None] = lambda _count: None
    settled: int = 0
    wrong: list[str] = field(default_factory=list)

    def entry(self, entry: Entry) -> None:
        if entry.kind == "item.settled":
            if entry.data["outcome"] != "verified":
                self.wrong.append(f"{entry.item} ended {entry.data['outcome']}")
            self.settled += 1
            if self.settled % self.every == 0:
                self.samples.append(sample())
                self.told(self.settled)

    def line(self, level: str, event: str, **facts: Any) -> None:
        if level == "ERROR":
            self.wrong.append(f"{event} {facts}")


def slope(values: Sequence[float]) -> float:
    """Of the straight line with the least squares, a step."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    above = sum((x - middle) * (y - mean) for x, y in enumerate(values))
    return above / sum((x - middle) ** 2 for x in range(len(values)))


def least(samples: Sequence[Sample], what: str) -> int:
    """What stays: git and gates run beside some settlements and bring pipes of their own."""
    return min(getattr(sample, what) for sample in samples)
