"""A key that the API refuses is said at once and hardly asked about again, whatever the CLI would do by itself (A7, H11)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from harness.model.journal import Pause
from tests.kit.endings import assert_as_on_the_page, assert_at_rest
from tests.kit.loop import Yard, sessions, until, yard

pytestmark = [pytest.mark.cli, pytest.mark.process]

SAID_WITHIN_SECONDS = 5
MOST_REQUESTS = 2


def pauses(place: Yard) -> Sequence[Pause]:
    with place.store() as store:
        return store.pauses()


def test_a_refused_key_is_said_within_seconds_and_asked_about_at_most_twice(tmp_path: Path) -> None:
    script = ({"text": "never said", "fault": "unauthorized"},)
    with yard(tmp_path, sessions(locked=script)) as place:
        place.add("locked")
        place.start(CLAUDE_CODE_MAX_RETRIES="10")
        until(lambda: place.api.bill, what="the refusal")
        (pause,) = until(lambda: pauses(place), what="the pause")
        refused = [row for row in place.api.bill if row.status == 401]
        assert (pause.began_at - datetime.fromisoformat(refused[0].at)).total_seconds() < SAID_WITHIN_SECONDS
        assert len(refused) <= MOST_REQUESTS
        status = place.ask("status")
        assert status["state"] == "paused"
        assert "auth: the API refused the credentials" in status["reasons"][0]
        met = assert_as_on_the_page(place.home, "locked", "auth")
        assert_at_rest(place.home, "locked", "auth", met)
        assert "401" in met.attempt.evidence.splitlines()[0]
