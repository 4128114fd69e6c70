"""Recorded sessions of the real CLI through the real watchdog: nothing healthy is killed, nothing hung is missed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.model.brief import Limits
from harness.testing.recordings import Recording, cut, load, stretched
from harness.testing.replay import corpus, files, judge, main

pytestmark = pytest.mark.slow

LIMITS = Limits()
SHIPPED = [load(log) for log in files([])]
NAMES = [recording.name for recording in SHIPPED]


def shipped(name: str) -> Recording:
    return next(recording for recording in SHIPPED if recording.name == name)


def test_there_are_healthy_and_hung_recordings() -> None:
    assert {"normal", "long-tool", "slow-stream", "overloaded", "subagent", "context-full"} <= set(NAMES)
    hung = {recording.name for recording in SHIPPED if recording.hung}
    assert hung == {"stalled-api", "stalled-stream", "hanging-tool", "silent-agent", "spinning"}
    assert sum(log.stat().st_size for log in files([])) < 300_000


@pytest.mark.parametrize("name", NAMES)
def test_at_default_settings_every_verdict_is_right(name: str) -> None:
    wrong = [str(v) for r in corpus([shipped(name)], 20) if (v := judge(r, LIMITS)).false_kill or v.miss]
    assert wrong == []


def test_a_lower_threshold_kills_slow_nights() -> None:
    """The replay is not blind: what is healthy for minutes is no longer so after thirty seconds."""
    at = replace(LIMITS, stall_threshold_seconds=30)
    assert any(judge(recording, at).false_kill for recording in corpus([shipped("normal")], 20))


def test_a_watchdog_that_waits_for_ever_misses() -> None:
    never = replace(LIMITS, stall_threshold_seconds=1e9)
    assert judge(shipped("stalled-api"), never).miss
    assert not judge(shipped("stalled-api"), LIMITS).miss


def test_what_hangs_is_noticed_when_its_limit_is_over() -> None:
    found = judge(shipped("stalled-api"), LIMITS)
    assert found.found_at == pytest.approx(shipped("stalled-api").last + LIMITS.stall_threshold_seconds, abs=2)
    found = judge(shipped("hanging-tool"), LIMITS)
    assert found.found_at == pytest.approx(shipped("hanging-tool").last + 660, abs=5)
    assert found.finding is not None
    assert found.finding.doing.startswith("Bash: python3")


def test_a_subagent_of_which_nothing_is_heard_is_noticed() -> None:
    """Its answers are not streamed, so it gets the time of a whole request more; its tools have limits of their own."""
    subagent = shipped("subagent")
    late = {v.found_at - v.recording.last for r in cut(subagent) if (v := judge(r, LIMITS)).found_at is not None}
    assert max(late) == pytest.approx(420 + 600, abs=2)


def test_a_slow_night_is_the_same_each_time_and_slower() -> None:
    once, again, other = (stretched(shipped("normal"), seed) for seed in (1, 1, 2))
    assert once == again
    assert once.frames != other.frames
    assert [frame for _, frame in once.frames] == [frame for _, frame in shipped("normal").frames]
    assert max(stretched(shipped("normal"), seed).last for seed in range(20)) > 600


STAMPS = [f"2026-11-21T04:00:{second:02}.000Z" for second in range(60)]
INIT: dict[str, Any] = {"type": "system", "subtype": "init", "session_id": "s", "model": "m"}
ANSWER: dict[str, Any] = {"type": "control_response"}
RESULT: dict[str, Any] = {"type": "result", "subtype": "error_during_execution"}


def written(folder: Path, *frames: dict[str, Any], **state: Any) -> Path:
    log = folder / "ses_1.log"
    log.write_text("".join(json.dumps({"_at": at, **frame}) + "\n" for at, frame in zip(STAMPS, frames, strict=False)))
    if state:
        log.with_suffix(".json").write_text(json.dumps(state))
    return log


def test_what_came_after_the_loop_stepped_in_is_left_out(tmp_path: Path) -> None:
    log = written(tmp_path, ANSWER, INIT, {"type": "system", "subtype": "status"}, ANSWER, RESULT)
    assert [frame["type"] for _, frame in load(log).frames] == ["control_response", "system", "system"]


@pytest.mark.parametrize(
    ("state", "hung"),
    [
        ({"ending": "stalled", "ended_by": "watchdog"}, True),
        ({"ending": "spinning", "ended_by": "watchdog"}, True),
        ({"ending": "max_turns", "ended_by": "agent"}, False),
        ({"ending": "timeout", "ended_by": "watchdog"}, None),
        ({"ending": None, "ended_by": "operator"}, None),
        ({}, None),
    ],
)
def test_the_state_beside_a_log_says_whether_it_was_hung(
    tmp_path: Path, state: dict[str, Any], hung: bool | None
) -> None:
    assert load(written(tmp_path, INIT, **state)).hung is hung


def test_seconds_count_from_the_start_of_the_session(tmp_path: Path) -> None:
    log = written(tmp_path, INIT, started_at="2026-11-21T03:59:50+00:00")
    assert [at for at, _ in load(log).frames] == [10.0]


def test_own_logs_can_be_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = written(tmp_path, INIT, ended_by="agent")
    assert main([str(log), "--stretches", "0"]) == 0
    assert "<- judged" in capsys.readouterr().out
    (tmp_path / "empty.log").write_text("no frame\n")
    assert main([str(tmp_path / "empty.log")]) == 2
    assert "no session log" in capsys.readouterr().err


def test_a_mistake_is_told_and_is_exit_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool = {"type": "tool_use", "id": "c", "name": "Read", "input": {"file_path": "a"}}
    call = {"type": "assistant", "message": {"model": "m", "content": [tool]}}
    log = written(tmp_path, INIT, call)
    later = {"_at": "2026-11-21T05:00:00.000Z", **INIT}
    log.write_text(log.read_text() + json.dumps(later) + "\n")
    assert main([str(log), "--stretches", "0"]) == 1
    assert "false kill: ses_1, last frame at 3600 s at 482 s: stalled, Read: a" in capsys.readouterr().out
