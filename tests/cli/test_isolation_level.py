"""The level of isolation that was reached is told of the run and of each session (H2, R7)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.cli.output import Screen
from harness.cli.status import _head
from harness.model.session import SessionRow, SessionStatus
from harness.ops.snapshot import Snapshot
from harness.ports import LeaseRules
from harness.proc.lock import FileLock
from harness.store.files import SessionFiles
from harness.store.reached import reached_isolation
from tests.kit.stores import NOW

SESSION = "ses_0123456789ab"


@pytest.fixture
def alive(loop):
    lock = FileLock(loop.home.lock)
    assert lock.acquire(f"pid {os.getpid()}")
    yield loop
    lock.release()


@pytest.mark.parametrize(
    ("level", "says"), [("outer", "isolation outer"), ("cli", "isolation cli"), ("none", "! isolation none")]
)
def test_status_says_what_the_running_loop_reached(alive, level, says):
    store = alive.store()
    store.begin_run("r1", pid=os.getpid(), version="1", now=NOW, isolation=level)
    store.close()
    assert alive("status", "--json").json["isolation"] == level
    assert says in alive("status").out.splitlines()[0]


def test_none_is_red():
    now = Snapshot("running", NOW, "/home", "1", 1, None, isolation="none")
    assert "\x1b[31" in _head(now, Screen(terminal=True, colour=True)).partition("isolation none")[0]


def test_a_loop_that_does_not_run_has_no_level(loop):
    store = loop.store()
    store.begin_run("r1", pid=1, version="1", now=NOW, isolation="none")
    store.end_run("r1", reason="stop", iterations=0, now=NOW)
    store.close()
    assert loop("status", "--json").json["isolation"] is None
    assert "isolation" not in loop("status").out


def row_of(loop) -> SessionRow:
    loop("queue", "add", '{"id": "a", "title": "Mend the state"}')
    store = loop.store()
    store.register("me", pid=1, boot="b", start=1, kind="loop", now=NOW)
    lease = store.lease("me", LeaseRules("loop", {}, "app"), NOW)
    row = SessionRow(SESSION, "a", lease.fence, 1, "default", SessionStatus.RUNNING, 1, "r", "c", started_at=NOW)
    store.open_session(lease, row)
    store.close()
    return row


def test_each_session_has_the_level_that_its_agent_init_wrote(loop):
    row = row_of(loop)
    log = loop.home.session_log(SESSION)
    log.parent.mkdir(parents=True)
    log.touch()
    assert loop("session", "latest", "--json").json["isolation"] is None
    folder = loop.home.session(SESSION)
    folder.mkdir(parents=True)
    (folder / "agent-init.json").write_text(json.dumps({"pid": 1, "reached_isolation": "outer"}))
    assert loop("session", "latest", "--json").json["isolation"] == "outer"
    (listed,) = loop("session", "list", "--json").json["rows"]
    assert listed["isolation"] == "outer"
    SessionFiles(loop.home.root).state(row)
    assert json.loads((folder / "session.json").read_text())["isolation"] == "outer"


@pytest.mark.parametrize("damaged", ["", "{", "[]", "[" * 100_000, '{"reached_isolation": 1}', "{}"])
def test_a_damaged_record_is_no_level(tmp_path: Path, damaged: str):
    (tmp_path / "agent-init.json").write_text(damaged)
    assert reached_isolation(tmp_path) is None
