"""What follows an integration: wanted with the move of the branch, done once; and the commits that came (P13, C5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model.errors import NotFound
from harness.model.journal import Integration
from harness.ports import Store
from tests.kit.stores import MAKERS, NOW, add, item, later, lease

STEPS = (("review", ""), ("pull", "/srv/app"), ("build", ""))


@pytest.fixture(params=sorted(MAKERS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with MAKERS[request.param](tmp_path).opened() as opened:
        yield opened


def intended(store: Store, name: str = "a", steps: tuple[tuple[str, str], ...] = STEPS) -> Integration:
    add(store, item(name))
    held = lease(store)
    wish = Integration(
        0, name, held.fence, "app", "main", "b0", "s0", "intended", "m0", began_at=NOW, followed_by=steps
    )
    return store.intend(wish)


def test_nothing_follows_what_is_not_applied(store: Store) -> None:
    row = intended(store)
    assert row.followed_by == STEPS
    store.resolve(row.id, "aborted", NOW, reason="moved")
    assert store.followups() == []


def test_steps_are_wanted_once_however_often_it_is_said_that_it_is_applied(store: Store) -> None:
    row = intended(store)
    for _ in range(2):
        store.resolve(row.id, "applied", NOW)
    found = store.followups()
    assert [(step.step, step.target, step.state, step.merged) for step in found] == [
        (*step, "wanted", "m0") for step in STEPS
    ]
    assert (found[0].item, found[0].repo, found[0].branch, found[0].base) == ("a", "app", "main", "b0")


def test_a_step_waits_with_its_reason_said_once_and_is_done_for_good(store: Store) -> None:
    row = intended(store)
    store.resolve(row.id, "applied", NOW)
    review, pull, _ = store.followups()
    store.written()
    for _ in range(2):
        store.follow([pull.id], "wanted", "dirty", later(1))
    store.follow([pull.id, review.id], "done", "there", later(2), made="r-1")
    store.follow([pull.id], "wanted", "again", later(3))
    assert [step.step for step in store.followups()] == ["build"]
    assert [(s.state, s.reason, s.made, s.ended_at) for s in store.followups(item="a")[:2]] == [
        ("done", "there", "r-1", later(2))
    ] * 2
    assert [entry.kind for entry in store.written()] == ["followup.waits", "followup.done", "followup.done"]
    with pytest.raises(NotFound):
        store.follow([99], "done", "", NOW)


def test_builds_that_came_to_an_end_are_told_newest_first(store: Store) -> None:
    for name, state in (("a", "done"), ("b", "failed"), ("c", "wanted")):
        row = intended(store, name, (("build", ""),))
        store.resolve(row.id, "applied", NOW)
        store.follow([store.followups()[-1].id], state, name, NOW)
    assert [(build.item, build.state) for build in store.builds("app", 9)] == [("b", "failed"), ("a", "done")]
    assert store.builds("other", 9) == []


def test_commits_are_told_once_each_as_they_came(store: Store) -> None:
    row = intended(store)
    store.resolve(row.id, "applied", NOW)
    store.publish([row.id], "wanted", "unreachable", NOW)
    store.publish([row.id], "pushed", "origin", later(1))
    found, seen = store.commits(0, 10)
    assert [(each.event, each.item, each.commit, each.title) for each in found] == [
        ("integrated", "a", "m0", "title of a"),
        ("pushed", "a", "m0", "title of a"),
    ]
    assert store.commits(seen, 10) == ([], seen)
    first, after = store.commits(0, 1)
    assert [each.seq for each in store.commits(after, 10)[0]] == [found[1].seq]
    assert first[0].seq == after
