"""The fingerprint of a failure: the same failure twice is recognised, two failures are told apart (P10)."""

from datetime import UTC, datetime

import pytest

from harness.model.journal import AttemptRow
from harness.model.symptom import symptom

NOW = datetime(2026, 1, 27, 22, 0, tzinfo=UTC)


def failed(tail="", *, ending="gate_failed", gate="tests", evidence=""):
    verdicts = ({"gate": "lint", "verdict": "passed", "tail": "x"}, {"gate": gate, "verdict": "failed", "tail": tail})
    return AttemptRow(
        1, "a", 1, "o", "settled", 1, NOW, ending=ending, evidence=evidence, verdicts=verdicts if gate else ()
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2 failed in 1.23s", "2 failed in 41.07s"),
        ("at 2026-01-27T22:00:01Z: refused", "at 2026-03-01 04:00:59+01:00: refused"),
        ("/tmp/bench-1f2e/src/ledger.py:12: Error", "/var/x/worktrees/src/ledger.py:12: Error"),
        ("object at 0x7f3a2c", "object   at\n0x55d012"),
    ],
)
def test_times_places_and_numbers_make_no_difference(one, other):
    assert symptom(failed(one)).fingerprint == symptom(failed(other)).fingerprint


def test_another_ending_gate_or_message_is_another_symptom():
    shown = [
        failed("assert a"),
        failed("assert b"),
        failed("assert a", gate="lint2"),
        failed("assert a", ending="timeout"),
        failed(gate="", evidence="assert a"),
    ]
    assert len({symptom(each).fingerprint for each in shown}) == len(shown)


def test_a_symptom_reads_as_ending_gate_and_digest():
    assert symptom(failed("assert a")).fingerprint.startswith("gate_failed/tests/")
    assert symptom(failed(gate="", ending="timeout")).fingerprint == "timeout"
