"""`./loop decision …`: questions to a person, on the command line (C11)."""

from __future__ import annotations

import pytest

from harness.model.decision import Deadline
from harness.model.outcome import Asked, Disposition
from harness.model.work import WorkItem, WorkState
from harness.ports import LeaseRules, Settlement
from tests.kit.command import Caller, home_at
from tests.kit.stores import NOW, later

OPTIONS = ("red", "blue")


@pytest.fixture
def loop(tmp_path):
    """Two items that asked; the second one's time is over at once."""
    made = Caller(home_at(tmp_path / "home"), now=later(30))
    store = made.store()
    for name, then in (("paint", "hold"), ("door", "skip")):
        store.add([WorkItem(name, f"Paint the {name}")], actor="test", now=NOW)
        held = store.lease("test", LeaseRules("test", {}), NOW)
        waits = Disposition(WorkState.WAITING, "needs a person: Which colour?")
        question = ("Which colour?", OPTIONS)
        asked = Settlement(Asked(*question), waits, question=question, deadline=Deadline(later(60), then))
        store.settle(held, asked, NOW)
    store.close()
    return made


def test_open_questions_are_listed_and_shown_by_number_and_by_item(loop):
    rows = loop("decision", "list", "--json").json
    assert rows["schema"] == "loop.decisions/1"
    assert [(row["id"], row["item"], row["options"]) for row in rows["rows"]] == [
        (1, "paint", ["red", "blue"]),
        (2, "door", ["red", "blue"]),
    ]
    for given in ("1", "paint", "pai"):
        assert loop("decision", "show", given, "--json").json["decision"]["id"] == 1
    assert "./loop decision answer 2 TEXT" in loop("decision", "show", "door").out


def test_an_answer_is_one_change_and_a_second_one_names_the_first(loop):
    said = loop("decision", "answer", "paint", "2", "--json")
    assert (said.code, said.json["target"], said.json["applied"]) == (0, "1", True)
    again = loop("decision", "answer", "1", "red", "--json")
    assert (again.code, again.error["kind"]) == (1, "refused")
    assert "(command)" in again.error["message"]
    assert "blue" in again.error["message"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("answer", "nobody", "red"), 4),
        (("answer", "99", "red"), 4),
        (("show", "nobody"), 4),
        (("answer", "1"), 2),
        (("answer", "1", " "), 2),
    ],
)
def test_what_is_not_there_is_4_and_what_is_no_answer_2(loop, words, code):
    assert loop("decision", *words).code == code


def test_an_item_that_asked_nothing_is_said_to(loop):
    assert loop("queue", "add", '{"id": "quiet", "title": "x"}').code == 0
    said = loop("decision", "show", "quiet", "--json")
    assert (said.code, said.error["message"]) == (4, "quiet has asked nothing")


def test_status_why_and_the_item_name_the_question_and_the_command(loop):
    assert "./loop decision answer 1 TEXT" in loop("status").out
    assert "./loop decision answer 1 TEXT" in loop("why", "paint").out
    shown = loop("queue", "show", "door", "--json").json["item"]["decision"]
    assert shown["id"] == 2
    assert "then the item is skipped" in shown["next"]


def test_what_was_skipped_is_said_for_a_day(loop):
    store = loop.store()
    store.expire(later(60))
    store.close()
    assert "door was skipped: nobody answered decision 2" in loop("status").out
    loop.now = later(90_000)
    assert "was skipped" not in loop("status").out
    assert [row["state"] for row in loop("decision", "list", "--all", "--json").json["rows"]] == ["skipped", "open"]


def test_an_order_writes_the_files_of_questions(loop):
    loop("queue", "check")
    path = loop.home.decisions / "1.md"
    path.write_text(path.read_text() + "answer: red\n")
    assert "answered by" in loop("decision", "show", "1").out
    assert (loop.home.decisions / "closed" / "1.md").exists()


def test_a_file_that_says_nothing_sensible_is_named_and_the_answer_still_comes(loop):
    loop("queue", "check")
    (loop.home.decisions / "1.md").write_text("")
    said = loop("queue", "show")
    assert said.code == 0
    assert "no line that begins with answer:" in said.err
