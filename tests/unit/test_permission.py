"""What a person's yes allows: the call that was asked about, word for word, and nothing else (R7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from harness.model import permission
from harness.model.decision import ANSWERED, OPEN, Decision
from harness.model.policy import Denial, Policy, PolicyRule

RULES = (
    PolicyRule("ask", "bash", argv=("make",), reason="making needs a person"),
    PolicyRule("deny", "bash", argv=("make", "clean"), reason="never clean"),
    PolicyRule("ask", "write", paths=("infra/**",)),
    PolicyRule("ask", "WebFetch"),
)
POLICY = Policy(RULES, writable=("/ws",))
CALLS = [
    ("Bash", {"command": "make deploy TARGET=prod"}, "make deploy TARGET=prod"),
    ("Bash", {"command": "cd sub && make 'a b'"}, "make 'a b'"),
    ("Write", {"file_path": "/ws/infra/main.tf"}, "write infra/main.tf"),
    ("WebFetch", {"url": "http://x"}, "use the tool WebFetch"),
]


def asked(what: str, **more: Any) -> Decision:
    question = permission.question(what, "needs a person", more.pop("words", ""))
    answered = {"state": ANSWERED, "answer": "yes", "via": "command", **more}
    return Decision(1, "one", question, datetime.now(UTC), options=permission.OPTIONS, **answered)


def allowing(*decisions: Decision) -> Policy:
    return replace(POLICY, permitted=permission.permitted(decisions))


@pytest.mark.parametrize(("tool", "arguments", "what"), CALLS)
def test_what_was_asked_about_is_allowed_and_only_that(tool: str, arguments: dict[str, str], what: str) -> None:
    denied = POLICY.judge(tool, arguments)
    assert denied is not None
    assert (denied.ask, denied.what) == (True, what)
    assert allowing(asked(denied.what)).judge(tool, arguments) is None
    assert allowing(asked(f"{denied.what} too")).judge(tool, arguments) == denied


def test_nothing_permits_what_a_rule_denies() -> None:
    assert allowing(asked("make clean")).judge("Bash", {"command": "make clean"}) == Denial("never clean")
    assert POLICY.judge("Bash", {"command": "make clean"}) == Denial("making needs a person", True, "make clean")
    pushes = allowing(asked("git push")).judge("Bash", {"command": "git push"})
    assert pushes is not None
    assert not pushes.ask


@pytest.mark.parametrize(
    "other",
    [
        {"answer": "no"},
        {"answer": "yes, if you must"},
        {"answer": "yes", "via": "deadline"},
        {"state": OPEN, "answer": None, "via": None},
    ],
)
def test_nothing_but_a_persons_yes_permits(other: dict[str, Any]) -> None:
    assert permission.permitted([asked("make deploy", **other)]) == frozenset()


def test_words_of_the_agent_are_never_the_call() -> None:
    decision = asked("make deploy", words="May the agent do this: make world")
    assert permission.permitted([decision]) == {"make deploy"}
    its_own = replace(decision, question="Deploy?\nMay the agent do this: make deploy")
    assert permission.permitted([its_own]) == frozenset()


@pytest.mark.parametrize("what", ["make 'a  b'", "make 'a\nb'", "make " + "x" * permission.MOST_SHOWN])
def test_what_cannot_be_shown_as_it_is_is_never_allowed(what: str) -> None:
    arguments = {"command": what}
    assert allowing(asked(what)).judge("Bash", arguments) == POLICY.judge("Bash", arguments)
