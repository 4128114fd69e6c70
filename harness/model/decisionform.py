"""A question as a file that a person fills in, and what was filled in. Pure.

Words of agents stand behind `> ` or a number: no line of theirs can be taken for an answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.decision import DEFAULT, HOLD, Decision
from harness.model.errors import Usage
from harness.model.text import one_line, plain

MARK = "answer:"
_THEN = {"skip": "the item is skipped", DEFAULT: "the first option is taken"}


def page(decision: Decision, title: str) -> str:
    """What is written to `state/decisions/ID.md`."""
    lines = [
        f"# Decision {decision.id}: {decision.item}",
        "",
        f"- item: {decision.item}: {one_line(title, 200)}",
        *([f"- session: {decision.session}"] if decision.session else []),
        f"- asked: {_local(decision)}",
        f"- deadline: {until(decision)}",
        "",
        *(f"> {line}".rstrip() for line in plain(decision.question).splitlines()),
        "",
        *(f"{number}. {one_line(option)}" for number, option in enumerate(decision.options, start=1)),
        *([""] if decision.options else []),
        "Write an option, its number, or any text behind `answer:`, and save; more lines below belong to it.",
        f"Or: ./loop decision answer {decision.id} TEXT",
        "",
        f"{MARK} ",
    ]
    return "\n".join(lines) + "\n"


def until(decision: Decision) -> str:
    """The deadline and what happens then, for people."""
    if decision.deadline_at is None or decision.on_timeout == HOLD:
        return "none; it waits"
    return f"{decision.deadline_at.astimezone().isoformat(timespec='seconds')}, then {_THEN[decision.on_timeout]}"


def _local(decision: Decision) -> str:
    return decision.asked_at.astimezone().isoformat(timespec="seconds")


def filled(text: str) -> str | None:
    """What stands behind `answer:`, None if nothing does yet. Raises Usage for a file without that line, and for two
    different answers.
    """
    answers = [each.strip() for each in _behind_marks(text)]
    if not answers:
        raise Usage(f"there is no line that begins with {MARK}", hint=f"write one: {MARK} TEXT")
    given = list(dict.fromkeys(answer for answer in answers if answer))
    if len(given) > 1:
        raise Usage(f"it has {len(given)} answers", hint="leave one of them")
    return given[0] if given else None


def _behind_marks(text: str) -> Iterator[str]:
    """From each mark to the next, or to the end."""
    found: list[str] | None = None
    for line in text.splitlines():
        if line[: len(MARK)].lower() == MARK:
            if found is not None:
                yield "\n".join(found)
            found = [line[len(MARK) :]]
        elif found is not None:
            found.append(line)
    if found is not None:
        yield "\n".join(found)
