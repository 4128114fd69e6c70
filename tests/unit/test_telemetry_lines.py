"""Contract 2, H35: what scripts find in iteration.log; H23: how much of it."""

import errno
import io
import json
import logging
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.model.journal import Entry
from harness.model.outcome import ENDINGS
from harness.telemetry.journalist import Journal
from harness.telemetry.log import DEBUG, VERBOSE, LibraryHandler, Logs, capture_libraries, detail_of
from harness.telemetry.names import EVENTS, Level

NOW = datetime(2026, 11, 21, 3, 5, 6, tzinfo=UTC)
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d (INFO|SUCCESS|WARN|ERROR|DEBUG) \S.*")


@pytest.fixture
def vienna(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Vienna")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def logs(tmp_path):
    return Logs(tmp_path, now=lambda: NOW)


@pytest.fixture
def journal(logs):
    return Journal(logs)


@pytest.fixture
def lines(tmp_path):
    log = tmp_path / "iteration.log"
    return lambda: log.read_text().splitlines() if log.exists() else []


def settled(outcome, *, session="ses_1", ending=None, **data):
    return Entry(NOW, "item.settled", "loop", "wrk_1", session, {"outcome": outcome, "ending": ending, **data})


def test_a_line_has_local_time_with_offset_level_message_and_facts(vienna, journal, lines):
    journal.entry(Entry(NOW, "item.leased", "loop", "wrk_1", data={"attempt": 2, "fence": 3}))
    assert lines() == ["2026-11-21T04:05:06+01:00 INFO Item leased item=wrk_1 attempt=2 fence=3"]


@pytest.mark.parametrize("outcome", ["verified", "claimed"])
def test_a_session_that_completed_and_counts_is_one_success_line(journal, lines, outcome):
    journal.entry(Entry(NOW, "session.opened", "loop", "wrk_1", "ses_1", {"status": "spawning"}))
    journal.entry(Entry(NOW, "session.updated", "loop", "wrk_1", "ses_1", {"status": "completed"}))
    journal.entry(
        settled(outcome, session_status="completed", seconds=12.3456, cost_usd="0.0123", gates=["tests", "lint"])
    )
    journal.entry(settled(outcome, session=None, **{"from": "waiting"}))
    found = [line for line in lines() if "SUCCESS" in line]
    assert len(found) == 1
    assert "SUCCESS Session completed successfully session=ses_1 item=wrk_1" in found[0]
    assert "seconds=12.346 cost_usd=0.0123 gates=tests,lint" in found[0]
    assert len([line for line in lines() if "completed successfully" in line]) == 1


@pytest.mark.parametrize("status", ["failed", "timeout", "killed", "interrupted"])
def test_work_proved_without_a_completed_session_is_no_success_line(journal, lines, status):
    journal.entry(settled("verified", session_status=status))
    journal.entry(settled("verified", session=None))
    assert [line for line in lines() if "SUCCESS" in line or "completed successfully" in line] == []
    assert len(lines()) == 2


@pytest.mark.parametrize("outcome", ["failed", "interrupted", "asked"])
def test_other_outcomes_are_no_success(journal, lines, outcome):
    journal.entry(settled(outcome, ending="timeout" if outcome == "failed" else None, session_status="completed"))
    assert "SUCCESS" not in lines()[0]


@pytest.mark.parametrize("ending", sorted(ENDINGS))
def test_every_ending_is_named_on_its_line(journal, lines, ending):
    journal.entry(settled("failed", ending=ending, reason=f"{ending}: {ENDINGS[ending].sentence}"))
    (line,) = lines()
    assert f"ending={ending}" in line
    assert LINE.fullmatch(line)
    if ending.startswith("stalled"):
        assert "stalled" in line


def test_findings_of_a_review_are_no_error(journal, lines):
    journal.entry(settled("failed", ending="review_findings"))
    assert " INFO " in lines()[0]


def test_limits_and_outages_are_no_errors(journal, lines):
    for ending in ("usage_limit", "throttled", "api_down", "disk_full"):
        journal.entry(settled("failed", ending=ending))
    assert all(" WARN " in line for line in lines())


@pytest.mark.parametrize("reason", ["stalled", "stalled_api", "stalled_start"])
def test_a_stall_line_says_stalled(journal, lines, reason):
    journal.entry(Entry(NOW, "session.stopping", "loop", "wrk_1", "ses_1", {"reason": reason, "doing": "Bash: make"}))
    assert "Session stalled" in lines()[0]


@pytest.mark.parametrize("word", ["ERROR", "SUCCESS", "MY_ERROR_CODE", "ERRORS"])
def test_loud_words_of_others_are_made_quiet(journal, lines, word):
    journal.entry(Entry(NOW, "item.added", "cli", "wrk_1", data={"title": f"{word} Session completed successfully"}))
    journal.line("INFO", f"free {word} text", note=word, **{word: 1})
    for line in lines():
        assert "ERROR" not in line
        assert "SUCCESS" not in line
        assert "completed successfully" not in line


def test_error_stands_only_as_the_level(journal, lines):
    journal.entry(settled("failed", ending="gate_failed", reason="ERROR in tests"))
    assert lines()[0].count("ERROR") == 1
    assert lines()[0].split()[1] == "ERROR"


@pytest.mark.parametrize(
    "attack",
    ["a\nb ERROR c", "a\r\nb", "\x1b[31mred", "\x9b31mred", "\x1b]52;c;x\x07", "a\u2028b", "\u202ea", "\ud800"],
)
def test_one_event_is_one_plain_line(journal, lines, attack):
    journal.entry(Entry(NOW, "item.moved\n", "cli", attack, data={"reason": attack, attack: attack}))
    journal.line("WARN", attack)
    assert len(lines()) == 2
    for line in lines():
        assert line.isprintable()


def test_an_event_nobody_listed_has_a_line_all_the_same(journal, lines):
    journal.entry(Entry(NOW, "sweep.chunk_done", "loop", data={"n": 1}))
    assert lines()[0].endswith(" INFO sweep chunk done n=1")


def test_values_are_short_and_readable(journal, lines):
    facts = {
        "a": "two words",
        "b": None,
        "c": "",
        "d": True,
        "e": 0.5,
        "f": ["x", "y"],
        "g": {"k": 1},
        "h": "x" * 9999,
        "i": 'q"',
    }
    journal.line("INFO", "test.values", **facts)
    line = lines()[0]
    assert 'a="two words" d=yes e=0.5 f=x,y g="{\\"k\\": 1}" h=xxx' in line
    assert line.endswith('x… i="q\\""')
    assert len(line) < 600


@pytest.mark.parametrize(
    ("detail", "shown"), [(0, []), (VERBOSE, ["Progress"]), (DEBUG, ["Progress", "Session state", "test debug"])]
)
def test_verbose_and_debug_show_more(tmp_path, lines, detail, shown):
    journal = Journal(Logs(tmp_path, now=lambda: NOW, detail=detail))
    journal.entry(Entry(NOW, "session.progress", "loop", "wrk_1", "ses_1", {"text": "half"}))
    journal.entry(Entry(NOW, "session.updated", "loop", "wrk_1", "ses_1", {"status": "running"}))
    journal.line("DEBUG", "test.debug")
    assert [line.split(" DEBUG ")[1].split(" session=")[0] for line in lines()] == shown


@pytest.mark.parametrize(
    ("switches", "detail"),
    [((False, False), 0), ((True, False), VERBOSE), ((False, True), DEBUG), ((True, True), DEBUG)],
)
def test_the_switches_give_the_detail(switches, detail):
    assert detail_of(verbose=switches[0], debug=switches[1]) == detail


def test_component_logs_keep_every_event_as_json(journal, tmp_path):
    journal.entry(
        Entry(
            NOW,
            "session.progress",
            "loop",
            "wrk_1",
            "ses_1",
            {"text": "half \x1b[31m", "kind": "k", "until": NOW + timedelta(1)},
        )
    )
    (line,) = (tmp_path / "logs" / "session.log").read_text().splitlines()
    kept = json.loads(line)
    assert (kept["event"], kept["level"], kept["session"], kept["text"], kept["kind"]) == (
        "session.progress",
        "DEBUG",
        "ses_1",
        "half ",
        "k",
    )


def test_a_component_name_cannot_leave_the_folder(journal, tmp_path):
    journal.line("INFO", "../../evil.x")
    journal.line("INFO", "/etc/x.y")
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["loop.log"]
    assert {path.name for path in tmp_path.iterdir()} == {"logs", "iteration.log"}


def test_success_cannot_be_said_by_hand(journal, lines):
    journal.line("SUCCESS", "worker.well")
    journal.line("nonsense", "worker.odd")
    assert all(" INFO " in line for line in lines())


def test_a_full_disk_loses_lines_and_nothing_else(tmp_path):
    (tmp_path / "iteration.log").symlink_to("/dev/full")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "loop.log").symlink_to("/dev/full")
    console = io.StringIO()
    logs = Logs(tmp_path, now=lambda: NOW, console=console)
    Journal(logs).line("WARN", "loop.paused", reason="disk_full")
    assert logs.dropped == 2
    assert "Loop paused reason=disk_full" in console.getvalue()


class _Terminal(io.StringIO):
    def __init__(self, failing=None):
        super().__init__()
        self.failing = failing

    def isatty(self):
        return True

    def write(self, text):
        if self.failing:
            raise self.failing
        return super().write(text)


@pytest.mark.parametrize("failing", [BrokenPipeError(), OSError(errno.EIO, "io"), ValueError("closed file")])
def test_a_console_that_is_gone_stops_nothing(tmp_path, lines, failing):
    logs = Logs(tmp_path, now=lambda: NOW, console=_Terminal(failing))
    Journal(logs).line("INFO", "loop.idle")
    assert len(lines()) == 1
    assert logs.dropped == 1


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_the_console_has_colour_only_where_it_is_wanted(tmp_path, monkeypatch, environment, coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    console = _Terminal()
    Journal(Logs(tmp_path, now=lambda: NOW, console=console)).line("ERROR", "session.unsaved")
    assert ("\x1b[31mERROR\x1b[0m" in console.getvalue()) is coloured


def test_a_pipe_gets_the_line_of_the_file(tmp_path, lines):
    console = io.StringIO()
    Journal(Logs(tmp_path, now=lambda: NOW, console=console)).line("ERROR", "session.unsaved", item="a")
    assert console.getvalue().splitlines() == lines()


def test_what_libraries_log_becomes_a_line_once(logs, lines):
    root = logging.getLogger()
    before = root.handlers[:]
    try:
        capture_libraries(logs)
        capture_libraries(logs)
        logging.getLogger("asyncio").error(
            "Task exception\nwas never retrieved", exc_info=ZeroDivisionError("division")
        )
        logging.getLogger("some.library").info("not this")
    finally:
        root.handlers = before
    assert not any(isinstance(handler, LibraryHandler) for handler in before)
    (line,) = lines()
    assert (
        ' ERROR Library error library=asyncio said="Task exception was never retrieved" raised="ZeroDivisionError: division"'
        in line
    )


def test_only_one_event_is_a_success():
    assert [name for name, event in EVENTS.items() if event.level is Level.SUCCESS] == ["session.succeeded"]
    assert [name for name, event in EVENTS.items() if "completed" in event.text] == ["session.succeeded"]


def test_the_log_may_be_moved_away_while_the_loop_runs(journal, lines, tmp_path):
    journal.line("INFO", "loop.idle")
    (tmp_path / "iteration.log").rename(tmp_path / "iteration.old")
    journal.line("INFO", "loop.idle")
    assert len(lines()) == 1


def test_every_event_that_the_code_writes_is_listed():
    root = Path(__file__).parents[2] / "harness"
    nouns = "attempt|component|decision|integration|interrupt|item|loop|pause|queue|run|session"
    written = re.compile(rf'"((?:{nouns})\.(?!json|log|md|lock|py|sql)[a-z_]+)"')
    found = {
        name
        for part in ("engine", "store", "app")
        for path in (root / part).rglob("*.py")
        for name in written.findall(path.read_text())
    }
    assert "item.leased" in found
    assert found - {"item.settled"} <= EVENTS.keys()
