"""What every store must keep apart: resources, scopes that overlap, and more of one repository than is allowed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from harness.model.errors import Refused
from harness.model.outcome import Disposition, Failed
from harness.model.work import WorkState
from harness.ports import RepositoryRules, Settlement
from harness.store.audit import audit
from harness.store.sqlite import SqliteStore
from harness.store.statements import SQL
from tests.kit.stores import NOW, RULES, add, back, done, failed, item, later, lease

S = WorkState


def rules(**repositories):
    return replace(RULES, repositories={name: RepositoryRules(**each) for name, each in repositories.items()})


def leased(store, with_rules=RULES, most=10):
    """Everything that can be leased now, in its order."""
    found = [store.lease(f"w{number}", with_rules, NOW) for number in range(most)]
    return [each for each in found if each is not None]


def ids(leases):
    return [each.item.id for each in leases]


# --- resources --------------------------------------------------------------------------------------------------------


def test_items_that_name_the_same_resource_never_run_at_the_same_time(store):
    add(
        store,
        item("a", resources=("db", "port")),
        item("b", resources=("db",)),
        item("c"),
        item("d", resources=("gpu",)),
    )
    first, *others = leased(store)
    assert (first.item.id, ids(others)) == ("a", ["c", "d"])
    store.settle(first, done(), NOW)
    assert ids(leased(store)) == ["b"]
    assert audit(store.path).violations == ()


@pytest.mark.parametrize(
    "end",
    [done(), back(), failed(), Settlement(Failed("lost"), Disposition(S.PARKED, "poison"))],
    ids=["done", "interrupted", "delayed", "parked"],
)
def test_every_way_out_of_a_lease_frees_what_it_had(store, end):
    add(store, item("a", resources=("db",)), item("b", resources=("db",), priority=80))
    held = lease(store)
    assert store.lease("w", RULES, NOW) is None
    store.settle(held, end, NOW)
    assert ids(leased(store)) in (["b"], ["a"])


def test_also_one_that_is_not_ours(store):
    add(store, item("a", resources=("db",)), item("b", resources=("db",)))
    lease(store)
    with closing(sqlite3.connect(store.path)) as shell:
        shell.execute("UPDATE items SET state = 'ready', owner = NULL, leased_at = NULL WHERE id = 'a'")
        shell.commit()
        assert shell.execute("SELECT * FROM resources").fetchall() == []


def test_the_database_refuses_what_must_not_be_and_the_audit_names_it(store):
    add(store, item("a", resources=("db",)), item("b", resources=("gpu",)))
    leased(store)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as shell:
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            shell.execute("INSERT INTO resources VALUES ('db', 'b', 1)")
        with pytest.raises(sqlite3.IntegrityError, match="exclusive IS CASE"):
            shell.execute("UPDATE items SET resources = '[]' WHERE id = 'a'")
        shell.execute("DELETE FROM resources WHERE name = 'db'")
        shell.execute("UPDATE resources SET fence = 7 WHERE name = 'gpu'")
    told = audit(store.path).violations
    assert "a is leased without its resource db" in told
    assert "resource gpu is with b under lease 7; the journal says leased, 1" in told


def test_what_is_handed_in_waits_for_its_resource(store):
    add(store, item("a", resources=("db",)), item("b", resources=("db",)))
    store.take("a", "eva", actor="eva", now=NOW)
    held = lease(store)
    with pytest.raises(Refused, match="a needs db, which b has now"):
        store.lease_by_hand("hand-1", "a", "app", NOW)
    assert store.item("a").state is S.WAITING
    store.settle(held, done(), NOW)
    assert store.lease_by_hand("hand-1", "a", "app", NOW).item.id == "a"


# --- repositories -----------------------------------------------------------------------------------------------------


def test_no_more_items_of_a_repository_run_than_it_allows(store):
    add(store, *(item(f"a{n}") for n in range(3)), item("s", repo="site"), item("a3", repo="app"))
    taken = leased(store, rules(app={"running": 2}))
    assert ids(taken) == ["a0", "a1", "s"]
    store.settle(taken[0], done(), NOW)
    assert ids(leased(store, rules(app={"running": 2}))) == ["a2"]


def test_a_repository_s_resources_are_taken_by_each_of_its_items(store):
    add(store, item("a"), item("b", repo="site"), item("c", repo="docs", resources=("port",)), item("d", repo="docs"))
    both = rules(app={"resources": ("port",)}, site={"resources": ("port",)})
    assert ids(leased(store, both)) == ["a", "d"]
    assert audit(store.path).violations == ()


# --- scopes -----------------------------------------------------------------------------------------------------------


def test_overlapping_scopes_of_one_repository_run_one_after_the_other(store):
    add(
        store,
        item("a", scope=("src/**",)),
        item("b", scope=("src/parser.py", "docs/**")),
        item("c", scope=("tests/**",)),
    )
    add(
        store, item("named", scope=("src/**",), repo="app"), item("other", scope=("src/**",), repo="site"), item("free")
    )
    first, *others = leased(store)
    assert (first.item.id, ids(others)) == ("a", ["c", "other", "free"])
    store.settle(first, done(), NOW)
    assert ids(leased(store)) == ["b"]


def test_a_repository_may_let_them_run_together(store):
    add(store, item("a", scope=("src/**",)), item("b", scope=("src/**",)))
    assert ids(leased(store, rules(app={"one_scope": False}))) == ["a", "b"]


def test_who_goes_on_waits_too_if_another_has_what_it_needs(store):
    add(store, item("a", resources=("db",), scope=("src",)), item("b", resources=("db",)), item("c", scope=("src/x",)))
    store.settle(lease(store), failed(seconds=60), NOW)
    taken = leased(store)
    assert ids(taken) == ["b", "c"]
    assert store.lease("w", RULES, later(61)) is None
    for each in taken:
        store.settle(each, done(), later(62))
    assert lease(store, now=later(63)).item.id == "a"


def test_where_overlaps_are_refused_only_the_first_is_added(store):
    apart = {"app": "app", None: "app"}

    def answer(name, repo, *scope):
        [found] = store.add([item(name, repo=repo, scope=scope)], actor="me", now=NOW, apart=apart)
        return found.applied, found.detail

    assert answer("a", None, "docs", "src/**") == (True, "ready")
    told = "its scope src/*.py overlaps src/** of a (ready): overlap is refuse in app"
    assert answer("b", "app", "tests", "src/*.py") == (False, told)
    assert store.item("b") is None
    assert answer("c", "site", "src/*.py") == (True, "ready")
    assert answer("d", "app", "tests") == (True, "ready")
    assert answer("e", "app") == (True, "ready")
    assert answer("a", None, "src")[1] == "id a exists: ready; ./loop queue retry a"
    store.settle(lease(store), done(), NOW)
    assert answer("b", "app", "src/*.py") == (True, "ready")
    twins = [item("x", scope=("lib/a",)), item("y", scope=("lib",))]
    assert [each.applied for each in store.add(twins, actor="me", now=NOW, apart=apart)] == [True, False]


class Watched(SqliteStore):
    """Says how it chose."""

    chosen: tuple[str, ...] = ()

    def one(self, name, **values):
        self.chosen += (name,) if name.startswith("lease_take") else ()
        return super().one(name, **values)


def test_beside_plain_work_a_lease_asks_for_nothing_more(tmp_path):
    with closing(Watched(tmp_path / "harness.db")) as store:
        add(store, *(item(f"a{n}") for n in range(3)), item("x", resources=("db",)), item("y", resources=("db",)))
        assert ids(leased(store, most=4)) == ["a0", "a1", "a2", "x"]
        assert store.chosen == ("lease_take_any",) * 4
        assert store.lease("w", RULES, NOW) is None
        assert store.chosen[-1] == "lease_take"


def test_the_scopes_of_a_million_finished_items_are_not_looked_at(store):
    plan = store._connection.execute(f"EXPLAIN QUERY PLAN {SQL['items_scoped']}").fetchall()
    assert [row["detail"] for row in plan] == ["SCAN items USING INDEX items_scoped"]
