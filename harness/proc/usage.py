"""What a process, and a process with all below it, uses. Linux: from /proc, without any package."""

from __future__ import annotations

import os
from dataclasses import dataclass

from harness.model.errors import NotFound
from harness.proc import procfs
from harness.proc.identity import Identity, alive
from harness.proc.resources import PAGE, open_files

TICKS = os.sysconf("SC_CLK_TCK")


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


def usage(pid: int) -> Usage:
    """Raises NotFound if there is no such process. `fds` is 0 for a process of another user."""
    fields = procfs.stat_fields(pid)
    if not fields:
        raise NotFound(f"no process {pid}")
    return Usage(
        rss=int(fields[procfs.RSS_PAGES]) * PAGE,
        cpu_seconds=_cpu_seconds(fields),
        fds=open_files(pid),
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


def _cpu_seconds(fields: list[bytes], *, reaped: bool = False) -> float:
    last = procfs.SYSTEM_TICKS + (2 if reaped else 0)
    return sum(map(int, fields[procfs.USER_TICKS : last + 1])) / TICKS


def _moved(pid: int) -> int | None:
    """Bytes read from and written to devices, those of reaped children included; None if it is not told."""
    lines = (line.partition(b": ") for line in procfs.read(f"/proc/{pid}/io").splitlines())
    counts = {name: int(count) for name, _, count in lines}
    return counts[b"read_bytes"] + counts[b"write_bytes"] if b"write_bytes" in counts else None
