"""Which turn a request gets, from its history alone."""

from __future__ import annotations

import pytest

from harness.rehearsal import reply
from harness.rehearsal.conversation import Request
from harness.rehearsal.director import Director
from harness.rehearsal.scenario import parse

BASH = {"name": "Bash", "input": {"command": "true"}}
TURNS = [{"tools": [BASH]}, {"text": "Half way."}, {"text": "Look.", "tools": [BASH, BASH]}, {"text": "Done."}]


def director(*sessions, **more):
    return Director(parse({"sessions": [*sessions, {"default": True, "turns": [{"text": "default"}]}], **more}))


def request(*messages, prompt="do it", tools=("Bash",), conversation="c1", **body):
    history = [{"role": "user", "content": prompt}, *messages]
    tools = [{"name": name} for name in tools]
    return Request({"model": "m", "max_tokens": 32000, "messages": history, "tools": tools, **body}, conversation)


def said(cue):
    return {"role": "assistant", "content": reply.message(cue, "m")["content"]}


def answered(text="ok"):
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def play(stage, count, *history, **ask):
    """The cues of a conversation that keeps what it is told."""
    history, cues = list(history), []
    for _ in range(count):
        cues.append(stage.cue(request(*history, **ask)))
        history += [said(cues[-1]), answered()]
    return cues, history


def test_turns_follow_the_history():
    cues, _ = play(director({"match": "do it", "turns": TURNS}), 5)
    assert [cue.index for cue in cues] == [0, 1, 2, 3, 4]
    assert cues[4].turn.text == "Nothing more to do."


def test_another_process_goes_on_where_the_history_ends():
    session = {"match": "do it", "turns": TURNS}
    _, history = play(director(session), 2)
    assert director(session).cue(request(*history, conversation="resumed")).index == 2


def test_what_the_cli_adds_by_itself_is_no_turn():
    stage = director({"match": "do it", "turns": TURNS})
    _, history = play(stage, 1)
    added = [*history, {"role": "assistant", "content": "No response requested."}, answered("continue")]
    assert stage.cue(request(*added)).index == 1


def test_a_request_that_is_sent_again_gets_the_same_turn():
    stage = director({"match": "do it", "turns": TURNS})
    assert [stage.cue(request()).index for _ in range(3)] == [0, 0, 0]


def test_repeat_starts_again_with_new_tool_ids():
    cues, history = play(director({"match": "do it", "turns": TURNS[:2], "repeat": True}), 5)
    assert [cue.turn.text for cue in cues] == ["", "Half way.", "", "Half way.", ""]
    ids = [block["id"] for message in history for block in message["content"] if block["type"] == "tool_use"]
    assert len(ids) == len(set(ids)) == 3


def test_past_the_end_may_be_an_error():
    cues, _ = play(director({"match": "do it", "turns": TURNS[:1], "then": "error"}), 2)
    assert cues[1].fault.status == 400


def test_a_prompt_nobody_takes_is_told_so():
    stage = Director(parse({"sessions": [{"match": "other", "turns": TURNS}]}))
    assert "no session of the scenario matches" in stage.cue(request()).fault.message


def test_reminders_of_the_cli_take_no_part_in_the_match():
    stage = director({"match": "do it", "turns": TURNS})
    hidden = "<system-reminder>do it</system-reminder>other"
    assert stage.cue(request(prompt=hidden)).turn.text == "default"


def test_a_script_for_the_first_attempt_only():
    stage = director({"match": "do it", "times": 1, "turns": [{"text": "first"}]})
    texts = [stage.cue(request(conversation=name)).turn.text for name in ("a", "a", "b")]
    assert texts == ["first", "first", "default"]


@pytest.mark.parametrize(
    "asked",
    [{"max_tokens": 1}, {"model": "claude-haiku-5"}, {"output_config": {"format": {"type": "json_schema"}}}],
    ids=["quota probe", "small model", "title"],
)
def test_side_requests_play_no_turn(asked):
    stage = director({"match": "do it", "turns": TURNS})
    cue = stage.cue(request(tools=(), **asked))
    assert cue.side
    assert stage.cue(request()).index == 0


def test_a_session_without_tools_is_not_a_side_request():
    assert not director({"match": "do it", "turns": TURNS}).cue(request(tools=())).side


def test_the_place_in_the_script_survives_compaction_and_a_restart():
    session = {"match": "do it", "turns": TURNS}
    stage = director(session)
    _, history = play(stage, 2)
    asked = stage.cue(request(*history, answered("create a detailed summary of the conversation")))
    assert asked.side
    later = request(prompt=f"This session is being continued. {asked.turn.text}", conversation="c1")
    assert [stage.cue(later).index, director(session).cue(later).index] == [2, 2]


def test_a_fault_is_used_up_by_requests_of_one_conversation():
    stage = director({"match": "do it", "turns": [{"text": "x", "fault": {"kind": "overloaded", "times": 2}}]})
    assert [stage.cue(request()).fault.status for _ in range(3)] == [529, 529, None]
    assert stage.cue(request(conversation="c2")).fault.status == 529


def test_a_fault_ends_after_its_time():
    now = [100.0]
    fault = {"kind": "overloaded", "until_seconds": 5}
    scenario = parse({"sessions": [{"match": "do it", "turns": [{"text": "x", "fault": fault}]}]})
    stage = Director(scenario, now=lambda: now[0])
    seen = []
    for now[0] in (100.0, 104.9, 105.0):
        seen.append(stage.cue(request()).fault.status)
    assert seen == [529, 529, None]


def test_faults_of_a_session_come_before_those_of_a_turn():
    turn = {"text": "x", "fault": {"status": 500, "times": 1}}
    stage = director({"match": "do it", "faults": [{"status": 529, "times": 2}], "turns": [turn]})
    assert [stage.cue(request()).fault.status for _ in range(4)] == [529, 529, 500, None]


def test_usage_that_is_left_out_is_the_same_in_every_run():
    session = {"match": "do it", "turns": TURNS}
    first, second = (play(director(session), 4)[0] for _ in range(2))
    assert [cue.usage for cue in first] == [cue.usage for cue in second]
    assert [cue.usage.input for cue in first] == [1000, 1100, 1200, 1300]
