"""Measures one session from outside: its process tree, and what changes in its workspace. Linux: /proc and stat."""

from __future__ import annotations

import os
import time
from pathlib import Path

from harness.model.vitals import Look
from harness.proc import resources
from harness.proc.usage import TreeUsage, tree_usage

MOST_ENTRIES = 50_000
"""A workspace with more entries is not looked through: its changes are unknown, which alarms nobody."""
SCAN_SHARE = 0.005
"""Part of one processor that looking through a workspace may take: a scan of 50 ms is made every 10 s at most."""
OWN_FOLDERS = frozenset({".git"})


class SessionGauge:
    """Implements ports.Gauge for one session. Blocking: some ms, the more files the workspace has."""

    def __init__(self, workspace: Path) -> None:
        self._changes = Changes(workspace)
        self._last: TreeUsage | None = None
        self._cpu_seconds = 0.0
        self._disk_bytes = 0.0

    def look(self, pid: int) -> Look:
        usage, machine = tree_usage(pid), resources.memory()
        self._add(usage)
        return Look(
            cpu_seconds=self._cpu_seconds,
            memory_percent=100 * usage.rss / machine.total if machine is not None else None,
            disk_bytes=None if usage.disk_bytes is None else self._disk_bytes,
            changed_files=self._changes.count(),
        )

    def _add(self, now: TreeUsage) -> None:
        """What has grown. A process that ends unreaped takes its share of the sum along: that is no negative use."""
        if self._last is not None:
            self._cpu_seconds += max(0.0, now.cpu_seconds - self._last.cpu_seconds) / resources.processors()
            self._disk_bytes += max(0, (now.disk_bytes or 0) - (self._last.disk_bytes or 0))
        self._last = now


class Changes:
    """Counts changed files of a folder by their change time, which no program can set. Links are not followed."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._newest_ns: int | None = None
        self._told: int | None = 0
        self._total = 0
        self._next = 0.0

    def count(self) -> int | None:
        """Files changed since the first look; None if the folder is too large to be looked through."""
        began = time.monotonic()
        if began >= self._next:
            self._told = self._counted(self._times())
            took = time.monotonic() - began
            self._next = began + took / SCAN_SHARE
        return self._told

    def _counted(self, times: list[int] | None) -> int | None:
        if times is None:
            return None
        # a wall clock that was set back would hide every change until it has caught up
        newest = min(self._newest_ns or 0, time.time_ns())
        if self._newest_ns is not None:
            self._total += sum(changed > newest for changed in times)
        self._newest_ns = max(times, default=newest)
        return self._total

    def _times(self) -> list[int] | None:
        found: list[int] = []
        folders = [self._folder]
        entries = 0
        while folders:
            try:
                with os.scandir(folders.pop()) as listing:
                    for entry in listing:
                        entries += 1
                        if entry.is_dir(follow_symlinks=False):
                            folders += [entry.path] if entry.name not in OWN_FOLDERS else []
                        else:
                            found.append(entry.stat(follow_symlinks=False).st_ctime_ns)
            except OSError:
                continue  # gone between two looks, or closed by the agent: what it holds cannot be counted
            if entries > MOST_ENTRIES:
                return None
        return found
