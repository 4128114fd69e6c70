"""The table of situations fits the error tree, the endings and the command table; tests/acceptance plays each row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from harness.model.errors import HarnessError
from harness.model.outcome import ENDINGS, Failed, Scope, dispose
from harness.model.situations import SITUATIONS, Shows, Situation
from harness.model.work import WorkItem, WorkState
from harness.telemetry.names import EVENTS
from tests.docs.pages import PATHS, path_of

A7 = {
    *("cli-missing", "not-authenticated", "unreachable", "http-401", "http-429", "http-529", "broken-template"),
    *("repository-missing", "queue-file-unparsable", "unknown-key", "root", "disk-nearly-full"),
}
EXIT_CODES = {0, 1, 2, 3, 4, 5, 7, 69, 75, 77, 78, 124}


def _errors(kind: type[HarnessError] = HarnessError) -> Iterator[type[HarnessError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _errors(below)


def _rows(shows: Shows) -> list[Situation]:
    return [row for row in SITUATIONS.values() if row.shows is shows]


def test_everything_that_the_acceptance_names_has_its_row():
    assert A7 | {"no-repository", "second-instance", "newer-database"} <= SITUATIONS.keys()


@pytest.mark.parametrize("row", _rows(Shows.ERROR), ids=lambda row: row.key)
def test_a_refusal_is_an_error_of_the_tree_with_its_exit_code(row: Situation):
    status = {error.code: error.status for error in _errors()}
    assert status[row.name] == row.exit_code


@pytest.mark.parametrize("row", _rows(Shows.ENDING), ids=lambda row: row.key)
def test_an_ending_counts_nothing_and_keeps_the_item(row: Situation):
    done = dispose(WorkItem("a", "a"), Failed(row.name), datetime(2026, 1, 1, tzinfo=UTC))
    assert not done.counted
    assert done.state in (WorkState.READY, WorkState.DELAYED, WorkState.WAITING, WorkState.PARKED)
    assert done.reason.startswith(f"{row.name}: {ENDINGS[row.name].sentence}")


@pytest.mark.parametrize("row", _rows(Shows.ENDING), ids=lambda row: row.key)
def test_the_exit_code_of_an_ending_follows_from_what_it_pauses(row: Situation):
    """Contract 4: 77 for a pause of everything for auth, 5 for another one of everything, else 1."""
    done = dispose(WorkItem("a", "a"), Failed(row.name), datetime(2026, 1, 1, tzinfo=UTC))
    everything = done.pause in (Scope.LOOP, Scope.CREDENTIAL)
    expected = (77 if row.name in ("auth", "billing") else 5) if everything else 1
    assert row.exit_code == expected


@pytest.mark.parametrize("row", _rows(Shows.NOTE), ids=lambda row: row.key)
def test_a_note_is_an_event_of_the_log(row: Situation):
    assert row.name in EVENTS


@pytest.mark.parametrize("row", SITUATIONS.values(), ids=lambda row: row.key)
def test_exit_codes_are_of_the_closed_set_and_next_names_what_is_built(row: Situation):
    assert row.exit_code in EXIT_CODES
    named = [path_of(part.split("./loop ")[1].replace(",", " ").split()) for part in _commands(row.next)]
    assert [path for path in named if path not in PATHS or not PATHS[path].built] == []


def _commands(text: str) -> list[str]:
    return [f"./loop {part}" for part in text.split("./loop ")[1:]]
