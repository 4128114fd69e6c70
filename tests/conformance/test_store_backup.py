"""A backup is whole under its name or not there, whatever happens while it is made (H25)."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from harness.model.errors import DiskFull, HarnessError, NotFound, Refused, StoreError, Usage
from harness.model.retention import Kept, Shelf, backups_to_drop
from harness.store import backup_shelf, schema
from harness.store.backup import Backup, Order, create
from harness.store.sqlite import SqliteStore
from tests.kit.stores import NOW, add, item

ORDER = Order("operator", NOW)
STEPS = ("begun", "copying", "copied", "file", "manifest", "named", "done")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "harness.db"


@pytest.fixture
def shelf(path: Path) -> Path:
    return path.parent / "backups"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    add(opened, item("a"), item("b"))
    yield opened
    opened.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text("harness: {}\n")
    return file


def ids(backup: Backup) -> list[str]:
    reader = SqliteStore(backup.database, read_only=True)
    try:
        return [found.id for found in reader.items()]
    finally:
        reader.close()


def names(shelf: Path) -> list[str]:
    return sorted(each.name for each in shelf.iterdir())


def test_a_backup_has_one_moment_of_a_database_that_is_written_meanwhile(
    store: SqliteStore, path: Path, shelf: Path, config: Path
) -> None:
    def write(step: str) -> None:
        if step == "copying":
            add(store, item("later"))

    made = create(path, shelf, replace(ORDER, step=write, files={"config.yaml": config}, tag="before", commit="c0ffee"))
    assert (made.id, made.tag, made.commit, made.items) == ("20260127T220000Z-before", "before", "c0ffee", 2)
    assert (made.schema, made.bytes > 10_000, sorted(made.files)) == (
        schema.VERSION, True, ["config.yaml", "harness.db"],
    )  # fmt: skip
    assert backup_shelf.faults(made) == []
    assert ids(made) == ["a", "b"]
    assert len(store.items()) == 3
    assert names(made.folder) == ["backup.json", "config.yaml", "harness.db"]
    assert {oct(each.stat().st_mode & 0o777) for each in made.folder.iterdir()} == {"0o600"}


@pytest.mark.parametrize("last", STEPS)
def test_a_process_that_is_killed_leaves_nothing_half_under_a_good_name(
    store: SqliteStore, path: Path, shelf: Path, config: Path, last: str
) -> None:
    before = create(path, shelf, ORDER)
    order = replace(ORDER, now=NOW + timedelta(hours=1), files={"config.yaml": config})
    child = os.fork()
    if child == 0:
        create(path, shelf, replace(order, step=lambda step: os._exit(9) if step == last else None))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    found, broken = backup_shelf.listed(shelf)
    assert broken == []
    assert [backup_shelf.faults(each) for each in found] == [[]] * len(found)
    assert [each.id for each in found][-1:] == [before.id]
    assert len(found) == (2 if last == "done" else 1)
    again = create(path, shelf, order)
    assert [name for name in names(shelf) if name.startswith(".")] == []
    assert ids(again) == ["a", "b"]


@pytest.mark.parametrize("last", STEPS[:-1])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_leaves_nothing_and_says_what_failed(
    store: SqliteStore, path: Path, shelf: Path, config: Path, last: str, number: int
) -> None:
    before = create(path, shelf, ORDER)

    def fail(step: str) -> None:
        if step == last:
            raise OSError(number, os.strerror(number))

    with pytest.raises(DiskFull if number == errno.ENOSPC else HarnessError) as caught:
        create(path, shelf, replace(ORDER, step=fail, files={"config.yaml": config}))
    assert caught.value.hint
    assert names(shelf) == [before.id]
    add(store, item("c"))


def test_a_file_that_may_not_grow_is_a_full_disk_or_a_disk_error_and_nothing_is_left(
    store: SqliteStore, path: Path, shelf: Path
) -> None:
    add(store, item("big", description="x" * 2_000_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512 * 1024, hard))
    try:
        with pytest.raises(StoreError) as caught:
            create(path, shelf, ORDER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.hint
    assert names(shelf) == []


def test_without_room_nothing_is_begun(store: SqliteStore, path: Path, shelf: Path, tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(1 << 43)
    with pytest.raises(DiskFull, match=r"needs \d+ MiB, \d+ MiB are free"):
        create(path, shelf, replace(ORDER, files={"config.yaml": huge}))
    assert names(shelf) == []


def test_a_damaged_database_is_not_kept_as_a_backup(store: SqliteStore, path: Path, shelf: Path) -> None:
    add(store, *(item(f"i{n}", description="x" * 3000) for n in range(200)))
    store.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 40_000)
    with pytest.raises(StoreError) as caught:
        create(path, shelf, ORDER)
    assert caught.value.hint
    assert names(shelf) == []


def test_what_cannot_be_kept_is_refused_by_name(store: SqliteStore, path: Path, shelf: Path, tmp_path: Path) -> None:
    create(path, shelf, replace(ORDER, tag="good"))
    with pytest.raises(Refused, match="the tag good is taken by"):
        create(path, shelf, replace(ORDER, tag="good"))
    with pytest.raises(Usage, match="not a tag"):
        create(path, shelf, replace(ORDER, tag="../up"))
    with pytest.raises(NotFound, match="nothing to keep"):
        create(tmp_path / "none.db", shelf, ORDER)


def test_two_of_one_second_have_two_names(store: SqliteStore, path: Path, shelf: Path) -> None:
    assert [create(path, shelf, ORDER).id for _ in range(2)] == [
        "20260127T220000Z-operator", "20260127T220000Z-operator-2",
    ]  # fmt: skip


# --- migrations -------------------------------------------------------------------------------------------------------


def _older(path: Path, number: int) -> None:
    """A database as an older version of the program left it, with one item."""
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path, isolation_level=None)
    for script in schema.MIGRATIONS[:number]:
        connection.executescript(script.read_text())
    columns = "id, title, kind, description, priority, lane, state, reason, attempts, max_attempts, rescues, deferrals"
    connection.execute(
        f"INSERT INTO items ({columns}, fence, scope, resources, labels, extra, source, rank_at, created_at,"
        " updated_at, fresh) VALUES ('old', 't', 'default', '', 50, 'default', 'ready', '', 0, 3, 0, 0, 0, '[]', '[]',"
        " '[]', '{}', 'test', 1, 1, 1, 1)"
    )
    connection.execute(f"PRAGMA user_version = {number}")
    connection.close()


@pytest.mark.parametrize("number", range(1, schema.VERSION))
def test_an_older_database_is_kept_before_it_is_migrated(path: Path, shelf: Path, number: int) -> None:
    _older(path, number)
    store = SqliteStore(path)
    assert [found.id for found in store.items()] == ["old"]
    store.close()
    (made,), _broken = backup_shelf.listed(shelf)
    assert (made.reason, made.schema, made.items) == ("migration", number, 1)
    assert backup_shelf.faults(made) == []
    SqliteStore(path).close()
    assert len(backup_shelf.listed(shelf)[0]) == 1


def test_without_a_backup_nothing_is_migrated(path: Path, shelf: Path) -> None:
    _older(path, 3)
    shelf.write_text("in the way")
    with pytest.raises(HarnessError, match="cannot write"):
        SqliteStore(path)
    connection = sqlite3.connect(path)
    assert schema.version(connection) == 3
    connection.close()


def test_a_new_database_needs_no_backup(store: SqliteStore, shelf: Path) -> None:
    assert not shelf.exists()


# --- kept ones --------------------------------------------------------------------------------------------------------


def test_a_backup_is_found_by_id_beginning_tag_latest_and_path(store: SqliteStore, path: Path, shelf: Path) -> None:
    old = create(path, shelf, replace(ORDER, tag="v1"))
    new = create(path, shelf, replace(ORDER, now=NOW + timedelta(days=1)))
    elsewhere = shutil.copytree(old.folder, shelf.parent / "elsewhere")
    found = [backup_shelf.find(shelf, given).id for given in ("v1", old.id, "20260128", "latest", str(elsewhere))]
    assert found == [old.id, old.id, new.id, new.id, "elsewhere"]
    with pytest.raises(NotFound, match="begins several"):
        backup_shelf.find(shelf, "2026")
    with pytest.raises(NotFound, match="no backup v9"):
        backup_shelf.find(shelf, "v9")
    with pytest.raises(NotFound):
        backup_shelf.find(shelf.parent / "none", "latest")


def _flip(backup: Backup) -> None:
    with backup.database.open("r+b") as file:
        file.seek(5000)
        file.write(b"\x00\x01")


def _rewritten(backup: Backup, **said: object) -> None:
    manifest = backup.folder / "backup.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | said))


def test_what_became_of_a_backup_since_is_named(store: SqliteStore, path: Path, shelf: Path, config: Path) -> None:
    made = create(path, shelf, replace(ORDER, files={"config.yaml": config}))
    (made.folder / "config.yaml").unlink()
    assert backup_shelf.faults(made) == ["config.yaml cannot be read: No such file or directory"]
    _flip(made)
    assert "harness.db is not what was written" in backup_shelf.faults(made)[0]
    good = (made.folder / "backup.json").read_text()
    wrong: tuple[dict[str, object], ...] = (
        {"schema": "other/1"},
        {"files": {"harness.db": "x", "../../etc/passwd": "x"}},
        {"files": {"harness.db": "x", "/etc/passwd": "x"}},
        {"files": ["harness.db"]},
        {"files": None},
        {"made_at": "then"},
        {"made_at": "2026-01-27T22:00:00"},
        {"items": []},
    )
    for said in wrong:
        (made.folder / "backup.json").write_text(good)
        _rewritten(made, **said)
        (broken,) = backup_shelf.listed(shelf)[1]
        assert "is no backup" in broken.problem
    for text in ("", "[]", "[" * 100_000, '"x"', "\0"):
        (made.folder / "backup.json").write_text(text)
        assert len(backup_shelf.listed(shelf)[1]) == 1


def test_a_backup_whose_state_does_not_agree_with_its_journal_is_not_sound(
    store: SqliteStore, path: Path, shelf: Path
) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE items SET attempts = 3 WHERE id = 'a'")
    connection.close()
    assert "the journal says" in backup_shelf.faults(create(path, shelf, ORDER))[0]


def _hourly(days: int) -> list[Kept]:
    return [Kept(f"{n:05}", NOW - timedelta(hours=n), 10, "hourly") for n in range(24 * days)]


def test_a_day_of_hours_a_week_of_days_and_a_month_of_weeks_stay() -> None:
    gone = backups_to_drop(_hourly(60), Shelf(), NOW)
    stay = [each for each in _hourly(60) if each.id not in gone]
    ages = [(NOW - each.made_at) / timedelta(days=1) for each in stay]
    assert len([age for age in ages if age < 1]) == 24
    assert len([age for age in ages if 1 <= age < 7]) == 6
    assert 2 <= len([age for age in ages if age >= 7]) <= 4
    assert max(ages) < 28
    assert gone == sorted(gone, reverse=True)


def test_a_tag_and_the_newest_always_stay_and_the_oldest_go_first() -> None:
    rows = [replace(each, tag="v1") if each.id == "00900" else each for each in _hourly(60)]
    gone = backups_to_drop(rows, Shelf(max_bytes=50), NOW)
    assert {each.id for each in rows} - set(gone) == {"00000", "00001", "00002", "00003", "00004", "00900"}
    assert backups_to_drop(rows[:1], Shelf(max_bytes=1, max_count=1), NOW + timedelta(days=999)) == []
    assert len(rows) - len(backups_to_drop(rows, Shelf(max_count=3), NOW)) == 4
    before_a_change = [Kept("old", NOW - timedelta(days=20), 1, "migration"), *_hourly(1)]
    assert backups_to_drop(before_a_change, Shelf(), NOW) == []


def test_what_is_dropped_is_never_half_there(store: SqliteStore, path: Path, shelf: Path) -> None:
    made = [create(path, shelf, Order("hourly", NOW - timedelta(days=60 * n))) for n in range(3)]
    (shelf / "queue-20260127.json").write_text("[]")
    assert backup_shelf.drop_old(shelf, Shelf(), NOW) == [made[2].id, made[1].id]
    assert names(shelf) == [made[0].id, "queue-20260127.json"]
    assert backup_shelf.drop_old(shelf, Shelf(), NOW) == []
