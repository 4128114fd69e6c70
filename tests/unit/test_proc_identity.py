from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from harness.proc import identity
from harness.proc.identity import alive, identify


@pytest.fixture
def child():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_identity_of_this_process_is_stable_and_alive():
    me = identify(os.getpid())
    assert me == identify(os.getpid())
    assert alive(me)


def test_nobody_has_an_impossible_pid():
    assert identify(1 << 22) is None


def test_zombie_is_dead_though_its_pid_is_taken(child):
    who = identify(child.pid)
    assert alive(who)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert identify(child.pid) == who
    assert not alive(who)


@pytest.mark.parametrize("change", [{"start": 1}, {"boot": "another boot"}])
def test_other_process_under_the_same_pid_is_neither_alive_nor_signalled(child, change):
    other = replace(identify(child.pid), **change)
    assert not alive(other)
    assert not identity.signal(other, signal.SIGKILL)
    assert child.poll() is None


def test_signal_reaches_the_process(child):
    assert identity.signal(identify(child.pid), signal.SIGTERM)
    assert child.wait(timeout=5) == -signal.SIGTERM


def test_signal_to_one_that_has_gone_says_so(child):
    who = identify(child.pid)
    child.kill()
    child.wait(timeout=5)
    assert not identity.signal(who, signal.SIGTERM)
