"""What only SQLite can get wrong: schema, triggers, damage, a full disk, the price of the import."""

from __future__ import annotations

import re
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from harness.model.errors import DiskFull, IllegalMove, NotFound, StoreError
from harness.model.work import TRANSITIONS, WorkState
from harness.store import schema
from harness.store.database import translate
from harness.store.reading import database, gate, open_reader, open_writer
from harness.store.sqlite import SqliteStore
from harness.store.statements import load
from tests.kit.stores import NOW, RULES, add, done, item, lease

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "harness.db"


@pytest.fixture
def store(path):
    opened = SqliteStore(path)
    yield opened
    opened.close()


def shell(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """What somebody with a SQL shell does."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return [row for statement in statements for row in connection.execute(statement).fetchall()]
    finally:
        connection.close()


def test_the_database_is_private_and_durable(store, path):
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert oct(path.with_name("harness.db-wal").stat().st_mode & 0o777) == "0o600"
    assert shell(path, "PRAGMA journal_mode") == [("wal",)]
    assert store._connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert store._connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_the_database_refuses_what_the_transition_table_does_not_have(store, path):
    add(store, item("a"))
    table = {(old.value, new.value) for old, targets in TRANSITIONS.items() for new in targets}
    assert set(shell(path, "SELECT old, new FROM transitions")) == table
    with pytest.raises(sqlite3.IntegrityError, match="illegal move"):
        shell(path, "UPDATE items SET state = 'done'")
    with pytest.raises(sqlite3.IntegrityError, match="a fence never falls"):
        shell(path, "UPDATE items SET fence = -1")
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        shell(path, "UPDATE items SET state = 'leased'")


def test_a_refusal_of_the_database_is_an_illegal_move(path):
    error = sqlite3.IntegrityError("illegal move")
    assert isinstance(translate(error, path), IllegalMove)


def test_the_journal_is_append_only(store, path):
    add(store, item("a"))
    for statement in ("UPDATE journal SET actor = 'me'", "DELETE FROM journal"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            shell(path, statement)


def test_a_newer_schema_is_refused_with_the_way_out(store, path):
    store.close()
    shell(path, f"PRAGMA user_version = {schema.VERSION + 1}")
    for open_it in (lambda: SqliteStore(path), lambda: SqliteStore(path, read_only=True)):
        with pytest.raises(StoreError, match=f"has schema {schema.VERSION + 1}, this program knows") as caught:
            open_it()
        assert "copy of" in caught.value.hint


def test_a_reader_does_not_migrate(store, path):
    store.close()
    shell(path, "PRAGMA user_version = 0")
    with pytest.raises(StoreError, match="has schema 0"):
        SqliteStore(path, read_only=True)


def test_opening_again_keeps_everything(store, path):
    add(store, item("a"))
    store.close()
    again = SqliteStore(path)
    assert again.item("a").title == "title of a"
    again.close()


def test_a_full_database_says_so_and_goes_on_when_there_is_room(store):
    add(store, item("a"))
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFull, match="no space left"):
        add(store, item("big", description="x" * 100_000))
    assert store.item("a").id == "a"
    store._connection.execute("PRAGMA max_page_count = 1000000")
    add(store, item("big", description="x" * 100_000))
    assert [entry.item for entry in store.written()] == ["a", "big"]


def test_no_room_for_the_log_is_a_full_disk(store):
    """A limit on file size is the nearest thing to a full volume that a test may make."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    add(store, item("a"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (512 * 1024, hard))
    try:
        with pytest.raises(StoreError) as caught:
            add(store, item("big", description="x" * 2_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.hint
    add(store, item("b"))
    assert store.item("big") is None


def test_a_database_locked_by_a_stranger_names_the_reason(store, path):
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    store._connection.execute("PRAGMA busy_timeout = 1")
    with pytest.raises(StoreError, match="locked by a program that does not use our gate"):
        add(store, item("a"))
    stranger.execute("COMMIT")
    stranger.close()
    add(store, item("a"))


def test_a_damaged_database_names_the_way_out(store, path):
    store.close()
    path.write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(StoreError, match="not a database") as caught:
        SqliteStore(path)
    assert "copy of" in caught.value.hint


def test_a_gate_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot open"):
        SqliteStore(tmp_path / "file" / "harness.db")


def test_closing_twice_is_fine_and_releases_every_descriptor(path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        opened = SqliteStore(path)
        opened.close()
        opened.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_store_that_failed_to_open_leaves_no_descriptor(tmp_path):
    path = tmp_path / "harness.db"
    path.write_bytes(b"garbage garbage garbage" * 50)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(StoreError):
            SqliteStore(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_part_that_fails_takes_only_itself_back(store):
    with store.together():
        add(store, item("a"))
        with pytest.raises(NotFound):
            store.move("zz", WorkState.PARKED, "", actor="me", now=NOW)
        add(store, item("b"))
    assert [entry.item for entry in store.written()] == ["a", "b"]


@pytest.mark.parametrize("name", ["lease_take", "lease_take_any", "leases_out", "due_promote", "items_in_state"])
def test_a_queue_of_a_million_is_neither_sorted_nor_read_through_for_a_lease(store, name):
    sql = load(Path(schema.__file__).parent / "queries")[name]
    values = dict.fromkeys(re.findall(r":(\w+)", sql), 0)
    plan = [row["detail"] for row in store._connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    queue = [step for step in plan if "items" in step]
    assert queue
    assert all(step.startswith("SEARCH items USING") for step in queue)
    assert not name.startswith("lease") or any("COVERING INDEX items_queue" in step for step in queue)
    assert name == "items_in_state" or not any("TEMP B-TREE" in step for step in plan)


def test_finished_items_are_read_newest_first_without_sorting_the_history(store):
    sql = load(Path(schema.__file__).parent / "queries")["items_finished"]
    values = {"states": "[]", "updated_at": 0, "seq": 0, "limit": 1}
    plan = [row["detail"] for row in store._connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert any("USING INDEX items_finished" in step for step in plan)


@pytest.mark.parametrize("name", ["attempts_streak", "pauses_open", "sessions_live", "journal_of_item", "attempts_of"])
def test_what_is_asked_all_the_time_does_not_read_the_history(store, name):
    sql = load(Path(schema.__file__).parent / "queries")[name]
    values = dict.fromkeys(re.findall(r":(\w+)", sql), 0)
    plan = [row["detail"] for row in store._connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert all("INDEX" in step for step in plan if step.startswith(("SCAN", "SEARCH")))


GROWING = re.compile(r"SCAN (items|attempts|sessions|integrations|journal)\b(?! USING INDEX)")


@pytest.mark.parametrize(
    "name",
    [
        *("ends_latest", "integrations_of_item", "integrations_open", "items_parked", "outcomes_since", "costs_since"),
        *(
            "costs_by_kind",
            "costs_of_item",
            "attempts_latest",
            "leased_by",
            "wake_at",
            "reach_holds",
            "dependants_blocked",
        ),
    ],
)
def test_a_start_a_status_and_a_settlement_do_not_read_the_history(store, name):
    sql = load(Path(schema.__file__).parent / "queries")[name]
    values = dict.fromkeys(re.findall(r":(\w+)", sql), 0)
    plan = [row["detail"] for row in store._connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert plan
    assert not [step for step in plan if GROWING.match(step)]


def test_two_statements_of_one_name_are_refused(tmp_path):
    for name in ("a.sql", "b.sql"):
        (tmp_path / name).write_text("-- name: same\nSELECT 1\n")
    with pytest.raises(ValueError, match=r"b\.sql: same already exists"):
        load(tmp_path)


def test_a_home_has_one_database_and_one_gate(tmp_path):
    with pytest.raises(NotFound):
        open_reader(tmp_path)
    writer = open_writer(tmp_path)
    add(writer, item("a"))
    reader = open_reader(tmp_path)
    assert reader.counts()[WorkState.READY] == 1
    assert database(tmp_path).exists()
    assert gate(tmp_path).exists()
    reader.close()
    writer.close()


def test_an_idle_lease_writes_nothing(store, path):
    add(store, item("a"))
    store.settle(lease(store), done(), NOW)
    log = path.with_name("harness.db-wal")
    before = log.stat().st_mtime_ns, log.stat().st_size
    assert store.lease("a", RULES, NOW) is None
    assert (log.stat().st_mtime_ns, log.stat().st_size) == before


def test_reading_loads_neither_asyncio_nor_pydantic():
    """A11: read commands must start fast; 40 ms over a bare interpreter is the aim, see bench/store.py."""
    script = "import sys, harness.store.reading; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {
        "asyncio",
        "pydantic",
        "claude_agent_sdk",
        "jinja2",
        "concurrent.futures",
        "structlog",
        "yaml",
        "secrets",
        "harness.ports",
    }
    assert heavy & set(loaded.stdout.split()) == set()
