"""Contract 2: component logs are 5 MiB, three of them, whoever writes."""

import multiprocessing

import pytest

from harness.model.errors import DiskFull
from harness.telemetry.rotate import FILES, MOST_BYTES, RotatingFile


def test_a_full_log_becomes_the_first_old_one(tmp_path):
    log = RotatingFile(tmp_path / "a.log", most_bytes=100)
    for n in range(10):
        log.write(f"{n} " + "x" * 40)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    kept = "".join((tmp_path / name).read_text() for name in ("a.log.2", "a.log.1", "a.log"))
    assert [line.split()[0] for line in kept.splitlines()] == [str(n) for n in range(4, 10)]


def test_a_line_longer_than_the_log_is_kept(tmp_path):
    log = RotatingFile(tmp_path / "a.log", most_bytes=10)
    log.write("x" * 100)
    log.write("y" * 100)
    assert (tmp_path / "a.log").read_text() == "y" * 100 + "\n"
    assert (tmp_path / "a.log.1").read_text() == "x" * 100 + "\n"


def test_the_documented_sizes():
    assert (MOST_BYTES, FILES) == (5 * 1024 * 1024, 3)


def test_a_full_disk_is_said(tmp_path):
    (tmp_path / "a.log").symlink_to("/dev/full")
    with pytest.raises(DiskFull):
        RotatingFile(tmp_path / "a.log").write("x")


def _write(path, name):
    log = RotatingFile(path, most_bytes=20_000, files=50)
    for n in range(500):
        log.write(f"{name} {n} " + "x" * 50)


def test_several_processes_lose_and_mix_no_line(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path / "a.log", name)) for name in "pqr"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    written = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert sorted(line[: line.rindex(" ")] for line in written) == sorted(
        f"{name} {n}" for name in "pqr" for n in range(500)
    )
    assert len(list(tmp_path.iterdir())) > 3
