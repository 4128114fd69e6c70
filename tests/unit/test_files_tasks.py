"""`tasks/{backlog,active,completed}.md`: the queue as people write it, both directions, no line lost (R4, R12)."""

from __future__ import annotations

import os
import time

import pytest

from harness.model.itemform import Form
from harness.model.outcome import Claimed, Disposition
from harness.model.work import WorkState
from harness.ports import Settlement
from harness.store.sqlite import SqliteStore
from harness.store.task_files import Pages
from tests.kit.stores import NOW, RULES, WORK, add, back, item, later, lease

S = WorkState
FORM = Form(repositories=("app",))
TASK = """\
### [task-NNN] Mend the parser
- **repo**: app
- **type**: bug-fix
- **priority**: high
- **assigned**: unassigned
- **description**: It fails on tabs.
A line of my own.

"""


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore(tmp_path / "state" / "harness.db")
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "tasks"
    made.mkdir()
    return made


@pytest.fixture
def files(store, folder, tmp_path):
    made = Pages(folder, tmp_path / "state", store)
    made.begin(NOW)
    return made


def page(folder, name: str) -> str:
    path = folder / f"{name}.md"
    return path.read_text() if path.exists() else ""


def edit(folder, name: str, text: str, *, age: float = 60) -> None:
    """As an editor saves it, a minute ago."""
    path = folder / f"{name}.md"
    path.write_text(text)
    os.utime(path, (time.time() - age, time.time() - age))


def absorb(files, **more):
    return files.absorb(NOW, "eva", FORM, **more)


seconds = iter(range(10, 100_000, 10))


def export(files) -> bool:
    return files.export(later(next(seconds)), "loop")


def both(files):
    taken = absorb(files)
    export(files)
    return taken


# --- in ---------------------------------------------------------------------------------------------------------------


def test_nothing_exists_until_somebody_asks(store, tmp_path):
    quiet = Pages(tmp_path / "tasks", tmp_path / "state", store)
    add(store, item("a"))
    assert not absorb(quiet)
    assert not export(quiet)
    assert not (tmp_path / "tasks").exists()


def test_a_task_typed_in_the_documented_shape_becomes_an_item_and_gets_its_id(store, files, folder):
    edit(folder, "backlog", f"# My backlog\n\nSome words.\n\n{TASK}")
    taken = both(files)
    assert (taken.added, taken.problems) == (["task-001"], [])
    found = store.item("task-001")
    assert (found.title, found.kind, found.repo, found.priority, found.assigned) == (
        "Mend the parser", "bug-fix", "app", 20, None,
    )  # fmt: skip
    assert found.description == "It fails on tabs.\n\nA line of my own."
    assert page(folder, "backlog") == f"# My backlog\n\nSome words.\n\n{TASK.replace('task-NNN', 'task-001')}"
    assert not both(files)


def test_ids_are_given_once_and_never_one_that_exists(store, files, folder):
    add(store, item("task-007"), item("task-x"))
    edit(folder, "backlog", f"{TASK}{TASK}### [task-009] Named\n- **repo**: app\n")
    assert sorted(both(files).added) == ["task-008", "task-009", "task-010"]
    assert len(store.items()) == 5


def test_a_changed_field_is_wished_and_the_rest_stays(store, files, folder):
    edit(folder, "backlog", TASK)
    both(files)
    edit(folder, "backlog", page(folder, "backlog").replace("high", "LOW").replace("Mend the parser", "Mend it"))
    assert both(files).updated == ["task-001"]
    found = store.item("task-001")
    assert (found.priority, found.title) == (80, "Mend it")
    assert "- **priority**: LOW\n" in page(folder, "backlog")


def test_a_field_that_was_changed_meanwhile_is_kept_and_what_was_typed_is_a_copy(store, files, folder, tmp_path):
    edit(folder, "backlog", TASK)
    both(files)
    store.update("task-001", {"priority": 0}, actor="other", now=NOW)
    edit(folder, "backlog", page(folder, "backlog").replace("high", "low").replace("of my own", "of mine"))
    taken = both(files)
    assert taken.reported == ["task-001: priority was changed meanwhile to 0; that is kept"]
    assert store.item("task-001").priority == 0
    assert "A line of mine" in store.item("task-001").description
    [copy] = (tmp_path / "state" / "conflicts").iterdir()
    assert "- **priority**: low" in copy.read_text()
    assert str(copy) in taken.detail
    assert "- **priority**: critical" in page(folder, "backlog")


def test_a_task_taken_off_the_page_is_cancelled_once_the_page_is_settled(store, files, folder, tmp_path):
    edit(folder, "backlog", TASK + TASK.replace("parser", "lexer"))
    both(files)
    whole = page(folder, "backlog")
    first = whole[: whole.index("### [task-002]")]
    edit(folder, "backlog", first, age=0)
    assert not absorb(files)
    assert store.item("task-002").state is S.READY
    edit(folder, "backlog", first)
    taken = absorb(files)
    assert taken.cancelled == ["task-002"]
    [copy] = (tmp_path / "state" / "conflicts").iterdir()
    assert copy.read_text() == whole
    edit(folder, "backlog", whole)
    assert both(files).added == ["task-002"]
    assert store.item("task-002").state is S.READY


def test_a_started_task_is_not_cancelled_by_its_absence(store, files, folder):
    edit(folder, "backlog", TASK)
    both(files)
    store.settle(lease(store), back(WORK), NOW)
    export(files)
    edit(folder, "active", "# Active\n")
    assert both(files).reported == ["task-001 was started and is kept; ./loop queue remove task-001"]
    assert "### [task-001]" in page(folder, "active")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TASK.replace("high", "urgent"), "tasks/backlog.md, line 1: not a priority: 'urgent'"),
        (TASK.replace("app", "apps"), "no repository is called 'apps' (did you mean app?)"),
        (TASK.replace("task-NNN", "a/b"), "line 1: not an item id: 'a/b'"),
        (TASK.replace("task-NNN", "x") + TASK.replace("task-NNN", "x"), "x stands twice"),
        (TASK.replace("task-NNN", "x") + "- **depends_on**: zz\n", "x depends on zz, which does not exist"),
        (TASK.replace("task-NNN", "x") + "- **depends_on**: x\n", "x -> x"),
        (b"\xff", "not UTF-8 at byte 0"),
        ("", "backlog.md is empty"),
    ],
)
def test_pages_that_cannot_be_taken_are_left_alone_and_named_once(store, files, folder, text, said):
    edit(folder, "backlog", TASK)
    both(files)
    path = folder / "backlog.md"
    raw = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(raw)
    [problem] = absorb(files, at_once=True).problems
    assert said in problem
    assert problem in (folder / "backlog.md.problem.txt").read_text()
    assert not absorb(files, at_once=True)
    assert not export(files)
    assert path.read_bytes() == raw
    assert [found.id for found in store.items()] == ["task-001"]
    edit(folder, "backlog", TASK.replace("task-NNN", "task-001"))
    both(files)
    assert not (folder / "backlog.md.problem.txt").exists()


def test_a_cycle_is_named(store, files, folder):
    edit(folder, "backlog", "".join(
        f"### [{one}] T\n- **depends_on**: {other}\n" for one, other in (("a", "b"), ("b", "a"))
    ))  # fmt: skip
    [problem] = absorb(files).problems
    assert "a -> b -> a" in problem or "b -> a -> b" in problem
    assert store.items() == []


# --- from page to page ------------------------------------------------------------------------------------------------


def move(folder, task: str, source: str, target: str, **changes: str) -> None:
    """Cut and pasted by hand, the paste saved last."""
    whole = page(folder, source)
    begins = whole.index(f"### [{task}]")
    ends = whole.find("### [", begins + 5)
    block = whole[begins : ends if ends > 0 else len(whole)]
    for old, new in changes.items():
        block = block.replace(old, new)
    edit(folder, source, whole.replace(whole[begins : ends if ends > 0 else len(whole)], ""))
    edit(folder, target, f"{page(folder, target)}\n{block}")


def test_moving_a_block_to_active_starts_it_as_a_person(store, files, folder):
    edit(folder, "backlog", f"# B\n{TASK}")
    both(files)
    move(folder, "task-001", "backlog", "active", unassigned="max")
    taken = both(files)
    found = store.item("task-001")
    assert (taken.cancelled, taken.updated) == ([], ["task-001"])
    assert (found.state, found.by_hand, found.assigned) == (S.WAITING, True, "max")
    assert "A line of my own." in page(folder, "active")
    assert "task-001" not in page(folder, "backlog")
    assert "- **assigned**: max\n" in page(folder, "active")


def test_moving_a_block_to_completed_completes_it(store, files, folder):
    add(store, item("waits"))
    edit(folder, "backlog", f"# B\n{TASK}")
    both(files)
    store.update("waits", {"depends_on": ("task-001",)}, actor="t", now=NOW)
    move(folder, "task-001", "backlog", "completed", **{"A line": "- **summary**: by hand\nA line"})
    both(files)
    found = store.item("task-001")
    assert (found.state, found.reason, found.outcome) == (S.DONE, "completed by eva: by hand", "claimed")
    assert store.item("waits").state is S.READY
    log = page(folder, "completed")
    assert "- **completed**: 2026-01-27" in log
    assert "A line of my own." in log


@pytest.mark.parametrize("first", ["backlog", "active"])
def test_cut_and_paste_may_be_saved_in_either_order(store, files, folder, first):
    edit(folder, "backlog", f"# B\n{TASK}")
    both(files)
    block = page(folder, "backlog").removeprefix("# B\n")
    steps = {"backlog": lambda: edit(folder, "backlog", "# B\n"),
             "active": lambda: edit(folder, "active", page(folder, "active") + block)}  # fmt: skip
    steps[first]()
    both(files)
    steps.pop(first)
    # the other page may have been put right by us meanwhile
    if first == "backlog":
        steps["active"]()
    both(files)
    assert store.item("task-001").by_hand
    assert page(folder, "active").count("### [task-001]") == 1
    assert "task-001" not in page(folder, "backlog")


def test_what_the_loop_works_on_is_not_moved_by_hand(store, files, folder, tmp_path):
    edit(folder, "backlog", f"# B\n{TASK}")
    both(files)
    lease(store)
    export(files)
    move(folder, "task-001", "active", "completed")
    taken = both(files)
    assert "is being worked on" in " ".join(taken.reported)
    assert store.item("task-001").state is S.LEASED
    assert page(folder, "active").count("### [task-001]") == 1
    assert "task-001" not in page(folder, "completed")


# --- out --------------------------------------------------------------------------------------------------------------


def test_the_loop_writes_assigned_branch_date_and_summary_and_moves_the_block(store, files, folder):
    edit(folder, "backlog", f"# B\n{TASK}")
    both(files)
    held = lease(store)
    export(files)
    active = page(folder, "active")
    assert "- **assigned**: loop\n" in active
    assert "- **branch**: refs/harness/task-001/sealed\n" in active
    assert "A line of my own." in active
    store.settle(held, Settlement(Claimed("c0ffee"), Disposition(S.DONE, "verified: tests")), later(5))
    export(files)
    log = page(folder, "completed")
    assert "- **completed**: 2026-01-27" in log
    assert "- **summary**: verified: tests\n" in log
    assert "A line of my own." in log
    assert "task-001" not in page(folder, "active") + page(folder, "backlog")
    assert not both(files)


def test_items_from_elsewhere_get_a_block_and_what_waits_says_so(store, files, folder):
    add(store, item("wrk_1", description="two\n\nparts", assigned="max"), item("b", depends_on=()))
    export(files)
    text = page(folder, "backlog")
    assert text.startswith("# Backlog\n\n### [wrk_1] title of wrk_1\n")
    assert "- **assigned**: max\n- **description**: two\n  parts\n" in text
    store.move("b", S.PARKED, "not now", actor="t", now=NOW)
    export(files)
    assert "- **status**: parked: not now\n" in page(folder, "active")
    assert not both(files)
    assert store.item("wrk_1").description == "two\n\nparts"


def test_a_page_that_was_deleted_is_written_again_and_cancels_nothing(store, files, folder):
    edit(folder, "backlog", f"# B\n{TASK}")
    both(files)
    before = page(folder, "backlog")
    (folder / "backlog.md").unlink()
    both(files)
    assert page(folder, "backlog") == before
    assert store.item("task-001").state is S.READY


def test_an_edit_is_never_written_over(store, files, folder):
    edit(folder, "backlog", TASK)
    both(files)
    edit(folder, "backlog", page(folder, "backlog") + "\nA thought.\n")
    add(store, item("b"))
    assert not export(files)
    assert "A thought." in page(folder, "backlog")
    both(files)
    assert "A thought." in page(folder, "backlog")
    assert "### [b]" in page(folder, "backlog")


def test_a_crash_before_the_ids_are_on_the_page_gives_no_second_ones(store, files, folder, tmp_path):
    edit(folder, "backlog", TASK)
    absorb(files)
    again = Pages(folder, tmp_path / "state", store)
    assert not absorb(again)
    export(again)
    assert [found.id for found in store.items()] == ["task-001"]
    assert "### [task-001]" in page(folder, "backlog")


def test_a_finished_task_that_is_retried_comes_back(store, files, folder):
    edit(folder, "backlog", f"# B\n{TASK}")
    both(files)
    store.settle(lease(store), Settlement(Claimed("c"), Disposition(S.DONE, "claimed")), NOW)
    export(files)
    store.move("task-001", S.READY, "again", actor="t", now=NOW)
    export(files)
    assert "### [task-001]" in page(folder, "active")
    assert "task-001" not in page(folder, "completed")
    assert store.lease("a", RULES, NOW) is not None
