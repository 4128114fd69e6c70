"""The page about the audit does what it says, and the database refuses what its table names."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.docs.test_howto_order import HEAD, blocks, followed
from tests.kit.command import Caller, home_at

REFUSED = [
    "UPDATE items SET state = 'leased', owner = 'x', leased_at = 1 WHERE state = 'done'",
    "INSERT INTO resources (name, item, fence) VALUES ('port', 'paint', 1), ('port', 'other', 1)",
    "UPDATE items SET fence = -1",
    "UPDATE journal SET actor = 'nobody'",
    "DELETE FROM journal",
]


@pytest.fixture
def loop(tmp_path: Path) -> Caller:
    caller = Caller(home_at(tmp_path / "home", HEAD + "repositories: [{name: app, path: app}]\n"))
    assert caller("queue", "add", '{"id": "other", "title": "Something else", "dedupe": "else"}').code == 0
    return caller


def test_the_page_about_the_audit_can_be_followed(loop: Caller) -> None:
    (commands,) = blocks("audit.md", "")
    (sentence,) = blocks("audit.md", "text")
    followed(loop, commands)
    with closing(sqlite3.connect(loop.home.database)) as shell, shell:
        shell.execute("UPDATE items SET attempts = 7 WHERE id = 'paint'")
    audited = loop("audit", "verify")
    assert audited.code == 1
    assert sentence.strip() in audited.out


@pytest.mark.parametrize("statement", REFUSED)
def test_the_database_refuses_it_from_anybody(loop: Caller, statement: str) -> None:
    assert loop("queue", "add", '{"id": "paint", "title": "Paint"}').code == 0
    with closing(sqlite3.connect(loop.home.database)) as shell:
        shell.execute("PRAGMA foreign_keys = ON")
        with shell:
            shell.execute("UPDATE items SET state = 'leased', owner = 'x', leased_at = 1 WHERE id = 'other'")
            shell.execute("UPDATE items SET state = 'done', owner = NULL, leased_at = NULL WHERE id = 'other'")
        with pytest.raises(sqlite3.IntegrityError):
            shell.execute(statement)
