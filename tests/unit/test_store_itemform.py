"""The form in which operators write items (contract 3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.errors import Usage
from harness.model.itemform import Form, item_document, item_row, mirror_row, parse_fields, parse_item, rank_after
from harness.model.work import WorkItem
from tests.kit.stores import NOW, later

LANES = {"default": 0.0, "sweep": 720.0, "review": 724.0}


def parse(document, **given_):
    return parse_item(document, Form(("app", "lib"), LANES, **given_), NOW)


def test_only_a_title_is_needed():
    found = parse({"title": "Mend it"})
    assert (found.kind, found.priority, found.lane, found.repo, found.max_attempts) == (
        "default",
        50,
        "default",
        None,
        3,
    )
    assert found.id.startswith("wrk_")
    assert len(found.id) == 12
    assert (found.created_at, found.rank_at) == (NOW, later(50 * 3600))


def test_the_words_of_the_guide_are_ours_too():
    found = parse({"id": "test-001", "type": "test", "title": "t", "priority": "high", "rig": "app"})
    assert (found.id, found.kind, found.repo, found.priority, found.extra) == ("test-001", "test", "app", 20, {})


def test_every_key_of_the_contract_is_read_and_others_are_kept():
    found = parse(
        {
            "title": "t",
            "depends_on": "a",
            "not_before": "2026-02-01T06:00:00+01:00",
            "max_attempts": 5,
            "agent": "x",
            "model": "opus",
            "scope": ["src/**"],
            "branch": "next",
            "assigned": "eva",
            "resources": ["gpu"],
            "timeout_seconds": 60,
            "max_cost_usd": 1,
            "labels": ["l"],
            "ticket": {"n": 1},
        }
    )
    assert (found.depends_on, found.max_attempts, found.scope, found.timeout_seconds) == (("a",), 5, ("src/**",), 60.0)
    assert found.not_before.isoformat() == found.not_before.astimezone().isoformat()
    assert (found.not_before - NOW).total_seconds() == (4 * 24 + 7) * 3600
    assert found.extra == {"ticket": {"n": 1}}


def test_what_we_write_ourselves_is_no_wish():
    found = parse({"title": "t", "state": "done", "fence": 7, "attempts": 3, "rank_at": "x", "reason": "r"})
    assert (found.state.value, found.fence, found.attempts, found.extra) == ("ready", 0, 0, {})


def test_the_lane_comes_from_the_kind_unless_given_and_its_handicap_from_the_lane():
    kinds = {"default": "default", "review": "review"}
    assert parse({"title": "t", "kind": "review"}, kind_lanes=kinds).lane == "review"
    assert parse({"title": "t", "kind": "unlisted"}, kind_lanes=kinds).lane == "default"
    swept = parse({"title": "t", "kind": "review", "lane": "sweep"}, kind_lanes=kinds)
    assert (swept.lane, swept.rank_at) == ("sweep", later((720 + 50) * 3600))
    assert rank_after(swept, {"lane": "default", "priority": 0}, LANES) == NOW


@pytest.mark.parametrize(
    ("document", "said", "hint"),
    [
        ([], "an item is an object, not []", "title"),
        ({}, "needs a title", "title"),
        ({"title": "  "}, "title: '  ' is not allowed", "not empty"),
        ({"title": 7}, "title: 7 is not allowed", "text"),
        ({"title": "t", "id": "a/b"}, "not an item id: 'a/b'", "1-128"),
        ({"title": "t", "priority": 100}, "not a priority: 100", "critical"),
        ({"title": "t", "priority": True}, "priority: True is not allowed", "critical"),
        ({"title": "t", "rig": "ap"}, "no repository is called 'ap' (did you mean app?)", "app, lib"),
        ({"title": "t", "lane": "fast"}, "no lane is called 'fast'", "default, sweep, review"),
        ({"title": "t", "depends_on": [7]}, "depends_on: [7] is not allowed", "item ids"),
        ({"title": "t", "not_before": "soon"}, "not_before: 'soon' is not allowed", "2026-"),
        ({"title": "t", "max_attempts": 0}, "max_attempts: 0 is not allowed", "from 1"),
        ({"title": "t", "timeout_seconds": -1}, "timeout_seconds: -1 is not allowed", "seconds"),
        ({"title": "t", "max_cost_usd": float("nan")}, "max_cost_usd: nan is not allowed", "dollars"),
        ({"title": "t", "kind": "a", "type": "b"}, "kind is given twice: 'a' and 'b'", "kind only"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(document, said, hint):
    with pytest.raises(Usage) as caught:
        parse(document)
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_without_known_names_everything_goes():
    found = parse_item({"title": "t", "repo": "any", "lane": "thing"}, Form(), NOW)
    assert (found.repo, found.lane) == ("any", "thing")


def test_a_row_has_what_the_contract_promises():
    row = item_row(parse({"title": "t", "id": "a", "priority": "low", "repo": "app"}))
    promised = ["id", "kind", "title", "state", "reason", "priority", "lane", "repo", "attempts", "fence"]
    assert [key for key in promised if key in row] == promised
    assert (row["priority"], row["repo"]) == ("low", "app")


words = st.text("abc-", min_size=1, max_size=5).filter(lambda word: word.strip() == word)
items = st.builds(
    WorkItem,
    id=st.just("a"),
    title=words,
    kind=words,
    description=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    repo=st.none() | words,
    priority=st.integers(0, 99),
    lane=words,
    depends_on=st.lists(st.sampled_from(["b", "c"]), unique=True).map(tuple),
    not_before=st.none() | st.integers(0, 10**6).map(later),
    max_attempts=st.integers(1, 9),
    model=st.none() | words,
    scope=st.lists(words, unique=True).map(tuple),
    timeout_seconds=st.none() | st.floats(0.1, 1e6),
    extra=st.dictionaries(st.sampled_from(["x", "ticket"]), st.none() | st.integers() | st.lists(words)),
)


@given(items)
def test_what_we_write_can_be_read_back(item):
    for written in (mirror_row(item), item_document(item)):
        read = parse_fields(written, Form())
        for name, value in read.items():
            assert value == getattr(item, name)
        missing = {name for name in ("scope", "depends_on", "extra", "model") if name not in read}
        assert not any(getattr(item, name) for name in missing)
