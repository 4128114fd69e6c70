"""What every store must do about ranges of a space: none twice, none lost, held against sets of integers (P8-P11)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import count, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.model.errors import Refused, Usage
from harness.model.ranges import Range
from tests.kit.stores import NOW, add, item, kinds

ALL = Range(0, 40)
BY = {"actor": "sweep", "now": NOW}


def kept(store, state=None):
    return [(str(each.range), each.state) for each in store.ranges("ledger", ALL) if state in (None, each.state)]


def test_a_sweep_covers_its_space_once_and_never_looks_at_a_clean_range_again(store):
    claims = [store.claim_range("ledger", ALL, 15, **BY) for _ in range(4)]
    assert [str(each) for each in claims] == ["0..14", "15..29", "30..39", "None"]
    for each in claims[:3]:
        store.clean_range("ledger", each, **BY)
    assert kept(store) == [("0..39", "clean")]
    assert store.claim_range("ledger", ALL, 15, **BY) is None
    assert kinds(store) == ["range.claimed"] * 3 + ["range.clean"] * 3


def test_a_chunk_that_fails_is_split_in_one_step(store):
    claim = store.claim_range("ledger", ALL, 20, **BY)
    store.fail_range("ledger", claim, 7, **BY)
    assert kept(store) == [("0..6", "clean")]
    again = store.claim_range("ledger", ALL, 20, **BY)
    assert str(again) == "7..26"
    add(store, item("bug-7"))
    store.fail_range("ledger", again, 7, known="bug-7", **BY)
    assert kept(store) == [("0..6", "clean"), ("7..7", "known")]
    behind = store.claim_range("ledger", ALL, 20, **BY)
    assert str(behind) == "8..27"
    store.release_range("ledger", behind, **BY)
    assert kept(store, "claimed") == []
    assert [each.item for each in store.ranges("ledger", ALL)] == [None, "bug-7"]


def test_who_lost_a_claim_writes_nothing(store):
    claim = store.claim_range("ledger", ALL, 10, **BY)
    store.release_range("ledger", claim, **BY)
    for late in (
        lambda: store.clean_range("ledger", claim, **BY),
        lambda: store.fail_range("ledger", claim, 3, **BY),
        lambda: store.release_range("ledger", claim, **BY),
    ):
        with pytest.raises(Refused, match=r"0\.\.9 of ledger is not claimed"):
            late()
    with pytest.raises(Usage, match="position 10 is not in"):
        store.fail_range("ledger", claim, 10, **BY)
    assert kept(store) == []


def test_spaces_and_their_epochs_are_apart(store):
    for space, epoch in (("ledger", 0), ("blocks", 0), ("ledger", 1)):
        claim = store.claim_range(space, ALL, 40, epoch=epoch, **BY)
        assert str(claim) == "0..39"
        store.clean_range(space, claim, epoch=epoch, **BY)
    assert (store.epoch("ledger"), store.epoch("blocks"), store.epoch("unknown")) == (1, 0, 0)


@pytest.mark.parametrize(
    ("low", "high"), [(10, 20), (0, 11), (19, 30), (12, 13), (0, 40)], ids=["same", "left", "right", "inside", "around"]
)
def test_the_database_refuses_ranges_that_overlap(store, low, high):
    store.claim_range("ledger", Range(10, 20), 10, **BY)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as shell:
        with pytest.raises(sqlite3.IntegrityError, match=r"ranges overlap|UNIQUE"):
            shell.execute(f"INSERT INTO ranges VALUES (9, 'ledger', 0, {low}, {high}, 'clean', NULL, 1)")
        shell.execute("INSERT INTO ranges VALUES (9, 'ledger', 0, 50, 60, 'clean', NULL, 1)")
        with pytest.raises(sqlite3.IntegrityError, match=r"ranges overlap|UNIQUE"):
            shell.execute(f"UPDATE ranges SET low = {low}, high = {high} WHERE id = 9")
        shell.execute("UPDATE ranges SET low = 20, high = 30 WHERE id = 9")


numbers = count()
steps = st.lists(
    st.tuples(st.sampled_from(["claim", "clean", "fail", "known", "release"]), st.integers(0, 39), st.integers(1, 12)),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_any_sequence_is_that_of_sets_of_integers(store, played):
    space = f"space-{next(numbers)}"
    if store.item("bug") is None:
        add(store, item("bug"))
    clean, known, claims = set[int](), set[int](), list[Range]()
    for what, number, most in played:
        if what == "claim":
            within = Range(number, 40)
            free = sorted(
                set(range(number, 40)) - clean - known - {at for each in claims for at in range(each.low, each.high)}
            )
            found = store.claim_range(space, within, most, **BY)
            assert (found is None) is (not free)
            if found is not None:
                assert found.low == free[0]
                assert set(range(found.low, found.high)) <= set(free)
                claims.append(found)
        elif claims:
            claim = claims.pop(number % len(claims))
            at = claim.low + number % len(claim)
            if what == "clean":
                store.clean_range(space, claim, **BY)
                clean |= set(range(claim.low, claim.high))
            elif what == "release":
                store.release_range(space, claim, **BY)
            else:
                store.fail_range(space, claim, at, known="bug" if what == "known" else None, **BY)
                clean |= set(range(claim.low, at))
                known |= {at} if what == "known" else set()
    stored = {"clean": set[int](), "known": set[int](), "claimed": set[int]()}
    for each in store.ranges(space, ALL):
        stored[each.state] |= set(range(each.range.low, each.range.high))
    assert stored == {"clean": clean, "known": known, "claimed": {at for c in claims for at in range(c.low, c.high)}}
    neighbours = [each for each in store.ranges(space, ALL) if each.state == "clean"]
    assert all(one.range.high < two.range.low for one, two in pairwise(neighbours))
