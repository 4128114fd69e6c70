"""`./loop audit …`: is what is on record true?"""

from __future__ import annotations

from collections.abc import Iterable

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.output import Screen
from harness.model.text import one_line
from harness.ops.answers import Document

SHOWN = 50


def _shown(answer: Document, _where: Screen) -> Iterable[str]:
    facts = answer.facts
    yield from (one_line(text) for text in facts["violations"][:SHOWN])
    if (more := len(facts["violations"]) - SHOWN) > 0:
        yield f"… and {more} more (--json has all)"
    word = "agrees with its journal" if facts["agrees"] else "does not agree with its journal; ./loop backup list"
    yield f"the state {word}: {facts['items']} items, {facts['entries']} entries"


@command(examples=("./loop audit verify", "./loop audit verify --jq '.violations[]'"), text=_shown)
def verify(call: Invocation) -> Document:
    """Replay the journal and compare items, attempts, sessions and pauses with it. Exit 1 if they differ."""
    from harness.ops import audit  # noqa: PLC0415 - the rules of every ending are needed by nobody else

    return audit.verify(call.home)
