"""A database that is moved or replaced while it is in use: said, and nothing is written to the wrong file."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.errors import StoreError
from harness.store.sqlite import SqliteStore
from tests.kit.stores import add, item


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "harness.db"


def ids(path: Path) -> list[str]:
    store = SqliteStore(path, read_only=True)
    try:
        return [found.id for found in store.items()]
    finally:
        store.close()


def test_a_state_folder_that_was_moved_is_written_by_nobody(path: Path) -> None:
    store = SqliteStore(path)
    add(store, item("a"))
    aside = path.parent.rename(path.parents[1] / "state.old")
    with pytest.raises(StoreError, match="was moved or replaced"):
        add(store, item("b"))
    assert not path.parent.exists()
    store.close()
    assert ids(aside / "harness.db") == ["a"]


def test_two_programs_on_two_folders_of_one_name_do_not_meet(path: Path) -> None:
    old = SqliteStore(path)
    add(old, item("a"))
    aside = path.parent.rename(path.parents[1] / "state.old")
    new = SqliteStore(path)
    add(new, item("n"))
    with pytest.raises(StoreError, match="was moved or replaced"):
        add(old, item("b"))
    old.close()  # the last one out of the moved file must not take the log of the new one with it
    add(new, item("m"))
    assert (ids(path), ids(aside / "harness.db")) == (["n", "m"], ["a"])
    new.close()
    assert (ids(path), ids(aside / "harness.db")) == (["n", "m"], ["a"])


def test_a_folder_that_is_moved_back_is_good_again(path: Path) -> None:
    store = SqliteStore(path)
    aside = path.parent.rename(path.parents[1] / "state.old")
    with pytest.raises(StoreError):
        store.check_place()
    aside.rename(path.parent)
    store.check_place()
    add(store, item("a"))
    store.close()
    assert ids(path) == ["a"]
