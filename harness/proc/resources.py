"""What the machine has left, and what this process uses. Linux: from /proc, without any package."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from harness.proc import procfs

PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes of the volume; `free` is what an ordinary user may still write."""

    total: int
    free: int

    @property
    def percent_free(self) -> float:
        return 100 * self.free / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes; `available` counts what the kernel can reclaim at once."""

    total: int
    available: int


def disk(path: Path) -> Disk:
    """The volume of the nearest existing folder at or above `path`."""
    while not path.exists() and path != path.parent:
        path = path.parent
    volume = os.statvfs(path)
    return Disk(total=volume.f_blocks * volume.f_frsize, free=volume.f_bavail * volume.f_frsize)


def memory() -> Memory | None:
    """None where the system does not tell (macOS)."""
    lines = (line.split() for line in procfs.read("/proc/meminfo").decode().splitlines())
    kib = {words[0].rstrip(":"): int(words[1]) for words in lines}
    return Memory(kib["MemTotal"] * 1024, kib["MemAvailable"] * 1024) if "MemAvailable" in kib else None


def cpu_stalled() -> float | None:
    """Percent of the last 10 s in which some process waited for a processor; None where the kernel keeps no PSI."""
    words = procfs.read("/proc/pressure/cpu").decode().split()
    found = next((word.partition("=")[2] for word in words if word.startswith("avg10=")), None)
    return None if found is None else float(found)


def descriptors() -> tuple[int, int]:
    """Our own: open ones, and how many may be."""
    return open_files(os.getpid()), resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def own_rss() -> int | None:
    """Resident bytes of this process; None where the system does not tell (macOS)."""
    fields = procfs.stat_fields(os.getpid())
    return int(fields[procfs.RSS_PAGES]) * PAGE if fields else None


def load() -> tuple[float, float, float]:
    """Processes wanting a CPU: mean of 1, 5 and 15 minutes."""
    return os.getloadavg()


def open_files(pid: int) -> int:
    """Descriptors of a process; 0 for one of another user, or none."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0
