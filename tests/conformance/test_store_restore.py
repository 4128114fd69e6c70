"""A database is put back whole: killed at any step there is the old one or the new one, never half of one (H25)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.model.errors import Busy, StoreError
from harness.store import backup_shelf
from harness.store.audit import audit
from harness.store.backup import Backup, Order, create
from harness.store.restore import PREPARED, put_back
from harness.store.sqlite import SqliteStore
from tests.kit.stores import NOW, add, item, later

STEPS = ("prepared", "checkpointed", "linked", "aside", "replaced")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "harness.db"


@pytest.fixture
def kept(path: Path) -> Iterator[Backup]:
    """A backup with the item `a`; the database has `b`, too, and is open."""
    store = SqliteStore(path)
    add(store, item("a"))
    made = create(path, path.parent / "backups", Order("operator", NOW))
    add(store, item("b"))
    store.keep_mirror_base("queue.json", "digest", "[]", NOW)
    yield made
    store.close()


def ids(path: Path) -> list[str]:
    with closing(SqliteStore(path, read_only=True)) as reader:
        return [found.id for found in reader.items()]


def test_what_was_replaced_is_a_backup_that_takes_the_restore_back(kept: Backup, path: Path) -> None:
    replaced = put_back(kept, path.parent, later(60))
    assert ids(path) == ["a"]
    assert replaced.backup is not None
    assert replaced.folder == replaced.backup.folder
    assert backup_shelf.faults(replaced.backup) == []
    assert ids(replaced.backup.database) == ["a", "b"]
    put_back(replaced.backup, path.parent, later(120))
    assert ids(path) == ["a", "b"]
    assert audit(path).violations == ()
    assert not (path.parent / PREPARED).exists()


def test_a_program_that_has_the_old_one_open_writes_to_neither(kept: Backup, path: Path) -> None:
    old = SqliteStore(path)
    replaced = put_back(kept, path.parent, later(60))
    with pytest.raises(StoreError, match="was moved or replaced"):
        add(old, item("c"))
    old.close()
    new = SqliteStore(path)
    add(new, item("n"))
    assert ids(path) == ["a", "n"]
    new.close()
    assert replaced.folder is not None
    assert ids(replaced.folder / "harness.db") == ["a", "b"]


def test_what_the_mirrored_files_held_is_carried_over(kept: Backup, path: Path) -> None:
    assert put_back(kept, path.parent, later(60)).mirrors
    with closing(SqliteStore(path, read_only=True)) as store:
        assert store.mirror_base("queue.json") == ("digest", "[]")


@pytest.mark.parametrize("last", STEPS)
def test_killed_at_any_step_there_is_one_whole_database(kept: Backup, path: Path, last: str) -> None:
    child = os.fork()
    if child == 0:
        put_back(kept, path.parent, later(60), lambda step: os._exit(9) if step == last else None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert ids(path) == (["a"] if last == "replaced" else ["a", "b"])
    assert audit(path).violations == ()
    with closing(SqliteStore(path)) as store:
        add(store, item("c"))
    put_back(kept, path.parent, later(120))
    assert ids(path) == ["a"]
    assert audit(path).violations == ()


def test_a_damaged_database_makes_room_and_is_kept_as_it_is(kept: Backup, path: Path) -> None:
    add(store := SqliteStore(path), *(item(f"i{n}", description="x" * 3000) for n in range(100)))
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    raw = bytearray(path.read_bytes())
    raw[4096 : len(raw) // 2] = b"\xff" * (len(raw) // 2 - 4096)
    path.write_bytes(raw)
    replaced = put_back(kept, path.parent, later(60))
    assert ids(path) == ["a"]
    assert replaced.backup is None
    assert replaced.folder is not None
    assert (replaced.folder / "harness.db").stat().st_size == len(raw)


def test_while_somebody_reads_the_old_one_nothing_is_changed(kept: Backup, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        with closing(SqliteStore(path)) as store:
            add(store, item("c"))
        with pytest.raises(Busy, match="is reading"):
            put_back(kept, path.parent, later(60))
    assert ids(path) == ["a", "b", "c"]


def test_without_a_database_there_is_nothing_to_keep(kept: Backup, tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    state.mkdir(parents=True)
    assert put_back(kept, state, later(60)).folder is None
    assert ids(state / "harness.db") == ["a"]


def test_a_backup_that_is_not_what_was_written_changes_nothing(kept: Backup, path: Path) -> None:
    with kept.database.open("ab") as file:
        file.write(b"more")
    with pytest.raises(StoreError, match="is not what was written"):
        put_back(kept, path.parent, later(60))
    assert ids(path) == ["a", "b"]
    assert not (path.parent / PREPARED).exists()
