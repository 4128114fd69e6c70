"""The session commands on a session that a real loop has run with the scripted agent (H9, H18, H50)."""

import json
import shutil

import pytest

from tests.kit.command import Caller


@pytest.fixture
def session(worked):
    return worked("session", "latest", "--jq", ".id").out.strip()


def test_latest_is_one_page(worked, session):
    said = worked("session", "latest", "--json").json
    assert said["schema"] == "loop.session/1"
    assert (said["item"], said["status"], said["outcome"]) == ("test-001", "completed", "verified")
    assert said["metrics"]["tools"]
    text = worked("session", "latest").out
    assert session in text
    assert "gates" in text


def test_list_is_newest_first(worked, session):
    (row,) = worked("session", "list", "--json").json["rows"]
    assert (row["id"], row["item"], row["outcome"]) == (session, "test-001", "verified")
    assert worked("session", "list", "--item", "test-001", "--jq", ".rows | length").out == "1\n"


def test_metrics_are_those_of_the_file(worked, session):
    kept = json.loads((worked.home.session(session) / "metrics.json").read_text())
    assert worked("session", "metrics", session, "--json").json == kept


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", "\x00\xff", "[" * 100_000])
def test_damaged_metrics_are_counted_anew_from_the_log(worked, session, tmp_path, damage):
    shutil.copytree(worked.home.root, tmp_path / "copy", symlinks=True)
    copy = Caller(type(worked.home)(tmp_path / "copy"))
    kept = copy.home.session(session) / "metrics.json"
    whole = json.loads(kept.read_text())
    kept.write_text(damage, encoding="latin-1")
    said = copy("session", "metrics", session, "--json").json
    assert (said["tools"], said["session_id"]) == (whole["tools"], session)


def test_every_name_of_a_session_finds_it(worked, session):
    names = ("latest", "current", session, session[:8], f"docs/sessions/{session}.json", f"{session}.log")
    for name in (*names, f"docs/sessions/{session}-context.json"):
        assert worked("session", "metrics", name, "--jq", ".session_id").out == f"{session}\n", name


def test_tools_are_counted_and_timed(worked):
    rows = {row["name"]: row for row in worked("session", "tools", "latest", "--json").json["rows"]}
    assert (rows["Bash"]["calls"], rows["Bash"]["errors"]) == (3, 1)
    assert rows["Write"]["latency_seconds"]["max"] >= 0


def test_errors_have_class_and_line(worked, session):
    (row,) = worked("session", "errors", "latest", "--json").json["rows"]
    assert row["class"]
    line = worked.home.session_log(session).read_text().splitlines()[row["line"] - 1]
    assert json.loads(line)["type"] == "user"


def test_the_timeline_tells_what_happened_in_order(worked):
    kinds = [row["kind"] for row in worked("session", "timeline", "--json").json["rows"]]
    assert kinds[0] == "start"
    assert kinds[-1] == "result"
    text = worked("session", "timeline").out
    assert "✗ tool_end Bash sh -c 'exit 3'" in text or "✗ tool_end Bash" in text


def test_watching_a_session_that_has_ended_ends(worked):
    lines = worked("session", "watch", "latest", "--json").out.splitlines()
    assert json.loads(lines[0])["schema"] == "loop.session-event/1"
    assert json.loads(lines[-1])["kind"] == "result"


def test_the_transcript_is_the_conversation_in_words(worked):
    assert "I mend the state." in worked("session", "transcript").out
    assert worked("session", "transcript", "--jq", ".rows[0].role").out == "agent\n"


def test_where_the_cli_keeps_the_conversation_or_that_it_does_not(worked, session):
    said = worked("session", "transcript", "--path", "--json")
    # The scripted agent has no CLI, so there is none.
    assert (said.code, said.error["kind"]) == (4, "not_found")
    assert session in said.error["message"]


def test_files_alone_are_enough(worked, session, tmp_path):
    shutil.copytree(worked.home.root, tmp_path / "copy", symlinks=True)
    copy = Caller(type(worked.home)(tmp_path / "copy"))
    for file in copy.home.state.glob("harness.db*"):
        file.unlink()
    assert copy("session", "timeline", f"{session}.json").code == 0
    assert copy("session", "latest", "--jq", ".id").out == f"{session}\n"


def test_a_session_that_is_not_there_is_exit_4(loop, worked):
    assert loop("session", "latest").code == 4
    said = worked("session", "metrics", "ses_ffffffffffff", "--json")
    assert (said.code, said.error["next"]) == (4, "./loop session list")
