"""Ranges, held against sets of integers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.errors import Usage
from harness.model.ranges import Range, first_gap, gaps, parse_range, subtract, union

ends = st.integers(-12, 12)
ranges = st.tuples(ends, st.integers(1, 8)).map(lambda pair: Range(pair[0], pair[0] + pair[1]))
several = st.lists(ranges, max_size=6)


def positions(*found: Range) -> set[int]:
    return {position for each in found for position in range(each.low, each.high)}


def is_least(found: tuple[Range, ...]) -> bool:
    return all(before.high < after.low for before, after in pairwise(found))


@given(several, several)
def test_union_and_subtraction_are_those_of_sets(some: list[Range], others: list[Range]) -> None:
    assert positions(*union(some)) == positions(*some)
    assert positions(*subtract(some, others)) == positions(*some) - positions(*others)
    assert is_least(union(some))
    assert is_least(subtract(some, others))


@given(ranges, several, st.integers(1, 5))
def test_gaps_are_what_is_free_from_the_beginning(within: Range, taken: list[Range], most: int) -> None:
    free = positions(within) - positions(*taken)
    found = tuple(gaps(within, union(taken)))
    assert positions(*found) == free
    assert is_least(found)
    first = first_gap(within, union(taken), most)
    if not free:
        assert first is None
        return
    assert first is not None
    assert (first.low, len(first) <= most) == (min(free), True)
    assert positions(first) <= free
    assert len(first) == most or first.high not in free


@given(ranges, ranges)
def test_overlapping_and_covering_are_those_of_sets(one: Range, other: Range) -> None:
    assert one.overlaps(other) is bool(positions(one) & positions(other))
    assert one.covers(other) is (positions(other) <= positions(one))


@given(ranges)
def test_people_read_and_write_both_ends(one: Range) -> None:
    assert str(one) == f"{min(positions(one))}..{max(positions(one))}"
    assert parse_range(str(one)) == one


def test_as_people_write_it() -> None:
    assert parse_range(" 60_000_000 .. 60_099_999 ") == Range(60_000_000, 60_100_000)
    assert len(parse_range("7..7")) == 1


@pytest.mark.parametrize("text", ["", "7", "8..7", "a..b", "1...2", "_..3", "1..2..3"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(Usage, match="not a range"):
        parse_range(text)


def test_there_is_no_empty_range() -> None:
    with pytest.raises(ValueError, match=r"an empty range: \[3, 3\)"):
        Range(3, 3)
