"""Questions to a person: what one is, when its time is over, what counts as an answer (C11). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from harness.model.errors import Refused, Usage
from harness.model.text import encodable

OPEN, ANSWERED, SKIPPED, CLOSED = "open", "answered", "skipped", "closed"
SKIP, DEFAULT, HOLD = "skip", "default", "hold"
MOST_ANSWER = 20_000
_COMMAND = "./loop "


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when a question waits, and what happens then: skip, default or hold. `at` None = it waits for ever."""

    at: datetime | None = None
    then: str = HOLD


NO_DEADLINE = Deadline()


@dataclass(frozen=True, slots=True)
class Decision:
    """A question of one item. `state` open, answered, skipped (nobody came) or closed (its item went on without it);
    `via` command, file or deadline; `reason` says why it was skipped or closed.
    """

    id: int
    item: str
    question: str
    asked_at: datetime
    options: tuple[str, ...] = ()
    session: str | None = None
    deadline_at: datetime | None = None
    on_timeout: str = HOLD
    state: str = OPEN
    answer: str | None = None
    answered_at: datetime | None = None
    answered_by: str | None = None
    via: str | None = None
    reason: str = ""


def deadline_of(options: Sequence[str], hours: float, then: str, now: datetime) -> Deadline:
    """When a question of now is over. Proved work that waits for a yes is never dropped by the clock; without options
    there is no default to take.
    """
    if any(map(is_command, options)):
        return NO_DEADLINE
    return Deadline(now + timedelta(hours=hours), SKIP if then == DEFAULT and not options else then)


def is_command(option: str) -> bool:
    """Whether an option is said by running a command, not by an answer."""
    return _COMMAND in option


def meant(decision: Decision, text: str) -> str:
    """The answer that a person typed: an option by its name or number, or any text.

    Raises Usage for nothing, and for what cannot be stored; Refused for an option that is a command.
    """
    said = text.strip()
    if not said:
        raise Usage("the answer is empty", hint=f"./loop decision show {decision.id}")
    if len(said) > MOST_ANSWER or "\0" in said or encodable(said) != said:
        raise Usage("the answer is no plain text", hint=f"UTF-8 without NUL, at most {MOST_ANSWER} characters")
    option = _option(decision.options, said)
    if option is not None and is_command(option):
        command = _COMMAND + option.partition(_COMMAND)[2]
        raise Refused(f"that is done by a command: {option}", hint=command)
    return said if option is None else option


def _option(options: Sequence[str], said: str) -> str | None:
    named = [
        option for option in options if said.casefold() in {option.casefold(), option.partition(":")[0].casefold()}
    ]
    if named:
        return named[0]
    return options[int(said) - 1] if said.isdecimal() and len(said) < 4 and 0 < int(said) <= len(options) else None


def words_of(answered: Sequence[Decision]) -> tuple[str, str]:
    """Question and answer for the next prompt; of several, numbered alike, oldest first."""
    if len(answered) == 1:
        return answered[0].question, answered[0].answer or ""
    numbered = list(enumerate(answered, start=1))
    questions = "\n".join(f"{number}. {each.question}" for number, each in numbered)
    return questions, "\n".join(f"{number}. {each.answer}" for number, each in numbered)


def ended(decision: Decision) -> str:
    """How a question ended, in one sentence for people; "" while it is open."""
    at = decision.answered_at.astimezone().isoformat(timespec="seconds") if decision.answered_at else ""
    match decision.state:
        case "answered":
            return f"answered by {decision.answered_by} ({decision.via}) at {at}: {decision.answer}"
        case "open":
            return ""
        case _:
            return f"{decision.state} at {at}: {decision.reason}" if at else f"{decision.state}: {decision.reason}"
