"""The lock is the truth, its content is for people (contract 2, H19)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from harness.model.errors import Busy
from harness.proc.lock import FileLock, holder, is_free


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "loop.lock"


def test_lock_has_one_holder_at_a_time(path):
    first, second = FileLock(path), FileLock(path)
    assert first.acquire("pid 1")
    assert not second.acquire("pid 2")
    assert holder(path) == "pid 1"
    first.release()
    assert second.acquire("pid 2")
    assert holder(path) == "pid 2"
    second.release()


def test_taking_it_again_is_no_second_lock(path):
    lock = FileLock(path)
    assert lock.acquire()
    assert lock.acquire()
    lock.release()
    assert is_free(path)


def test_free_without_a_file_and_after_release(path):
    assert is_free(path)
    with FileLock(path):
        assert not is_free(path)
    assert is_free(path)
    assert path.exists()


def test_held_lock_names_its_holder(path):
    with FileLock(path), pytest.raises(Busy, match=f"pid {os.getpid()}"), FileLock(path):
        pass


def test_probe_never_looks_like_a_holder(path):
    lock = FileLock(path)
    code = "import sys; from pathlib import Path; from harness.proc.lock import is_free\nwhile True: is_free(Path(sys.argv[1]))"
    with subprocess.Popen([sys.executable, "-c", code, path]) as prober:
        for _ in range(300):
            assert lock.acquire()
            lock.release()
        prober.kill()


def test_death_of_the_holder_frees_it_though_its_child_lives(path):
    code = (
        "import subprocess, sys; from pathlib import Path; from harness.proc.lock import FileLock\n"
        "assert FileLock.acquire(lock := FileLock(Path(sys.argv[1])))\n"
        "child = subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL, close_fds=False)\n"
        "print(child.pid, flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=-1, stdout=-1) as process:
        child = int(process.stdout.readline())
        assert not is_free(path)
        process.kill()
        process.wait(timeout=5)
    try:
        assert is_free(path)
    finally:
        os.kill(child, 9)
