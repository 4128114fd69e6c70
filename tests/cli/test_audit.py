"""`audit verify`: a real run agrees with its journal, a hand edit by SQL does not (issue: constraints, not habits)."""

import shutil
import sqlite3

from harness.model.home import Home
from tests.kit.command import Caller


def test_the_journal_of_a_real_run_agrees_with_the_state(worked):
    said = worked("audit", "verify", "--json")
    assert said.code == 0, said.out
    assert (said.json["schema"], said.json["agrees"], said.json["violations"]) == ("loop.audit/1", True, [])
    assert said.json["items"] == 1
    assert worked("audit", "verify").out.startswith("the state agrees with its journal: 1 items,")


def test_what_was_changed_by_hand_is_exit_1_and_named(worked, tmp_path):
    shutil.copytree(worked.home.state, tmp_path / "state", ignore=shutil.ignore_patterns("worktrees", "sessions"))
    other = Caller(Home(tmp_path))
    connection = sqlite3.connect(other.home.database)
    with connection:
        connection.execute("UPDATE items SET attempts = 9")
    connection.close()
    said = other("audit", "verify")
    assert said.code == 1
    assert said.out.splitlines()[0].startswith("test-001 is ('done', 1, 9) (state, fence, attempts)")
    assert "does not agree" in said.out


def test_without_a_database_there_is_nothing_to_audit(loop):
    assert loop("audit", "verify").code == 4
