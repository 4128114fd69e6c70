"""`state/queue.json`: what is written over it is the wished queue (contract 2, H6, H47)."""

from __future__ import annotations

import hashlib
import json

import pytest

from harness.model.itemform import Form
from harness.model.work import WorkState
from harness.store.mirror import QueueMirror, listing
from harness.store.sqlite import SqliteStore
from tests.kit.stores import NOW, RULES, WORK, add, back, done, item, later, lease

S = WorkState
FORM = Form(repositories=("app",), lanes={"default": 0, "sweep": 720})


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore(tmp_path / "state" / "harness.db")
    yield opened
    opened.close()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state" / "queue.json"


@pytest.fixture
def mirror(store, file):
    return QueueMirror(file, store)


def read(file):
    return json.loads(file.read_text())


def write(file, value):
    """As a shell does it: the same file, truncated and written."""
    with file.open("w") as out:
        out.write(value if isinstance(value, str) else json.dumps(value))


def absorb(mirror, form=FORM):
    return mirror.absorb(NOW, "eva", form)


# --- out --------------------------------------------------------------------------------------------------------------


def test_the_mirror_shows_unfinished_items_in_order_in_the_words_of_the_guide(store, mirror, file):
    add(store, item("b", priority=33), item("a", kind="bug", repo="app", priority=0, extra={"ticket": 7}))
    add(store, item("over", priority=99))
    store.move("over", S.CANCELLED, "", actor="me", now=NOW)
    assert mirror.export(NOW)
    first, second = read(file)
    assert first == {
        "id": "a",
        "type": "bug",
        "title": "title of a",
        "description": "",
        "priority": "critical",
        "rig": "app",
        "lane": "default",
        "state": "ready",
        "reason": "",
        "attempts": 0,
        "max_attempts": 3,
        "fence": 0,
        "ticket": 7,
    }
    assert (second["id"], second["priority"]) == ("b", 33)
    assert file.read_text().startswith("[\n  {\n    ")


def test_it_is_written_when_something_changed_and_at_most_once_a_second(store, mirror, file):
    assert mirror.export(NOW)
    assert read(file) == []
    assert not mirror.export(later(60))
    add(store, item("a"))
    assert mirror.export(later(61))
    add(store, item("b"))
    assert not mirror.export(later(61.5))
    assert mirror.export(later(90))
    assert [row["id"] for row in read(file)] == ["a", "b"]
    store.begin_run("r", pid=1, version="1", now=NOW)
    assert not mirror.export(later(120))


def test_a_deleted_mirror_is_written_again_and_cancels_nothing(store, mirror, file):
    add(store, item("a"))
    mirror.export(NOW)
    file.unlink()
    assert not absorb(mirror)
    assert mirror.export(later(60))
    assert store.item("a").state is S.READY


def test_what_the_mirror_wrote_is_no_wish(store, mirror, file):
    add(store, item("a"))
    mirror.export(NOW)
    assert not absorb(mirror)
    assert not absorb(QueueMirror(file, store))


def test_the_mirror_never_writes_over_an_edit(store, mirror, file):
    add(store, item("a"))
    mirror.export(NOW)
    write(file, [{"id": "mine", "title": "x"}])
    add(store, item("b"))
    assert not mirror.export(later(60))
    assert read(file) == [{"id": "mine", "title": "x"}]


# --- in ---------------------------------------------------------------------------------------------------------------


def test_a_list_without_ids_written_before_the_first_start_is_added(store, mirror, file):
    write(file, [{"type": "test", "title": "One", "priority": "high", "rig": "app"}, {"title": "Two", "note": "n"}])
    taken = absorb(mirror)
    assert len(taken.added) == 2
    one, two = (store.item(name) for name in taken.added)
    assert (one.kind, one.priority, one.repo, two.extra) == ("test", 20, "app", {"note": "n"})
    assert one.id.startswith("wrk_")
    assert not absorb(mirror)
    assert mirror.export(later(1))
    assert [row["id"] for row in read(file)] == [one.id, two.id]
    assert not absorb(mirror)


def test_two_programs_that_absorb_at_once_add_a_list_once(store, mirror, file, tmp_path):
    write(file, [{"title": "One"}])
    other_store = SqliteStore(tmp_path / "state" / "harness.db")
    other = QueueMirror(file, other_store)
    assert len(absorb(mirror).added) == 1
    assert not absorb(other)
    assert store.counts()[S.READY] == 1
    other_store.close()


def test_known_items_get_what_was_changed_and_keep_the_rest(store, mirror, file):
    add(store, item("a", description="long", extra={"x": 1}), item("b"))
    mirror.export(NOW)
    rows = read(file)
    rows[0] |= {"priority": "critical", "title": "New", "x": 2, "y": 3}
    rows[1] = {"id": "b"}
    write(file, rows)
    taken = absorb(mirror)
    assert (taken.updated, taken.cancelled, taken.reported) == (["a"], [], [])
    found = store.item("a")
    assert (found.title, found.priority, found.description, found.extra) == ("New", 0, "long", {"x": 2, "y": 3})
    assert found.rank_at == NOW
    assert store.item("b").title == "title of b"


def test_a_changed_lane_moves_the_item_by_the_handicap(store, mirror, file):
    add(store, item("a"))
    mirror.export(NOW)
    before = store.item("a").rank_at
    write(file, [{**read(file)[0], "lane": "sweep"}])
    assert absorb(mirror).updated == ["a"]
    assert (store.item("a").rank_at - before).total_seconds() == 720 * 3600


def test_what_somebody_else_changed_meanwhile_is_kept_and_said(store, mirror, file):
    add(store, item("a"))
    mirror.export(NOW)
    store.update("a", {"priority": 80}, actor="other", now=NOW)
    write(file, [{**read(file)[0], "priority": "critical", "title": "New"}])
    taken = absorb(mirror)
    assert (store.item("a").priority, store.item("a").title) == (80, "New")
    assert taken.reported == ["a: priority was changed meanwhile to 80; that is kept"]


def test_missing_items_that_never_started_are_cancelled_and_can_be_brought_back(store, mirror, file):
    add(store, item("keep"), item("gone"), item("waits", depends_on=("gone",)))
    mirror.export(NOW)
    whole = file.read_text()
    write(file, [row for row in read(file) if row["id"] == "keep"])
    taken = absorb(mirror)
    assert sorted(taken.cancelled) == ["gone", "waits"]
    [backup] = (file.parent / "backups").glob("queue-*.json")
    assert backup.read_text() == whole
    assert taken.detail == f"2 cancelled; undo: cp {backup} {file}"
    mirror.export(later(60))
    write(file, backup.read_text())
    again = absorb(mirror)
    assert sorted(again.added) == ["gone", "waits"]
    assert (store.item("gone").state, store.item("waits").state) == (S.READY, S.BLOCKED)


def test_an_empty_list_empties_the_queue_each_time(store, mirror, file):
    for turn in range(3):
        add(store, item(f"a{turn}"))
        mirror.export(later(60 * turn))
        write(file, "[]\n")
        assert absorb(mirror).cancelled == [f"a{turn}"]
        mirror.export(later(60 * turn + 30))
        assert read(file) == []


def test_running_and_started_items_are_left_alone(store, mirror, file):
    add(store, item("run"), item("started"), item("fresh"))
    running = lease(store)
    store.settle(lease(store), back(WORK), NOW)
    mirror.export(NOW)
    write(file, "[]")
    taken = absorb(mirror)
    assert taken.cancelled == ["fresh"]
    assert (store.item("run").state, store.item("started").state) == (S.LEASED, S.READY)
    assert len(taken.reported) == 2
    assert "./loop queue remove started" in " ".join(taken.reported)
    store.settle(running, done(), NOW)


def test_finished_ids_are_reported_and_not_added_again(store, mirror, file):
    add(store, item("test-001"))
    store.settle(lease(store), done(), NOW)
    mirror.export(NOW)
    write(file, [{"id": "test-001", "title": "Again"}])
    taken = absorb(mirror)
    assert (taken.added, taken.updated) == ([], [])
    assert taken.reported == ["test-001 exists: done; ./loop queue retry test-001"]
    assert store.lease("a", RULES, NOW) is None


def test_a_state_is_not_set_in_the_file(store, mirror, file):
    add(store, item("a"))
    mirror.export(NOW)
    write(file, [{**read(file)[0], "state": "done", "fence": 9}])
    assert "state is not changed here" in absorb(mirror).reported[0]
    assert (store.item("a").state, store.item("a").fence) == (S.READY, 0)


def test_items_of_a_file_may_depend_on_one_another_in_any_order(store, mirror, file):
    write(file, {"items": [{"id": "b", "title": "B", "depends_on": ["a"]}, {"id": "a", "title": "A"}]})
    assert sorted(absorb(mirror).added) == ["a", "b"]
    assert store.item("b").state is S.BLOCKED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1, column 1: a list was expected"),
        ("[{", "line 1, column 3"),
        ('[{"title": "x"},]', "a comma before the end"),
        ('[{"title": "x"} {"title": "y"}]', "a comma or the end of the list was expected"),
        ("[] []", "something after the end of the list"),
        ('"text"', "a list was expected"),
        ('{"id": "a"}', "an object without a list of items"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        ('[{"title": "x"}, 7]', "item 2: an item is an object, not 7"),
        ('[{"id": "a", "title": "x"}, {"id": "a", "title": "y"}]', "item 2 (a): a stands in the file twice"),
        ('[{"id": "a"}]', "item 1 (a): an item needs a title"),
        ('[{"title": "x", "rig": "apps"}]', "no repository is called 'apps' (did you mean app?)"),
        ('[{"title": "x", "lane": "fast"}]', "no lane is called 'fast'"),
        ('[{"title": "x", "priority": "urgent"}]', "not a priority: 'urgent'"),
        ('[{"id": "a", "title": "x", "depends_on": ["zz"]}]', "a depends on zz, which does not exist"),
    ],
)
def test_a_file_that_cannot_be_taken_is_left_alone_and_named(store, mirror, file, text, said):
    add(store, item("old"))
    mirror.export(NOW)
    raw = text if isinstance(text, bytes) else text.encode()
    file.write_bytes(raw)
    taken = absorb(mirror)
    assert said in taken.problems[0]
    assert said in mirror.problem.read_text()
    assert not absorb(mirror)
    assert not mirror.export(later(60))
    assert file.read_bytes() == raw
    assert [found.id for found in store.items()] == ["old"]
    write(file, [{"id": "old"}, {"id": "good", "title": "x"}])
    assert absorb(mirror).added == ["good"]
    assert not mirror.problem.exists()
    assert mirror.export(later(61))


def test_a_crash_between_base_and_file_is_no_edit(store, mirror, file):
    """What a killed export leaves: the new base is on record, the file is still the old one."""
    add(store, item("a"))
    mirror.export(NOW)
    digest, base = store.mirror_base("queue.json")
    add(store, item("b"))
    newer = json.dumps([*json.loads(base), {"id": "b", "title": "title of b"}])
    store.keep_mirror_base("queue.json", f"{'0' * 64} {digest}", newer, NOW)
    again = QueueMirror(file, store)
    assert not absorb(again)
    assert again.export(later(60))
    assert [row["id"] for row in read(file)] == ["a", "b"]


def test_an_edit_that_meets_the_export_in_the_same_instant_is_kept(store, mirror, file):
    add(store, item("a"))
    mirror.export(NOW)
    add(store, item("b"))

    class Racing(SqliteStore):
        """An operator writes after the last look at the file and before it is replaced."""

        def keep_mirror_base(self, *arguments):
            super().keep_mirror_base(*arguments)
            write(file, [{"id": "mine", "title": "x"}])

    racing = Racing(store.path)
    assert not QueueMirror(file, racing).export(later(60))
    assert read(file) == [{"id": "mine", "title": "x"}]
    assert "mine" in absorb(mirror).added
    assert not list(file.parent.glob("*.aside"))
    racing.close()


def test_what_was_taken_is_in_the_journal_with_the_way_back(store, mirror, file):
    add(store, item("gone"))
    mirror.export(NOW)
    write(file, [{"id": "new", "title": "x"}])
    absorb(mirror)
    [told] = [entry for entry in store.journal() if entry.kind == "queue.absorbed"]
    assert told.actor == "eva"
    assert (told.data["added"], told.data["cancelled"]) == (["new"], ["gone"])
    assert "undo: cp" in told.data["detail"]


def test_a_long_list_is_taken_whole(store, mirror, file):
    write(file, [{"id": f"i{number}", "title": "x"} for number in range(12_000)])
    assert len(absorb(mirror).added) == 12_000
    assert mirror.export(later(1))
    rows = read(file)
    assert (len(rows), rows[0]["id"], rows[-1]["id"]) == (10_000, "i0", "i9999")
    write(file, rows[1:])
    assert absorb(mirror).cancelled == ["i0"]
    assert store.item("i11999").state is S.READY


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"id": "a"}],
        [{"id": "a", "t": "ä\n", "n": None}, {"id": "b", "l": []}],
        [{"l": ["x", "y"], "d": {"k": [1]}}],
    ],
)
def test_the_mirror_is_laid_out_as_people_know_json(rows):
    assert listing(rows) == json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def full(store, file, monkeypatch):
    """A mirror of three items, of which no more are shown, as each command makes its own."""
    monkeypatch.setattr("harness.store.mirror.MIRRORED", 3)
    add(store, *(item(name, priority=50) for name in "abc"))
    assert QueueMirror(file, store).export(NOW)
    return lambda: QueueMirror(file, store).export(NOW)


def test_what_comes_behind_a_full_mirror_does_not_write_it_anew(store, file, monkeypatch):
    export, looked = full(store, file, monkeypatch), []
    monkeypatch.setattr(store, "items", lambda **_: looked.append(1) or ())
    add(store, item("behind", priority=50), item("too", priority=99))
    assert not export()
    assert not looked
    monkeypatch.undo()
    assert [row["id"] for row in read(file)] == ["a", "b", "c"]


def test_what_is_looked_at_again_after_each_of_them_is_bounded(store, file, monkeypatch):
    export = full(store, file, monkeypatch)
    monkeypatch.setattr("harness.store.mirror._LOOKED_AT", 2)
    for number in range(5):
        add(store, item(f"behind-{number}", priority=99))
        assert not export()
    _digest, head, last = store.mirror_reach()
    assert store.journal_head() - head <= 2
    assert last == "c"


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (lambda store: add(store, item("first", priority=0)), ["first", "a", "b"]),
        (lambda store: store.move("b", S.CANCELLED, "", actor="me", now=NOW), ["a", "c", "behind"]),
        (lambda store: store.update("behind", {"priority": 0}, actor="me", now=NOW), ["behind", "a", "b"]),
        (lambda store: store.update("c", {"title": "Other"}, actor="me", now=NOW), ["a", "b", "c"]),
        (lease, ["a", "b", "c"]),
    ],
)
def test_what_happens_within_a_full_mirror_writes_it_anew(store, file, monkeypatch, change, shown):
    export = full(store, file, monkeypatch)
    add(store, item("behind", priority=50))
    assert not export()
    change(store)
    assert export()
    assert [row["id"] for row in read(file)] == shown


def test_a_full_mirror_that_another_database_knows_is_written_anew(store, file, monkeypatch):
    """After a restore the file is of a later queue than what the database says about it."""
    export = full(store, file, monkeypatch)
    text = "[]\n"
    file.write_text(text)
    store.keep_mirror_base(file.name, hashlib.sha256(text.encode()).hexdigest(), "[]", NOW)
    assert export()
    assert len(read(file)) == 3
