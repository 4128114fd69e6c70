"""What the commands say of worker processes, dead ones and frozen ones."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from harness.proc.identity import stopped
from harness.proc.lock import FileLock
from tests.kit.command import Caller, home_at
from tests.kit.loop import until
from tests.kit.stores import add, item, lease


@pytest.fixture
def loop(tmp_path: Path) -> Caller:
    return Caller(home_at(tmp_path / "home"))


@contextmanager
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    """A process that can be frozen."""
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process
        finally:
            process.kill()


def leased_by(loop: Caller, owner: str) -> None:
    with closing(loop.store()) as store:
        add(store, item("a"))
        lease(store, owner)


def test_status_names_each_worker_that_lives_and_counts_no_dead_one(loop: Caller) -> None:
    live, dead = (FileLock(loop.home.owners / f"worker-{pid}-c0ffee.lock") for pid in (4711, 4712))
    assert live.acquire()
    assert dead.acquire()
    dead.release()
    found = loop("status", "--json")
    assert (found.code, found.json["state"]) == (3, "stopped")
    assert [(each["pid"], each["frozen"]) for each in found.json["workers"]] == [(4711, False)]
    assert any("4711 works without a loop" in reason for reason in found.json["reasons"])
    assert "1 worker process (pid 4711)" in loop("status").out
    live.release()
    assert loop("status", "--json").json["workers"] == []


def test_why_says_that_a_worker_is_dead_or_frozen_and_what_helps(loop: Caller) -> None:
    with sleeping() as process:
        owner = f"worker-{process.pid}-c0ffee"
        leased_by(loop, owner)
        assert loop("why", "a", "--json").json["next"] == (
            "its worker was killed; the next start saves and resumes it: ./loop run"
        )
        with FileLock(loop.home.owners / f"{owner}.lock"):
            assert "its workspace is prepared" in loop("why", "a").out
            process.send_signal(signal.SIGSTOP)
            until(lambda: stopped(process.pid), what="the process frozen")
            assert f"its worker is frozen; it goes on after kill -CONT {process.pid}" in loop("why", "a").out
            assert f"(pid {process.pid} frozen)" in loop("status").out
        running = FileLock(loop.home.lock)
        assert running.acquire("pid 1")
        assert "was killed; the loop saves and resumes it within a minute" in loop("why", "a").out
        running.release()
