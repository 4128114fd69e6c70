"""An upgrade that is killed in any statement leaves the older database or the newer one, and a backup of the older (H25)."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.store import backup_shelf, schema
from harness.store.opening import open_writer
from harness.store.sqlite import SqliteStore
from tests.kit.stores import add, item

OLD = 3


def older(path: Path) -> None:
    """An empty database of an older program."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for script in schema.MIGRATIONS[:OLD]:
            connection.executescript(script.read_text())
        connection.execute(f"PRAGMA user_version = {OLD}")


def killed_after(path: Path, statements: int) -> bool:
    """Whether the upgrade was killed before it had run so many statements; in a process of its own."""
    child = os.fork()
    if child == 0:
        real, left = sqlite3.connect, [statements]

        def burn(_sql: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)

        class Mortal(sqlite3.Connection):
            def __init__(self, *words: object, **more: object) -> None:
                super().__init__(*words, **more)  # type: ignore[arg-type]
                self.set_trace_callback(burn)

        sqlite3.connect = lambda *words, **more: real(*words, **(more | {"factory": Mortal}))
        open_writer(path).close()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def upgrade_killed_at(path: Path, statements: int) -> bool:
    """Kill an upgrade there, look at what is left, and start again; whether it was killed before its end."""
    older(path)
    killed = killed_after(path, statements)
    with closing(sqlite3.connect(path)) as connection:
        assert OLD <= schema.version(connection) <= schema.VERSION
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store = SqliteStore(path)
    add(store, item("a"))
    store.close()
    kept, broken = backup_shelf.listed(path.with_name("backups"))
    assert broken == []
    assert kept[-1].schema == OLD
    assert [backup_shelf.faults(each) for each in kept] == [[]] * len(kept)
    return killed


@pytest.mark.parametrize("statements", [0, 5, 12, 20, 30, 45])
def test_killed_in_a_statement_the_next_start_goes_on(tmp_path: Path, statements: int) -> None:
    assert upgrade_killed_at(tmp_path / "state" / "harness.db", statements)


@pytest.mark.night
def test_killed_in_any_statement_the_next_start_goes_on(tmp_path: Path) -> None:
    statements = 0
    while upgrade_killed_at(tmp_path / str(statements) / "state" / "harness.db", statements):
        statements += 1
    assert statements > 45
