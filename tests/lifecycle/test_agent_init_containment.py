"""Nothing of an agent outlives it, whatever it leaves behind and however it ends (H12, H14; issue A5, A9)."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.proc.lock import is_free
from tests.lifecycle.zoo.den import ZOO, Den, wait_for_end
from tests.lifecycle.zoo.zoo import KINDS

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


@pytest.fixture
def den(tmp_path):
    den = Den(tmp_path)
    den.prepare()
    yield den
    den.clear()


def start_zoo(den: Den, action: str, *kinds: str, **options) -> subprocess.Popen[bytes]:
    process = den.start(*den.zoo(action, *kinds), **options)
    assert process.stdout.readline() == b'{"type":"ready"}\n', process.stderr.read()
    return process


def ended(process: subprocess.Popen[bytes]) -> int:
    process.communicate(timeout=20)
    return process.returncode


@pytest.mark.parametrize("kind", KINDS)
def test_agent_that_exits_takes_what_it_left_behind_along(den, kind):
    assert ended(start_zoo(den, "then-exit", kind)) == 0
    assert den.living() == []
    record = den.record()
    assert (record.exit, record.contained, record.killed >= 1) == (0, "exact", True)


def test_agent_that_leaves_nothing_has_nobody_killed(den):
    assert den.python("pass")[0] == 0
    assert (den.record().killed, den.record().contained, den.record().reason) == (0, "exact", "")


@pytest.mark.parametrize("action", ["then-stay", "then-ignore"])
def test_term_ends_the_whole_zoo_within_the_grace(den, action):
    process = start_zoo(den, action)
    assert len(den.living()) >= len(KINDS)
    began = time.monotonic()
    process.terminate()
    code = ended(process)
    assert den.living() == []
    assert time.monotonic() - began < 3
    record = den.record()
    assert code == (143 if action == "then-stay" else 137)
    assert record.signal == (signal.SIGTERM if action == "then-stay" else signal.SIGKILL)
    assert record.reason == "asked to stop (SIGTERM)"


def test_second_term_does_not_wait_for_the_grace(den):
    den.prepare(grace_seconds=60)
    code = (
        "import os, signal, sys\nsignal.signal(signal.SIGTERM, lambda n, f: os.write(1, b'{\"deaf\":1}\\n'))\n"
        "os.write(1, b'{}\\n')\nsys.stdin.read()"
    )
    process = den.start("-c", code, stdin=subprocess.PIPE)
    process.stdout.readline()
    process.terminate()
    assert process.stdout.readline() == b'{"deaf":1}\n'
    process.terminate()
    assert process.wait(timeout=10) == 137
    process.communicate()


def test_killed_agent_takes_the_zoo_along(den):
    process = start_zoo(den, "then-stay")
    os.kill(den.record().agent_pid, signal.SIGKILL)
    assert ended(process) == 137
    assert den.living() == []
    assert (den.record().exit, den.record().signal) == (None, signal.SIGKILL)


def test_hangup_of_stdin_ends_an_agent_that_stays(den):
    den.prepare(end_on_hangup=True, hangup_seconds=0.2)
    process = start_zoo(den, "then-ignore", stdin=subprocess.PIPE)
    process.stdin.close()
    process.stdin = None
    assert ended(process) == 137
    assert den.living() == []
    assert den.record().reason == "stdin hung up 0.2 s ago and the agent stayed"


def test_agent_that_ends_by_itself_after_hangup_is_left_its_time(den):
    den.prepare(end_on_hangup=True, hangup_seconds=30)
    process = den.start("-c", "import sys; sys.stdin.read(); print('bye')", stdin=subprocess.PIPE)
    assert process.communicate(b"some input", timeout=10)[0] == b"bye\n"
    assert (process.returncode, den.record().reason) == (0, "")


def start_parent(den: Den, action: str) -> subprocess.Popen[bytes]:
    den.prepare(parent=None)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.lifecycle.zoo.parent", action, den.spec.session, *den.zoo("then-ignore")],
        cwd=ROOT,
        env=den.environment(),
        stdout=subprocess.PIPE,
    )


def test_death_of_the_loop_ends_the_zoo(den):
    with start_parent(den, "stay") as loop:
        pid = int(loop.stdout.readline())
        loop.kill()
    wait_for_end(pid)
    assert den.living() == []
    assert den.record().reason == "the process that started it has ended"
    assert den.record().contained == "exact"


def test_tree_whose_agent_init_is_stuck_is_ended_from_outside(den):
    with start_parent(den, "end-stuck") as loop:
        loop.stdout.readline()
        left = loop.stdout.readline()
    assert left == b"[]\n"
    assert den.living() == []


def test_tree_whose_agent_init_was_stopped_is_ended_by_itself(den):
    with start_parent(den, "end-stopped") as loop:
        loop.stdout.readline()
        left = loop.stdout.readline()
    assert left == b"[]\n"
    assert den.living() == []
    assert den.record().contained == "exact"


def test_output_held_open_by_a_stranger_does_not_keep_agent_init(den):
    process = start_zoo(den, "then-stay", "plain")
    with Path(f"/proc/{den.record().agent_pid}/fd/1").open("wb"):
        process.terminate()
        assert process.wait(timeout=10) == 143
    process.communicate()


def test_lock_is_held_as_long_as_anybody_of_the_tree_lives(den):
    process = start_zoo(den, "then-stay", "daemon")
    assert not is_free(den.spec.lock)
    process.kill()  # agent-init itself, so that only the daemon is left
    process.communicate(timeout=10)
    left = [pid for pid in den.living() if pid]
    assert left
    assert not is_free(den.spec.lock)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
    assert is_free(den.spec.lock)


def test_agent_dies_with_its_agent_init(den):
    process = start_zoo(den, "then-ignore", "plain")
    agent = den.record().agent_pid
    assert agent in den.living()
    process.kill()
    wait_for_end(agent)
    assert agent not in den.living()
    process.communicate(timeout=10)


def test_second_start_on_a_held_lock_is_refused_and_leaves_the_record_alone(den):
    process = start_zoo(den, "then-stay", "plain")
    before = den.record()
    code, _, err = den.python("pass")
    assert code == 75
    assert f"agent-init {process.pid}" in err.decode()
    assert den.record() == before
    process.terminate()
    ended(process)


def test_start_by_a_process_that_has_gone_is_refused(den):
    den.prepare(parent=1 << 22)
    code, _, err = den.python("print('never')")
    assert code == 75
    assert b"has ended" in err


def test_time_from_last_signal_to_empty_tree_is_short(den, capsys):
    took = []
    for _ in range(30):
        process = start_zoo(den, "then-ignore")
        began = time.perf_counter()
        os.kill(den.record().agent_pid, signal.SIGKILL)
        ended(process)
        took.append((time.perf_counter() - began) * 1000)
        assert den.living() == []
    with capsys.disabled():
        figures = f"p50 {statistics.median(took):.0f} ms, p99 {max(took):.0f} ms"
        sys.stdout.write(f"\nlast signal to empty, {ZOO.stem} of {len(KINDS)}: {figures}\n")
    assert max(took) < 3000
