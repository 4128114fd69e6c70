"""Questions to a person, in every store: one end each, and no way for an item to go on beside an open one (C11)."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.model.decision import Deadline
from harness.model.errors import NotFound, Refused, Usage
from harness.model.outcome import Asked, Disposition
from harness.model.work import WorkState
from harness.ports import Settlement
from tests.kit.stores import NOW, WORK, Sqlite, add, done, item, kinds, later, lease

S = WorkState
OPTIONS = ("red", "blue")


def ask(store, name: str = "a", options=OPTIONS, deadline: Deadline = Deadline(later(60), "skip"), now=NOW):  # noqa: B008 - a constant
    """A session of the item asks; the question's number."""
    held = lease(store, now=now)
    assert held.item.id == name
    waits = Disposition(S.WAITING, "needs a person: which?", continuation=WORK)
    store.settle(
        held, Settlement(Asked("which?", options), waits, question=("which?", options), deadline=deadline), now
    )
    return store.decisions(name)[-1].id


def answer(store, number: int, text: str = "red", **more):
    return store.answer(number, text, **{"by": "eva", "via": "command", "now": later(5), **more})


@pytest.mark.parametrize(
    ("typed", "taken"), [("red", "red"), ("2", "blue"), (" BLUE ", "blue"), ("3", "3"), ("no", "no")]
)
def test_an_answer_makes_the_item_ready_where_it_was(store, typed, taken):
    add(store, item("a"))
    number = ask(store)
    found = answer(store, number, typed)
    assert (found.state, found.answer, found.answered_by, found.via) == ("answered", taken, "eva", "command")
    assert found.answered_at == later(5)
    after = store.item("a")
    assert (after.state, after.attempts, after.continuation) == (S.READY, 0, WORK)
    assert after.reason == f"answered by eva: {taken}"
    assert kinds(store)[-2:] == ["decision.answered", "item.moved"]


def test_a_second_answer_is_refused_and_names_the_first(store):
    add(store, item("a"))
    number = ask(store)
    answer(store, number)
    with pytest.raises(Refused, match=r"answered by eva \(command\) at .*: red"):
        answer(store, number, "blue", by="max")
    assert store.decisions("a")[0].answer == "red"


def test_of_answers_of_one_moment_exactly_one_is_taken(maker: Sqlite):
    with maker.opened() as first:
        add(first, item("a"))
        number = ask(first)

    def race(person: int) -> bool:
        with maker.opened() as own:
            try:
                answer(own, number, f"answer {person}", by=f"person {person}")
            except Refused:
                return False
            return True

    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(race, range(6)))
    assert taken.count(True) == 1
    with maker.opened() as last:
        [found] = last.decisions("a")
        assert found.answer == f"answer {taken.index(True)}"
        assert [entry.kind for entry in last.journal()].count("decision.answered") == 1


@pytest.mark.parametrize("text", ["", "  \n", "x\0y", "x" * 20_001, "\ud800"])
def test_what_is_no_answer_is_refused(store, text):
    add(store, item("a"))
    number = ask(store)
    with pytest.raises(Usage):
        answer(store, number, text)
    assert store.decisions("a")[0].state == "open"


def test_an_option_that_is_a_command_is_not_taken_as_an_answer_but_words_are(store):
    add(store, item("a"))
    number = ask(store, options=("approve: ./loop merge apply a", "send it back: ./loop queue retry a"))
    for typed in ("1", "approve"):
        with pytest.raises(Refused) as caught:
            answer(store, number, typed)
        assert caught.value.hint == "./loop merge apply a"
    assert answer(store, number, "call it b").answer == "call it b"


def test_nobody_knows_a_question_that_was_never_asked(store):
    with pytest.raises(NotFound):
        answer(store, 7)


# --- deadlines --------------------------------------------------------------------------------------------------------


def test_what_nobody_answers_is_skipped_once_its_time_is_over(store):
    add(store, item("a"), item("waits", depends_on=("a",)))
    ask(store)
    assert store.next_deadline() == later(60)
    assert store.expire(later(59)) == []
    [found] = store.expire(later(60))
    assert (found.state, found.reason) == ("skipped", "nobody answered decision 1 in time")
    assert (store.item("a").state, store.item("waits").state) == (S.CANCELLED, S.BLOCKED)
    assert store.item("a").reason == "skipped: nobody answered decision 1 in time: which?"
    assert (store.expire(later(61)), store.next_deadline()) == ([], None)


def test_a_late_answer_brings_a_skipped_item_back(store):
    add(store, item("a"))
    number = ask(store)
    store.expire(later(60))
    assert answer(store, number, now=later(99)).state == "answered"
    assert (store.item("a").state, store.item("a").continuation) == (S.READY, WORK)


def test_an_item_that_went_another_way_since_takes_no_late_answer(store):
    add(store, item("a"))
    number = ask(store)
    store.expire(later(60))
    store.move("a", S.READY, "retried", actor="eva", now=later(70))
    with pytest.raises(Refused, match="is skipped at"):
        answer(store, number, now=later(99))


@pytest.mark.parametrize(
    ("deadline", "options", "state", "reply"),
    [
        (Deadline(later(60), "default"), OPTIONS, S.READY, "red"),
        (Deadline(later(60), "hold"), OPTIONS, S.WAITING, None),
        (Deadline(), OPTIONS, S.WAITING, None),
    ],
)
def test_by_default_or_not_at_all(store, deadline, options, state, reply):
    add(store, item("a"))
    ask(store, options=options, deadline=deadline)
    store.expire(later(9999))
    [found] = store.decisions("a")
    assert (store.item("a").state, found.answer) == (state, reply)
    assert found.via == ("deadline" if reply else None)


def test_a_clock_that_was_set_back_makes_no_deadline_longer(store):
    add(store, item("a"))
    ask(store)
    assert store.begin_waits_anew(later(-3600)) == 1
    assert store.next_deadline() == later(-3540)
    assert store.begin_waits_anew(later(-3600)) == 0


# --- what else may become of the item ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [S.READY, S.PARKED, S.CANCELLED])
def test_an_item_that_goes_on_without_an_answer_closes_its_question(store, state):
    add(store, item("a"))
    number = ask(store)
    store.move("a", state, "because", actor="max", now=later(3))
    [found] = store.decisions("a")
    assert (found.state, found.reason, found.answered_by, found.answered_at) == ("closed", "because", "max", later(3))
    with pytest.raises(Refused, match=r"closed at .*: because"):
        answer(store, number)
    assert store.expire(later(99)) == []


def test_who_takes_the_item_takes_its_question(store):
    add(store, item("a"))
    ask(store)
    store.take("a", "max", actor="max", now=later(3))
    assert store.decisions("a")[0].state == "closed"


def test_merged_by_hand_is_an_end_of_the_question_too(store):
    add(store, item("a"))
    ask(store)
    store.settle_held("a", S.DONE, "merged", "verified", later(3))
    assert store.decisions("a")[0].state == "closed"


def test_an_item_asks_again_and_again(store):
    add(store, item("a"))
    first = ask(store)
    answer(store, first)
    second = ask(store, now=later(10))
    assert second > first
    answer(store, second, "blue")
    store.settle(lease(store, now=later(20)), done(), later(20))
    assert [(each.state, each.answer) for each in store.decisions("a")] == [("answered", "red"), ("answered", "blue")]


def test_the_database_refuses_a_second_end(maker: Sqlite):
    with maker.opened() as store:
        add(store, item("a"))
        number = ask(store)
        answer(store, number)
    with sqlite3.connect(maker.path) as shell, pytest.raises(sqlite3.IntegrityError, match="a question has one end"):
        shell.execute("UPDATE decisions SET answer = 'blue' WHERE id = ?", (number,))
