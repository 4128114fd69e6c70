"""Pages that are made from the model: `python -m harness.model.reference NAME > FILE` for the three in PAGES.

What the queue does about an ending is not written here: `dispose` is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from harness.model.outcome import (
    AGENT_BACKOFF,
    API_BACKOFF,
    ENDINGS,
    LIMIT_BACKOFF,
    LIMIT_GRACE,
    MAX_RESCUES,
    PROBE_BACKOFF,
    Backoff,
    Cause,
    Failed,
    Resume,
    Rule,
    Scope,
    dispose,
)
from harness.model.situations import SITUATIONS
from harness.model.work import TRANSITIONS, WorkItem, WorkState

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_ITEM = WorkItem("example", "an example", attempts=0, max_attempts=3)

_ENDINGS_HEAD = """# Endings

Made from `harness.model.outcome` by `python -m harness.model.reference endings`, kept current by a test.

A session that does not end well has exactly one ending. Its cause decides what happens next: only endings of cause
*agent* count against the item. `./loop why ITEM` names the ending of an item and what happens next.

- **then**: the state of the item afterwards. At `max_attempts` counted endings it is `parked`.
  The first two `context_full` of an item are not counted: a fresh session takes the work over at once.
- **next session**: *same* goes on with the same conversation, *fresh* begins a new one on the work that is there,
  *anew* one without that work, on the newest state of the branch.
- **pauses**: what else is not leased until it is mended; one session tries again when the wait is over.
"""
_CAUSES: Mapping[Cause, str] = MappingProxyType(
    {
        Cause.AGENT: "The agent's doing.",
        Cause.REVIEW: "Another session has read the work and found something.",
        Cause.LIMIT: "The account has used up what it may use now.",
        Cause.API: "The API did not answer, or not well.",
        Cause.AUTH: "Nobody can work with this account.",
        Cause.CONFIG: "Something that an operator set up does not work.",
        Cause.RESOURCE: "The machine or the target branch is not fit.",
        Cause.HARNESS: "The session or the loop broke.",
        Cause.PERMANENT: "Trying again would not help.",
    }
)
_SCOPES: Mapping[Scope, str] = MappingProxyType(
    {
        Scope.ITEM: "this item",
        Scope.KIND: "items of this kind",
        Scope.CREDENTIAL: "all sessions",
        Scope.REPO: "this repository",
        Scope.LOOP: "the loop",
    }
)
_SITUATIONS_HEAD = """# Situations

Made from `harness.model.situations` by `python -m harness.model.reference situations`, kept current by a test.

What goes wrong around the loop, how it shows, and what helps. In none of these is an attempt counted or an item lost.
The exit code is that of `./loop run --once`; a loop without end goes on as the third column says. What goes wrong
inside a session is in [endings](endings.md).
"""
_STATES_HEAD = """# Item states

Made from `harness.model.work.TRANSITIONS` by `python -m harness.model.reference states`, kept current by a test.
The database refuses every other move.

"""


def endings() -> str:
    """docs/reference/endings.md."""
    return "".join([_ENDINGS_HEAD, *(part for cause in Cause for part in _of_cause(cause))])


def situations() -> str:
    """docs/reference/situations.md."""
    head = ("situation", "shows as", "then", "exit", "next")
    rows = [(s.what, f"{s.shows} `{s.name}`", s.then, str(s.exit_code), _code(s.next)) for s in SITUATIONS.values()]
    return _SITUATIONS_HEAD + "\n" + _table(head, rows)


def states() -> str:
    """docs/reference/states.md: the state diagram of a work item."""
    moves = [f"    {old} --> {new}\n" for old, targets in TRANSITIONS.items() for new in sorted(targets)]
    return "".join([_STATES_HEAD, "```mermaid\nstateDiagram-v2\n", "    [*] --> ready\n", *moves, "```\n"])


def _of_cause(cause: Cause) -> Iterator[str]:
    rules = {name: rule for name, rule in ENDINGS.items() if rule.cause is cause}
    head = ("ending", "what happened", "then", "next session", "pauses", "what helps")
    yield f"\n## Cause {cause}\n\n{_CAUSES[cause]} {_counted(next(iter(rules)))}\n{_wait(cause)}\n\n"
    yield _table(head, [_row(name, rule) for name, rule in rules.items()])


def _row(name: str, rule: Rule) -> Sequence[str]:
    done = dispose(_ITEM, Failed(name), _NOON)
    session = str(rule.resume)
    if rule.resume is Resume.NO:
        session = "none" if done.state is WorkState.PARKED else "anew"
    pauses = _SCOPES[done.pause] if done.pause else "nothing"
    return (f"`{name}`", rule.sentence, f"`{done.state}`", session, pauses, _code(rule.hint))


def _counted(name: str) -> str:
    return "Counted." if dispose(_ITEM, Failed(name), _NOON).counted else "Not counted."


def _wait(cause: Cause) -> str:
    """How long, in words; a cause without a wait of its own says what bounds it."""
    match cause:
        case Cause.AGENT:
            return f"Next attempt after {_shown(AGENT_BACKOFF)}."
        case Cause.REVIEW:
            return "At once; after `kinds.NAME.review.rounds` times a person is asked instead."
        case Cause.LIMIT:
            grace = f"{LIMIT_GRACE.total_seconds():g} s"
            return f"Wait: until the reset that the API named and {grace}; if it named none, {_shown(LIMIT_BACKOFF)}."
        case Cause.API:
            return f"Next session after {_shown(API_BACKOFF)}."
        case Cause.AUTH | Cause.CONFIG | Cause.RESOURCE:
            return f"Where something is paused, one session tries again after {_shown(PROBE_BACKOFF)}."
        case Cause.HARNESS:
            return f"At once; resumed once, then afresh; {MAX_RESCUES} in a row: `parked`, uncounted."
        case Cause.PERMANENT:
            return "Parked at once."


def _shown(backoff: Backoff) -> str:
    low, high = (_span(backoff.delay(1, spread)) for spread in (0.0, 1.0))
    first = low if low == high else f"{low} to {high}"
    return (
        f"{first}, each time {backoff.factor:g} times as long, at most {_span(timedelta(seconds=backoff.cap_seconds))}"
    )


def _span(delay: timedelta) -> str:
    seconds = delay.total_seconds()
    return f"{seconds / 60:g} min" if seconds >= 60 and seconds % 60 == 0 else f"{seconds:g} s"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _code(text: str) -> str:
    """A hint with its commands set as code: each runs from `./loop` to the next comma, colon, or word for people."""
    parts = []
    for part in text.split(", "):
        before, found, command = part.partition("./loop")
        words = f"{found}{command}".split(" says", 1)
        parts.append(f"{before}`{words[0]}`{''.join(f' says{rest}' for rest in words[1:])}" if found else part)
    return ", ".join(parts)


PAGES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {"endings": endings, "situations": situations, "states": states}
)
"""Name -> text of docs/reference/NAME.md."""


if __name__ == "__main__":
    sys.stdout.write(PAGES[sys.argv[1]]())
