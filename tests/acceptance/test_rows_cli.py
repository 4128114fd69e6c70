"""A Claude CLI that goes wrong under a running loop: each way is told as its row of the page says, and the work gets done.

The first session of each item meets the fault, the next one is the real CLI (H12, H22, O1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.kit.cli import bundled_cli
from tests.kit.endings import assert_as_on_the_page
from tests.kit.fake_cli import going_wrong
from tests.kit.loop import Yard, sessions, until, work, yard

pytestmark = [pytest.mark.cli, pytest.mark.process, pytest.mark.slow]

STALL_SECONDS = 5
MOST_MIB = 300
ENDINGS: Mapping[str, str] = {
    "silent": "stalled",
    "no-result": "crashed",
    "half-line": "crashed",
    "broken-line": "protocol",
    "no-utf8": "protocol",
}
"""Fault of the CLI -> ending. `noise` is no fault: garbage, a line of 50 MiB and a flood on stderr are put up with."""


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def begun(folder: Path, *faults: str) -> dict[str, object]:
    """The agents of a configuration: one for each fault, named by it."""
    claude = {"type": "claude", "stall_threshold": STALL_SECONDS}
    return {
        "default": claude,
        **{name: {**claude, "cli": str(going_wrong(folder, name, bundled_cli()))} for name in faults},
    }


def is_done(place: Yard, item: str) -> bool:
    return place.item(item).state in ("done", "parked")


def test_each_way_a_cli_goes_wrong_is_told_and_the_item_is_worked_by_the_next_session(tmp_path: Path) -> None:
    names = ["noise", *ENDINGS]
    scripts = {name.replace("-", "_"): work(f"{name}.txt") for name in names}
    agents = begun(tmp_path / "fakes", *names)
    with yard(tmp_path, sessions(**scripts), gate="test -f README.md", harness={"workers": 2}, agents=agents) as place:
        for name in names:
            place.add(name, agent=name)
        loop = place.start()
        until(lambda: all(is_done(place, name) for name in names), 100, "the end of all items")
        peak = peak_mib(loop.pid)
        for name in names:
            found = place.item(name)
            assert (found.outcome, found.attempts) == ("verified", 0), found
        assert len(place.sessions("noise")) == 1
        for name, ending in ENDINGS.items():
            met = assert_as_on_the_page(place.home, name, ending)
            assert met.entry.data["to"] == "ready"
            assert len(met.later) == 1
        assert peak < MOST_MIB
        assert place.living() == []
