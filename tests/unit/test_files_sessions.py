"""The documented files of a session (contract 2, H8)."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from harness.model.errors import StoreError
from harness.model.session import SessionRow, SessionStatus
from harness.store.files import SessionFiles
from tests.kit.stores import NOW, later

ROW = SessionRow(
    id="ses_0123456789ab",
    item="test-001",
    fence=1,
    attempt=1,
    agent="default",
    status=SessionStatus.RUNNING,
    iteration=3,
    run="deadbeef",
    claude_session_id="c-1",
    pid=77,
    started_at=NOW,
    heartbeat=later(1),
    updated_at=later(2),
    transcript="/x/t.jsonl",
)


@pytest.fixture
def files(tmp_path):
    return SessionFiles(tmp_path)


def mode(path):
    return oct(path.stat().st_mode & 0o777)


def test_the_current_session_has_exactly_the_keys_of_the_contract(files, tmp_path):
    files.current(ROW)
    path = tmp_path / "state" / "current-session.json"
    assert json.loads(path.read_text()) == {
        "session_id": "ses_0123456789ab",
        "claude_session_id": "c-1",
        "pid": 77,
        "status": "running",
        "heartbeat": "2026-01-27T22:00:01.000+00:00",
        "updated_at": "2026-01-27T22:00:02.000+00:00",
        "work_item": "test-001",
        "iteration": 3,
        "started_at": "2026-01-27T22:00:00.000+00:00",
        "ended_at": None,
    }
    assert mode(path) == "0o600"


def test_an_ended_session_keeps_its_status_and_has_no_pid(files):
    files.current(replace(ROW, status=SessionStatus.TIMEOUT, ended_at=later(9)))
    found = json.loads(files.current_path.read_text())
    assert (found["status"], found["pid"], found["ended_at"]) == ("timeout", None, "2026-01-27T22:00:09.000+00:00")


def test_touching_says_that_the_loop_lives_without_changing_a_word(files):
    files.touch_current()
    assert not files.current_path.exists()
    files.current(ROW)
    text = files.current_path.read_text()
    os.utime(files.current_path, (1, 1))
    files.touch_current()
    assert files.current_path.stat().st_mtime > 1
    assert files.current_path.read_text() == text


def test_the_state_of_a_session_and_its_copy_are_the_same(files, tmp_path):
    files.state(ROW, doing="Bash: pytest")
    ours = tmp_path / "state/sessions/ses_0123456789ab/session.json"
    copy = tmp_path / "docs/sessions/ses_0123456789ab.json"
    assert ours.read_text() == copy.read_text()
    found = json.loads(ours.read_text())
    assert found["schema"] == "loop.session/1"
    assert (found["session_id"], found["work_item"], found["transcript"]) == (ROW.id, "test-001", "/x/t.jsonl")
    assert found["doing"] == "Bash: pytest"
    assert (mode(ours), mode(copy)) == ("0o600", "0o644")


def test_metrics_and_context_carry_their_version(files, tmp_path):
    files.metrics(ROW.id, {"turns": 4, "cost_usd": "0.12"})
    found = json.loads((tmp_path / "state/sessions" / ROW.id / "metrics.json").read_text())
    assert found == {"schema": "loop.session-metrics/1", "turns": 4, "cost_usd": "0.12"}
    path = files.context(ROW.id, {"reason": "pause\nlunch", "at": NOW})
    assert path == tmp_path / "docs/sessions/ses_0123456789ab-context.json"
    assert path.read_text().count("\n") == 1
    assert json.loads(path.read_text()) == {
        "schema": "loop.session-context/1",
        "reason": "pause\nlunch",
        "at": "2026-01-27T22:00:00.000+00:00",
    }
    assert files.read_context(ROW.id)["reason"] == "pause\nlunch"
    assert files.read_context("ses_ffffffffffff") is None


def test_no_half_written_file_is_left(files, tmp_path):
    files.state(ROW)
    files.current(ROW)
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


def test_into_a_state_folder_that_is_not_ours_any_more_nothing_is_written(tmp_path):
    def moved() -> None:
        raise StoreError("moved")

    files = SessionFiles(tmp_path, moved)
    writes = (
        lambda: files.current(ROW),
        lambda: files.state(ROW),
        lambda: files.metrics(ROW.id, {}),
        lambda: files.dossier("a", {}, ""),
    )
    for write in writes:
        with pytest.raises(StoreError):
            write()
    assert list(tmp_path.iterdir()) == []
