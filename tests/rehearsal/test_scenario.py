from __future__ import annotations

import math
from pathlib import Path

import pytest

from harness.model.errors import ConfigError
from harness.rehearsal.scenario import KINDS, load, parse

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("session", "named"),
    [
        ({"match": "a", "turn": []}, "sessions.0.turn: unknown key"),
        ({"match": "a", "turns": [{"txt": "x"}]}, "sessions.0.turns.0.txt: unknown key"),
        ({"match": "a", "turns": [{"usage": {"inptu": 1}}]}, "usage.inptu: unknown key"),
        ({"match": "a", "turns": [{"usage": {"input": -1}}]}, "usage.input"),
        ({"match": "a", "turns": [{"fault": "overlaoded"}]}, "no fault kind 'overlaoded'; there are: unauthorized"),
        ({"match": "a", "turns": [{"fault": {"sttaus": 500}}]}, "fault.sttaus: unknown key"),
        ({"match": "a", "default": True}, "either `match` or `default: true`"),
        ({}, "either `match` or `default: true`"),
        ({"match": "a", "repeat": True}, "`repeat` needs turns"),
        ({"match": "/(/"}, "/(/ is not a regular expression"),
    ],
)
def test_a_mistake_is_named_with_its_place(session, named):
    with pytest.raises(ConfigError) as caught:
        parse({"sessions": [session]}, source="my.yaml")
    assert caught.value.message.startswith("my.yaml: ")
    assert named in caught.value.message


def test_a_default_that_hides_later_sessions_is_refused():
    with pytest.raises(ConfigError, match="never be played"):
        parse({"sessions": [{"default": True}, {"match": "a"}]})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_may_be_written_as_a_word_and_refined(kind):
    fault = {"kind": kind, "times": 2, "message": "mine"}
    word, refined = (
        parse({"sessions": [{"default": True, "turns": [{"fault": given}]}]}).sessions[0].turns[0].fault
        for given in (kind, fault)
    )
    assert word.status == refined.status
    assert (refined.times, refined.message) == (2, "mine")


def test_forever_is_a_duration():
    scenario = parse({"sessions": [{"default": True, "turns": [{"fault": {"hang": "forever"}}]}]})
    assert math.isinf(scenario.sessions[0].turns[0].fault.hang)


def test_match_is_literal_unless_it_is_in_slashes():
    literal, pattern = parse({"sessions": [{"match": "a.c"}, {"match": "/a.c/"}]}).sessions
    assert (literal.takes("xa.cx"), literal.takes("abc")) == (True, False)
    assert (pattern.takes("abc"), pattern.takes("ab")) == (True, False)


def test_a_file_that_is_missing_or_not_yaml_is_a_configuration_error(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("sessions: [")
    for path in (broken, tmp_path / "none.yaml"):
        with pytest.raises(ConfigError, match=path.name):
            load(path)


@pytest.mark.parametrize("name", ["demo.yaml", "liar.yaml"])
def test_the_shipped_scenarios_are_valid_and_short(name):
    sessions = load(EXAMPLES / name).sessions
    assert [session.match for session in sessions] == ["demo-sweep", "demo-service", "demo-review", "demo-maintenance"]
    assert all(len(session.turns) <= 4 for session in sessions)
