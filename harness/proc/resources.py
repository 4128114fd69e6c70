"""What the machine and its processes use. Linux: from /proc, without any package."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from harness.model.errors import NotFound
from harness.proc import procfs
from harness.proc.identity import Identity, alive

TICKS = os.sysconf("SC_CLK_TCK")
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


@dataclass(frozen=True, slots=True)
class Usage:
    """One process: resident bytes, CPU seconds since its start (children not included), descriptors, threads."""

    rss: int
    cpu_seconds: float
    fds: int
    threads: int


@dataclass(frozen=True, slots=True)
class TreeUsage:
    """A process and all below it: CPU seconds and disk bytes with those of reaped children, resident bytes of now.

    Shared pages count once for each process that has them. `disk_bytes` (read and written, of devices, not of the page
    cache) is None where the system does not tell.
    """

    cpu_seconds: float
    rss: int
    disk_bytes: int | None


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
    return _descriptors(os.getpid()), resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def usage(pid: int) -> Usage:
    """Raises NotFound if there is no such process. `fds` is 0 for a process of another user."""
    fields = procfs.stat_fields(pid)
    if not fields:
        raise NotFound(f"no process {pid}")
    return Usage(
        rss=int(fields[procfs.RSS_PAGES]) * PAGE,
        cpu_seconds=_cpu_seconds(fields),
        fds=_descriptors(pid),
        threads=int(fields[procfs.THREADS]),
    )


def tree_cpu(root: Identity) -> float:
    """CPU seconds that the living processes of a tree have used, and children that `root`'s tree has already reaped.

    It grows while anything below works, so a difference of two readings tells work from waiting (H22). Orphans of an
    agent-init tree are children of agent-init, hence included. 0 if the root has ended.
    """
    if not alive(root):
        return 0.0
    stats = (procfs.stat_fields(pid) for pid in {root.pid} | procfs.descendants(root.pid))
    return sum(_cpu_seconds(fields, reaped=True) for fields in stats if fields)


def tree_usage(pid: int) -> TreeUsage:
    """All zero for a process that has ended. Costs about 20 µs a thread of the tree."""
    cpu, rss, moved = 0.0, 0, 0
    told = False
    for each in {pid} | procfs.descendants(pid):
        fields = procfs.stat_fields(each)
        if fields:
            cpu += _cpu_seconds(fields, reaped=True)
            rss += int(fields[procfs.RSS_PAGES]) * PAGE
            moved += (here := _moved(each)) or 0
            told = told or here is not None
    return TreeUsage(cpu, rss, moved if told else None)


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


def _cpu_seconds(fields: list[bytes], *, reaped: bool = False) -> float:
    last = procfs.SYSTEM_TICKS + (2 if reaped else 0)
    return sum(map(int, fields[procfs.USER_TICKS : last + 1])) / TICKS


def _moved(pid: int) -> int | None:
    """Bytes read from and written to devices, those of reaped children included; None if it is not told."""
    lines = (line.partition(b": ") for line in procfs.read(f"/proc/{pid}/io").splitlines())
    counts = {name: int(count) for name, _, count in lines}
    return counts[b"read_bytes"] + counts[b"write_bytes"] if b"write_bytes" in counts else None


def _descriptors(pid: int) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0
