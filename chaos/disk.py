"""The disk fills in mid-session: paused with the reason, resumed once there is room, nothing lost (B4)."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from chaos.audit import audit
from chaos.field import Field, scripted_field
from chaos.journal import Told, entries, reading, states
from chaos.report import Report
from harness.proc.resources import disk
from tests.kit.loop import LoopProcess, until

SIZE_MIB = 240
ITEMS = 32
CHUNK = 1 << 20
FULL_SECONDS = 8.0
PATIENCE_SECONDS = 60.0
MIB = 1 << 20
LEVELS = {"nearly full": 20 * MIB, "full to the last byte": 0}
"""What is left free: once below the limit of the loop's own watch, once nothing at all."""


@contextmanager
def small_disk(at: Path) -> Iterator[Path]:
    """A file system of our own. Raises CalledProcessError where that is not allowed."""
    at.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "chaos", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def fill(volume: Path, leave: int) -> Path:
    """A file that takes all room but `leave` bytes."""
    filler = volume / "filler"
    with filler.open("wb") as out:
        if leave:
            out.write(bytes(max(0, disk(volume).free - leave)))
            return filler
        for size in (CHUNK, 4096, 1):
            _until_no_space(out.fileno(), bytes(size))
    return filler


def _until_no_space(handle: int, chunk: bytes) -> None:
    while True:
        try:
            os.write(handle, chunk)
        except OSError as exc:
            if exc.errno != errno.ENOSPC:
                raise
            return


def full_disk() -> Report:
    """Fills and frees the volume of home and repository under running sessions, then works everything to its end."""
    report = Report(f"disk of {SIZE_MIB} MiB filled in mid-session")
    if os.geteuid() != 0:
        report.skipped = "SKIPPED: mounting a small file system needs root"
        return report
    with (
        report.folder() as folder,
        small_disk(folder / "volume") as volume,
        scripted_field(volume / "yard", workers=2) as field,
    ):
        _run(field, volume, report)
        report.violations += audit(field)
    return report


def _run(field: Field, volume: Path, report: Report) -> None:
    loop = field.yard.start()
    for level, leave in LEVELS.items():
        field.add(ITEMS)
        _wait(loop, lambda: _running(field), "a session")
        filled_at = time.time()
        filler = fill(volume, leave)
        if leave:
            _wait(loop, lambda: _pause(field), "the pause")
        else:
            time.sleep(FULL_SECONDS)
        filler.unlink()
        freed_at = time.time()
        _wait(loop, partial(_leased, field, freed_at), "a lease after there is room")
        _measure(field, level, filled_at, freed_at, report)
    _finish(field, loop, report)


def _wait(loop: LoopProcess, happened: Callable[[], object], what: str) -> None:
    """Until it happens; a loop that ends or is late is the finding, and what it said the evidence."""
    try:
        until(lambda: happened() or not loop.running, PATIENCE_SECONDS, what)
    except AssertionError as exc:
        raise AssertionError(f"{exc}\n{loop.output[-6000:]}") from exc
    assert loop.running, f"the loop ended before {what}\n{loop.output[-6000:]}"


def _measure(field: Field, level: str, filled_at: float, freed_at: float, report: Report) -> None:
    told = _told(field)
    paused = [e for e in told if e.kind == "pause.opened" and e.at >= filled_at and "disk_full" in str(e.data)]
    lease = next((e.at for e in told if e.kind == "item.leased" and e.at >= freed_at), None)
    report.row(f"{level}: paused", f"after {paused[0].at - filled_at:.1f} s" if paused else "never")
    report.row(f"{level}: goes on", f"{lease - freed_at:.1f} s after there is room" if lease else "never")
    if not paused or lease is None:
        report.violations.append(f"{level}: no pause with its reason, or no lease after it")


def _finish(field: Field, loop: LoopProcess, report: Report) -> None:
    """Until nothing can be done any more; what the full disk cost an agent is not its item's failure."""
    _wait(loop, lambda: not _left(field), "the end of all work")
    loop.signal(signal.SIGTERM)
    status = loop.ended(30)
    if status:
        report.violations.append(f"the loop ended with {status}: {loop.output[-1000:]}")
    report.row("items", len(field.works))


def _told(field: Field) -> list[Told]:
    with reading(field.yard.home) as database:
        return entries(database)


def _running(field: Field) -> bool:
    with reading(field.yard.home) as database:
        return bool(database.execute("SELECT 1 FROM sessions WHERE status = 'running'").fetchone())


def _pause(field: Field) -> bool:
    with reading(field.yard.home) as database:
        query = "SELECT 1 FROM pauses WHERE ended_at IS NULL AND reason GLOB '*disk_full*'"
        return bool(database.execute(query).fetchone())


def _leased(field: Field, since: float) -> bool:
    return any(e.kind == "item.leased" and e.at >= since for e in _told(field))


def _left(field: Field) -> bool:
    with reading(field.yard.home) as database:
        return any(row["state"] in ("ready", "leased", "delayed", "blocked") for row in states(database).values())
