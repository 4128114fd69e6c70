"""What a session uses, seen from outside: the log, `status` and `why` say it; it is ended only where that is wished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kit.loop import COMPLETE, DONE, Yard, bash, commit, sessions, until, yard

pytestmark = [pytest.mark.cli, pytest.mark.process]

BUSY = "touch begun; timeout 60 sh -c 'while :; do :; done'"


def watch(*, ends_session: bool) -> dict[str, Any]:
    """One busy process is 100 % of one processor: on any machine more than a thousandth of all of them."""
    bounds = {
        "warning": 0.1,
        "warning_seconds": 1,
        "critical": 0.2,
        "critical_seconds": 3,
        "ends_session": ends_session,
    }
    return {"cpu_percent": bounds}


def alerted(place: Yard) -> bool:
    return "Alert: session is beyond a critical bound" in place.log()


def test_an_alert_is_said_everywhere_and_the_session_goes_on(tmp_path: Path) -> None:
    script = (bash("touch begun; while [ ! -e go ]; do :; done"), commit(), COMPLETE, DONE)
    with yard(tmp_path, sessions(busy=script), watch=watch(ends_session=False)) as place:
        place.add("busy")
        loop = place.start(MAX_ITERATIONS="1")
        until(lambda: alerted(place), 30, "the alert")
        (session,) = place.ask("status")["sessions"]
        assert session["strains"]["cpu"].startswith("alert: its processes use ")
        assert "alert: its processes use " in place.run("status")[1]
        why = place.ask("why", session["id"])
        assert "alert: its processes use " in why["evidence"]
        (place.workspace("busy") / "go").touch()
        assert loop.ended(60) == 0, loop.output
        assert place.item("busy").outcome == "verified", loop.output
        assert place.log().count("Session is beyond a bound of watch") == 1
        assert place.log().count("Alert: session is beyond") == 1


@pytest.mark.night
def test_a_session_is_ended_and_saved_where_the_configuration_says_so(tmp_path: Path) -> None:
    script = (bash(f"echo half > half.txt; {BUSY}"), COMPLETE, DONE)
    with yard(tmp_path, sessions(busy=script), watch=watch(ends_session=True)) as place:
        place.add("busy")
        status, said = place.run(MAX_ITERATIONS="1")
        assert status == 0, said
        (row,) = place.sessions()
        assert (row.status, row.ending, row.ended_by) == ("failed", "runaway", "watchdog")
        item = place.item("busy")
        assert (item.state, item.attempts) == ("delayed", 1)
        (attempt,) = place.ask("why", "busy")["attempts"]
        assert attempt["ending"] == "runaway"
        assert "% of the machine's processors" in place.ask("why", "busy")["evidence"]
        saves = place.refs(f"refs/harness/{row.id}/wip/*")
        assert "half" in [place.git("show", f"{ref}:half.txt") for ref in saves]
        assert place.living() == []
