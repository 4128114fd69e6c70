"""A person's permission for one call that a rule of the policy asks about (R7). Pure.

A rule with `ask` refuses a call and puts the question; a person's `yes` allows that call, word for word, in every later
session of the item. What another rule denies stays denied.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.model.decision import ANSWERED, Decision
from harness.model.text import one_line

NO, YES = "no", "yes"
OPTIONS = (NO, YES)
"""No first: what nobody answers in time is never allowed."""
MOST_SHOWN = 2000
_ASKED = "May the agent do this: "
_BY_HAND = frozenset({"command", "file"})


def question(what: str, reason: str, words: str = "") -> str:
    """What a person is asked; the first line is the call alone. `words` are the agent's own about it."""
    lines = [f"{_ASKED}{shown(what)}", reason]
    return "\n".join([*lines, f"The agent says: {words}"] if words else lines)


def shown(what: str) -> str:
    """A call on one line; one too long to be shown whole is never allowed."""
    return one_line(what, MOST_SHOWN)


def permitted(decisions: Iterable[Decision]) -> frozenset[str]:
    """The calls that persons have permitted."""
    return frozenset(
        each.question.partition("\n")[0].removeprefix(_ASKED)
        for each in decisions
        if each.question.startswith(_ASKED) and each.options == OPTIONS
        if each.state == ANSWERED and each.answer == YES and each.via in _BY_HAND
    )
