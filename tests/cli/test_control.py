"""pause, resume, stop: files, pauses, and signals to exactly the loop that holds the lock (H16, H19)."""

import os
import subprocess
import sys

import pytest

from harness.ops.control import stop
from harness.proc.lock import FileLock
from tests.kit.stores import NOW

HOLDER = """
import os, signal, sys
from pathlib import Path
from harness.ops.control import stop
from harness.proc.lock import FileLock
heard = []
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda signum, frame: heard.append(signum))
lock = FileLock(Path(sys.argv[1]))
assert lock.acquire(f"pid {os.getpid()}")
print("holding", flush=True)
while len(heard) < int(sys.argv[2]):
    signal.pause()
print(*[signal.Signals(number).name for number in heard], flush=True)
"""


@pytest.fixture
def holder(loop):
    """A process that holds the loop's lock until it has heard so many signals."""
    started = []

    def start(signals):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(loop.home.lock), str(signals)], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_pause_writes_the_file_and_resume_removes_it(loop):
    said = loop("pause", "waiting", "for", "Eric", "--json")
    assert (said.code, said.json["applied"]) == (0, True)
    assert loop.home.interrupt_file.read_text() == "waiting for Eric\n"
    assert loop("resume", "--json").json["applied"] is True
    assert not loop.home.interrupt_file.exists()


def test_a_pause_that_is_there_keeps_its_reason(loop):
    loop("pause", "first")
    again = loop("pause", "second", "--json")
    assert (again.code, again.json["applied"]) == (0, False)
    assert loop.home.interrupt_file.read_text() == "first\n"


def test_a_touched_file_is_no_reason_given_by_whom_and_when(loop):
    loop.home.state.mkdir()
    loop.home.interrupt_file.touch()
    assert "no reason given, created 20" in loop("why", "pause").out


@pytest.mark.parametrize("make", ["link", "folder", "pipe"])
def test_whatever_has_that_name_pauses_and_nothing_foreign_is_read(loop, tmp_path, make):
    loop.home.state.mkdir()
    path = loop.home.interrupt_file
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    {"link": lambda: path.symlink_to(secret), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[make]()
    said = loop("why", "pause").out
    assert "no reason given" in said
    assert "hidden" not in said


def test_resume_ends_every_pause_and_says_which(loop):
    store = loop.store()
    store.open_pause("repo:app", "probe", "a gate is broken", "gate_broken", NOW)
    store.open_pause("loop", "probe", "the API refused the credentials", "auth", NOW)
    said = loop("resume")
    assert "repo:app: a gate is broken" in said.out
    assert "loop: the API refused the credentials" in said.out
    assert store.pauses() == []
    store.close()
    assert loop("resume", "--json").json == {
        "target": "loop",
        "applied": False,
        "dry_run": False,
        "detail": "nothing is paused",
    }


def test_resume_does_not_remove_what_is_no_file(loop):
    loop.home.interrupt_file.mkdir(parents=True)
    said = loop("resume", "--json")
    assert (said.code, said.error["kind"]) == (1, "refused")
    assert loop.home.interrupt_file.is_dir()


def test_stop_without_a_loop_is_exit_3(loop):
    said = loop("stop", "--json")
    assert (said.code, said.error["kind"]) == (3, "not_running")


def test_stop_does_not_believe_a_pid_in_a_lock_that_nobody_holds(loop):
    lock = FileLock(loop.home.lock)
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert lock.acquire(f"pid {process.pid}")
    lock.release()
    assert loop("stop").code == 3
    assert process.poll() is None
    process.communicate()


@pytest.mark.process
def test_stop_sends_one_term_and_waits_for_the_end(loop, holder):
    process = holder(1)
    said = loop("stop", "--json")
    assert (said.code, said.json["applied"]) == (0, True)
    assert process.communicate()[0] == "SIGTERM\n"


@pytest.mark.process
def test_stop_now_interrupts_twice(loop, holder):
    process = holder(2)
    assert loop("stop", "--now").code == 0
    assert process.communicate()[0] == "SIGINT SIGINT\n"


@pytest.mark.process
def test_a_loop_that_does_not_end_in_time_is_not_waited_for_beyond_the_timeout(loop, holder):
    process = holder(99)
    said = loop("stop", "--timeout", "0.5", "--json")
    assert (said.code, said.error["kind"]) == (124, "timeout")
    assert process.poll() is None


@pytest.mark.process
def test_a_broken_configuration_does_not_keep_a_loop_from_being_stopped(loop, holder):
    process = holder(1)
    loop.home.config.write_text("nonsense: [")
    assert loop("stop").code == 0
    assert process.communicate()[0] == "SIGTERM\n"


@pytest.mark.process
def test_a_loop_that_still_winds_up_after_its_time_is_exit_1_and_named(loop, holder):
    process = holder(99)
    change = stop(loop.home, now=False, wait_seconds=0.2)
    assert (change.exit_code, change.applied) == (1, False)
    assert f"pid {process.pid} still winds up" in change.detail
    assert "./loop stop --now" in change.detail
