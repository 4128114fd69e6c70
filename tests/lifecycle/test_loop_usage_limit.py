"""A used-up account with the real CLI: one wasted request, then the same conversation soon after the reset (B3)."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.kit.loop import COMPLETE, DONE, bash, commit, sessions, until, yard

pytestmark = [pytest.mark.cli, pytest.mark.process, pytest.mark.slow]

RESET_SECONDS = 4
FAULT = {"kind": "usage_limit", "resets_in_seconds": RESET_SECONDS, "until_seconds": RESET_SECONDS}
LIMITED = {**commit(), "fault": FAULT}
SUBSCRIPTION = {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-rehearsal"}


def test_a_usage_limit_is_waited_out_and_the_same_session_goes_on(tmp_path: Path) -> None:
    scenario = sessions(limited=(bash("touch begun"), LIMITED, COMPLETE, DONE))
    with yard(tmp_path, scenario) as place:
        place.add("limited")
        loop = place.start(**SUBSCRIPTION)
        until(lambda: any("usage_limit" in line for line in place.log().splitlines()), what="the limit")
        status = place.ask("status")
        assert status["state"] == "paused"
        assert "usage limit" in json.dumps(status["reasons"])
        assert "tried again at" in json.dumps(status["reasons"])
        with place.store() as store:
            (pause,) = store.pauses()
        assert pause.until is not None
        until(lambda: place.item("limited").state == "done", 30, "the end of the item")
        first, second = place.sessions("limited")
        assert first.claude_session_id == second.claude_session_id
        assert (first.ending, second.parent) == ("usage_limit", first.id)
        assert [row.status for row in place.api.bill].count(429) == 1
        assert second.started_at is not None
        assert (second.started_at - pause.until).total_seconds() < 5
        found = place.item("limited")
        assert (found.outcome, found.attempts, found.rescues) == ("verified", 0, 0)
        assert datetime.now(UTC) > pause.until
        loop.signal(signal.SIGTERM)
        assert loop.ended(10) == 0
