"""What counts as a verdict of a review, and what does not (docs/howto/review.md)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.review import MOST_TOLD, Finding, Review, Unreadable, read_review

HEAD = "verdict: findings\n\n## Findings\n\n"


def test_the_form_of_the_page_is_read() -> None:
    text = (
        "# Review\n\nVerdict: findings\n\n## Findings\n\n- minor README.md: the flag is not named\n"
        "- **blocker** `src/app.py:42-44`: an empty list: IndexError\n  when nobody is there\n\n"
        "## Verification\n\n- ran pytest: green\n"
    )
    assert read_review(text) == Review(
        approved=False,
        findings=(
            Finding("blocker", "src/app.py", 42, "an empty list: IndexError when nobody is there"),
            Finding("minor", "README.md", None, "the flag is not named"),
        ),
    )


@pytest.mark.parametrize("text", ["verdict: approve", "**verdict: approve**\n\n## Findings\n\nNone.\n"])
def test_an_approval_needs_no_more_than_its_line(text: str) -> None:
    assert read_review(text) == Review(approved=True)


def test_an_approval_may_have_minor_findings() -> None:
    read = read_review("verdict: approve\n## Findings\n- minor a.py:1: a typo\n")
    assert (read.approved, read.told()) == (True, "- minor a.py:1: a typo")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no lines"),
        ("I approve this.", "no lines"),
        ("verdict: approved", "no lines"),
        ("verdict: approve or findings", "no lines"),
        ("verdict: approve\nverdict: findings\n## Findings\n- major a: b", "2 lines"),
        ("verdict: findings\n", "there is none"),
        (HEAD, "there is none"),
        (HEAD + "None.\n", "there is none"),
        ("verdict: findings\n\n- major a.py:1: not under the heading\n", "there is none"),
        ("verdict: approve\n## Findings\n- major a.py:1: wrong\n", "there is a major finding"),
        (HEAD + "- huge a.py:1: wrong\n", "line 5 is no finding"),
        (HEAD + "- major wrong everywhere\n", "line 5 is no finding"),
        (HEAD + "- major a.py:1: wrong\nand more\n", "line 6 is no finding"),
        (HEAD + "- minor a: b\n" * 201, "201 findings"),
    ],
)
def test_what_is_not_in_the_form_is_no_verdict_and_says_why(text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read_review(text)


@given(st.text())
def test_nothing_approves_but_the_line_itself(text: str) -> None:
    try:
        approved = read_review(text).approved
    except Unreadable:
        approved = False
    assert not approved or "approve" in text.lower()


def test_what_is_told_is_cut_between_findings_and_says_how_many_are_left_out() -> None:
    read = read_review(HEAD + "".join(f"- minor a.py:{number}: {'x' * 300}\n" for number in range(30)))
    told = read.told()
    assert len(told) <= MOST_TOLD
    assert told.splitlines()[0].startswith("- minor a.py:0: x")
    assert told.splitlines()[-1] == f"… and {30 - len(told.splitlines()) + 1} more in the review's result.md"
