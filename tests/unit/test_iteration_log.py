"""`iteration.log` does not grow without bound, and health still counts over its turn (contract 2, H36)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from harness.model.home import Home
from harness.ops.health import recent_errors
from harness.telemetry.journalist import Journal
from harness.telemetry.log import Logs
from harness.telemetry.rotate import MOST_BYTES

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_loop_that_logs_for_ever_keeps_three_files_readable_by_all(tmp_path: Path) -> None:
    journal, log = Journal(Logs(tmp_path, now=lambda: NOW)), tmp_path / "iteration.log"
    for turn in range(5):
        journal.line("INFO", "loop.idle", turn=turn)
        with log.open("a") as file:
            file.write("x" * (MOST_BYTES - log.stat().st_size - 1) + "\n")
    journal.line("INFO", "loop.idle", turn=5)
    found = sorted(tmp_path.glob("iteration.log*"))
    assert [path.name for path in found] == ["iteration.log", "iteration.log.1", "iteration.log.2"]
    assert all(path.stat().st_size <= MOST_BYTES for path in found)
    assert {path.stat().st_mode & 0o777 for path in found} == {0o644}
    assert [path.read_text().partition("turn=")[2][0] for path in found] == ["5", "4", "3"]


def test_errors_of_just_before_the_turn_are_still_recent(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.state.mkdir()
    assert recent_errors(home) == 0
    old = ["2026-01-01T00:00:00+01:00 ERROR bad"] * 150
    (home.state / "iteration.log.1").write_text("\n".join(old) + "\n")
    assert recent_errors(home) == 100
    home.iteration_log.write_text("2026-01-01T00:00:00+01:00 INFO good\n" * 97)
    assert recent_errors(home) == 3
