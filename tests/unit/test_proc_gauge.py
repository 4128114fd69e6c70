"""Measuring a session from outside: real processes and real files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.proc import gauge, resources
from harness.proc.gauge import Changes, SessionGauge
from harness.proc.usage import tree_usage

pytestmark = pytest.mark.process

BURN = "while True: pass"
CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


@contextmanager
def running(*argv: str) -> Iterator[int]:
    """A program in a session of its own; all of it is ended."""
    process = subprocess.Popen([sys.executable, "-c", *argv], start_new_session=True)
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def until(happened: Callable[[], object], what: str, seconds: float = 20) -> None:
    give_up = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look looks through the folder."""
    monkeypatch.setattr(gauge, "SCAN_SHARE", 1e6)


def test_the_processor_time_of_a_grandchild_is_seen(tmp_path: Path) -> None:
    with running(CHILD, BURN) as pid:
        meter = SessionGauge(tmp_path)
        meter.look(pid)
        began = time.monotonic()
        until(lambda: (meter.look(pid).cpu_seconds or 0) * resources.processors() > 0.3, "0.3 s of CPU")
        used = (meter.look(pid).cpu_seconds or 0) * resources.processors()
        assert used <= time.monotonic() - began + 0.1, "one busy process uses one processor"


def test_processor_time_does_not_fall_when_a_process_ends(tmp_path: Path) -> None:
    loop = "import subprocess, sys\nwhile True: subprocess.run([sys.executable, '-c', 'sum(range(10**6))'])"
    with running(loop) as pid:
        meter = SessionGauge(tmp_path)
        seen = [0.0]
        while seen[-1] * resources.processors() < 0.5:
            seen.append(meter.look(pid).cpu_seconds or 0.0)
            time.sleep(0.01)
        assert seen == sorted(seen)


def test_memory_is_a_share_of_the_machine(tmp_path: Path) -> None:
    machine = resources.memory()
    assert machine is not None
    with running("import time; held = bytearray(200 << 20); time.sleep(60)") as pid:
        meter = SessionGauge(tmp_path)
        share = 100 * (200 << 20) / machine.total
        until(lambda: (meter.look(pid).memory_percent or 0) > share, "200 MiB")
        assert (meter.look(pid).memory_percent or 0) < 2 * share + 5


def test_what_is_written_to_a_disk_is_counted(tmp_path: Path) -> None:
    script = (
        "import os, sys, time\ntime.sleep(0.3)\nfile = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
        "os.write(file, bytes(8 << 20)); os.fsync(file); time.sleep(60)"
    )
    if tree_usage(os.getpid()).disk_bytes is None:
        pytest.skip("this kernel does not tell what processes write (/proc/PID/io)")
    kind = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True)
    if kind.stdout.strip() == "tmpfs":
        pytest.skip("the temporary folder is in memory: nothing reaches a disk")
    with running(script, str(tmp_path / "big")) as pid:
        meter = SessionGauge(tmp_path)
        meter.look(pid)
        until(lambda: (meter.look(pid).disk_bytes or 0) >= 8 << 20, "8 MiB")


def test_a_process_that_has_ended_uses_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    found = SessionGauge(tmp_path).look(process.pid)
    assert (found.cpu_seconds, found.memory_percent, found.disk_bytes) == (0.0, 0.0, None)


@pytest.mark.usefixtures("quick")
def test_changed_and_new_files_count_also_with_an_old_date_and_links_are_not_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "w", tmp_path / "outside"
    (folder / ".git").mkdir(parents=True)
    (folder / "deep" / "er").mkdir(parents=True)
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "a").write_text("a")
    changes = Changes(folder)
    assert changes.count() == 0
    time.sleep(0.02)
    (folder / "a").write_text("b")
    (folder / "deep" / "er" / "new").write_text("n")
    os.utime(folder / "deep" / "er" / "new", (0, 0))
    (folder / ".git" / "index").write_text("g")
    (outside / "b").write_text("b")
    assert changes.count() == 2
    assert changes.count() == 2


@pytest.mark.usefixtures("quick")
def test_a_clock_that_was_set_back_hides_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("a")
    changes = Changes(tmp_path)
    changes.count()
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 3600 * 10**9)
    assert changes.count() == 1
    assert (changes.count() or 0) > 1, "the file is newer than the clock: it counts again, and nothing is missed"


@pytest.mark.usefixtures("quick")
def test_a_folder_that_is_too_large_is_unknown_and_one_that_is_gone_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauge, "MOST_ENTRIES", 3)
    for name in "abcd":
        (tmp_path / name).touch()
    assert Changes(tmp_path).count() is None
    assert Changes(tmp_path / "gone").count() == 0


def test_a_look_costs_its_share_at_most(tmp_path: Path) -> None:
    for name in range(2000):
        (tmp_path / str(name)).touch()
    changes = Changes(tmp_path)
    before = time.process_time()
    for _ in range(200):
        changes.count()
    assert time.process_time() - before < 0.5, "199 of 200 looks in a row look at nothing"
