"""SIGHUP: the next attempt has the new configuration, and a bad file changes nothing (contract 5)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.kit.command import ENVIRON, Caller, home_at
from tests.kit.loop import until

pytestmark = [pytest.mark.process]

IDLE = """\
harness: {interrupt_check_interval: 1}
agents: {default: {type: scripted, script: [{write: {path: state.txt, content: "good\\n"}}, {commit: Mend}, {complete: mended}]}}
repositories:
  - {name: app, path: app, gates: [{name: tests, run: sh check.sh}]}
"""


@pytest.fixture
def idle(tmp_path):
    """A running loop with an empty queue."""
    caller = Caller(home_at(tmp_path / "home", IDLE))
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "harness"], cwd=caller.home.root, env=ENVIRON, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: "Loop started" in log(caller), what="the loop")
        yield caller, process
    finally:
        process.terminate()
        process.wait(20)


def log(caller: Caller) -> str:
    path: Path = caller.home.iteration_log
    return path.read_text() if path.exists() else ""


def edit(caller: Caller, change) -> None:
    path = caller.home.config
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))


def test_a_good_file_holds_from_the_next_attempt_on_and_its_changes_are_named(idle):
    caller, process = idle

    def change(config):
        config["repositories"][0]["gates"] = [{"name": "tests", "run": "grep -qx bad state.txt"}]
        config["harness"]["stop_timeout"] = 30

    edit(caller, change)
    os.kill(process.pid, signal.SIGHUP)
    until(lambda: "Configuration read again" in log(caller), what="the new configuration")
    (line,) = [line for line in log(caller).splitlines() if "Configuration read again" in line]
    assert "repositories.app.gates.tests.run" in line
    assert "at_the_next_start=harness.stop_timeout" in line
    caller("queue", "add", '{"id": "one", "title": "One"}')
    until(lambda: "ending=gate_failed" in log(caller), what="the red gate")


@pytest.mark.parametrize("text", ["harness: {no_such_key: 1}\n", "harness: [\n", "repositories: []\n"])
def test_a_bad_file_is_refused_and_the_old_configuration_stays(idle, text):
    caller, process = idle
    caller.home.config.write_text(text)
    os.kill(process.pid, signal.SIGHUP)
    until(lambda: "config.yaml is refused" in log(caller), what="the refusal")
    assert process.poll() is None
    caller.home.config.write_text(IDLE)
    caller("queue", "add", '{"id": "one", "title": "One"}')
    until(lambda: "Session completed successfully" in log(caller), what="the work")
