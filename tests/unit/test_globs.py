"""Globs: what covers a path, and whether two cover one in common, held against trying every short path."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.globs import covered
from harness.model.globs_meet import meet

LETTERS = "ab/"
SHORT = tuple("".join(each) for length in range(7) for each in itertools.product(LETTERS, repeat=length))
PIECES = ("a", "b", "/", "*", "?", "**", "**/", "/**", "[ab]", "[!a]", "[b-c]")
patterns = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join)


@cache
def paths(pattern: str) -> frozenset[str]:
    return frozenset(path for path in SHORT if covered(path, [pattern]))


@settings(max_examples=300, deadline=None)
@given(patterns, patterns)
def test_two_globs_meet_exactly_if_some_path_is_covered_by_both(one: str, other: str) -> None:
    by_trying = bool(paths(one) & paths(other))
    assert meet([one], [other]) is by_trying
    assert meet([other], [one]) is by_trying


def test_of_several_one_pair_is_enough() -> None:
    assert meet(["docs/**", "src/a.py"], ["tests", "src/*.py"])
    assert not meet(["docs/**", "src/a.py"], ["tests", "src/b.py"])
    assert not meet([], ["**"])


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("src/**", "src/parser.py", True),
        ("src", "src/parser.py", True),
        ("src/parser.py", "src/printer.py", False),
        ("src/parser.py", "src/parser.pyc", False),
        ("src/**", "tests/**", False),
        ("./src/", "src/**", True),
        ("**/*.py", "docs/**", True),
        ("*.py", "docs/*.py", False),
        ("**/test_*.py", "tests/unit/*_b.py", True),
        ("**/*.md", "**/*.py", False),
        ("conf.d", "conf.d/*.py", True),
        ("src/parser.py", "**/*.md", False),
        ("src/parser.py", "**/*.py", True),
        ("a/*/c", "a/b", True),
        ("a/b?", "a/b", False),
        ("[!a]*.c", "a.c", False),
        ("[a-m]*", "[n-z]*", False),
        ("ü/*.py", "ü/é.py", True),
        ("**", "anything/at/all", True),
    ],
)
def test_as_people_write_them(one: str, other: str, told: bool) -> None:
    assert meet([one], [other]) is told
    assert meet([other], [one]) is told


def test_a_class_that_no_program_can_read_is_letters() -> None:
    assert covered("src/[z-a].c", ["src/[z-a].c"])
    assert meet(["src/[z-a].c"], ["src/*.c"])
    assert not meet(["src/[z-a].c"], ["src/z.c"])


def test_many_wildcards_take_no_time() -> None:
    assert meet(["**/a*b*c*/**/*" * 8], ["*" * 40 + "/**/c"])
