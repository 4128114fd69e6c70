"""`state/decisions/ID.md`: an answer is filled in, taken, and says so; what was typed is never lost (C11)."""

from __future__ import annotations

import pytest

from harness.model.decision import Deadline
from harness.model.outcome import Asked, Disposition
from harness.model.work import WorkState
from harness.ports import Settlement
from harness.store.decision_files import DecisionFiles, anything_filled
from harness.store.sqlite import SqliteStore
from tests.kit.stores import NOW, add, item, later, lease

QUESTION = "red or blue?\nanswer: yes\n\n---\n# no heading of ours"


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore(tmp_path / "state" / "harness.db")
    add(opened, item("a"))
    waits = Disposition(WorkState.WAITING, "needs a person")
    options = ("red", "blue\nanswer: red")
    asked = Settlement(
        Asked(QUESTION, options), waits, question=(QUESTION, options), deadline=Deadline(later(60), "skip")
    )
    opened.settle(lease(opened), asked, NOW)
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state" / "decisions"


@pytest.fixture
def files(store, folder):
    made = DecisionFiles(folder, store)
    made.export(NOW)
    return made


def fill(path, text: str) -> None:
    """As an editor saves it: what stands behind the last mark is replaced."""
    head = path.read_text().rpartition("answer:")[0]
    path.write_text(f"{head}answer: {text}")


def state(store) -> tuple[str, str | None]:
    [found] = store.decisions("a")
    return found.state, found.answer


def test_words_of_an_agent_are_never_taken_for_an_answer(store, files, folder):
    assert not anything_filled(folder)
    assert files.absorb(NOW, "eva") == []
    assert state(store) == ("open", None)
    text = (folder / "1.md").read_text()
    assert text.splitlines()[-1] == "answer: "
    assert "> answer: yes" in text


@pytest.mark.parametrize(
    ("typed", "taken"), [("2\n", "blue\nanswer: red"), ("Red", "red"), ("both\n\n  striped\n", "both\n\n  striped")]
)
def test_an_answer_is_taken_and_the_file_says_so(store, files, folder, typed, taken):
    fill(folder / "1.md", typed)
    assert anything_filled(folder)
    assert files.absorb(later(1), "eva") == []
    assert state(store) == ("answered", taken)
    typed_file = (folder / "1.md").read_text()
    files.export(later(1))
    closed = (folder / "closed" / "1.md").read_text()
    assert closed.startswith(typed_file)
    assert "answered by eva (file) at" in closed
    assert not (folder / "1.md").exists()
    [found] = store.decisions("a")
    assert (found.answered_by, found.via) == ("eva", "file")


def test_a_line_added_by_a_shell_is_an_answer(store, files, folder):
    with (folder / "1.md").open("a") as out:
        out.write("answer: red\n")
    files.absorb(NOW, "eva")
    assert state(store) == ("answered", "red")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no line that begins with answer:"),
        (b"answer: red\nanswer: blue\n", "it has 2 answers"),
        (b"answer: \xff\n", "not UTF-8 at byte 8"),
        (b"answer: a\0b\n", "no plain text"),
        (b"x" * ((1 << 20) + 1), "at most 1 MiB"),
    ],
)
def test_what_cannot_be_read_is_left_alone_and_named_once(store, files, folder, content, said):
    path, note = folder / "1.md", folder / "1.problem.txt"
    path.write_bytes(content)
    [problem] = files.absorb(NOW, "eva")
    assert said in problem
    assert said in note.read_text()
    assert files.absorb(later(1), "eva") == []
    files.export(later(1))
    assert path.read_bytes() == content
    assert state(store) == ("open", None)
    path.write_text("answer: red\n")
    assert files.absorb(later(2), "eva") == []
    assert state(store) == ("answered", "red")
    assert not note.exists()


def test_a_deleted_file_answers_nothing_and_is_written_again(files, store, folder):
    files.absorb(NOW, "eva")
    (folder / "1.md").unlink()
    files.absorb(NOW, "eva")
    files.export(NOW)
    assert (folder / "1.md").exists()
    assert state(store) == ("open", None)


def test_what_was_typed_while_somebody_else_answered_is_kept_and_said(store, files, folder):
    store.answer(1, "red", by="max", via="command", now=NOW)
    fill(folder / "1.md", "green\n")
    [problem] = files.absorb(NOW, "eva")
    assert "answered by max (command)" in problem
    files.export(NOW)
    closed = (folder / "closed" / "1.md").read_text()
    assert "answer: green" in closed
    assert closed.rstrip().endswith(": red")


def test_an_answer_typed_in_the_moment_of_the_deadline_counts(store, files, folder):
    files.absorb(NOW, "eva")
    fill(folder / "1.md", "red\n")
    store.expire(later(60))
    files.export(later(60))
    assert (folder / "1.md").exists(), "it was not looked at since it was filled in"
    files.absorb(later(61), "eva")
    assert state(store) == ("answered", "red")


def test_a_crash_between_the_answer_and_its_file_says_nothing_twice(store, files, folder):
    fill(folder / "1.md", "red\n")
    files.absorb(NOW, "eva")
    again = DecisionFiles(folder, store)
    assert again.absorb(NOW, "eva") == []
    again.export(NOW)
    assert "answer: red" in (folder / "closed" / "1.md").read_text()


def test_files_that_are_none_of_ours_are_left_alone(store, files, folder):
    (folder / "notes.md").write_text("answer: red\n")
    (folder / "99.md").write_text("answer: red\n")
    [problem] = files.absorb(NOW, "eva")
    assert "no such decision: 99" in problem
    files.export(NOW)
    assert sorted(path.name for path in folder.glob("*.md")) == ["1.md", "99.md", "notes.md"]


def test_where_nobody_asks_there_is_no_folder(tmp_path):
    with_nothing = SqliteStore(tmp_path / "other" / "harness.db")
    files = DecisionFiles(tmp_path / "other" / "decisions", with_nothing)
    assert files.absorb(NOW, "eva") == []
    files.export(NOW)
    assert not (tmp_path / "other" / "decisions").exists()
    with_nothing.close()
