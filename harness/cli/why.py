"""`./loop why`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.output import Screen, local
from harness.model.journal import Entry
from harness.model.text import one_line, plain
from harness.ops import why as ops
from harness.ops.answers import Document
from harness.ops.why import Why

_MOST = 120


def _lines(answer: Document, where: Screen) -> Iterable[str]:
    found: Why = answer.facts
    yield where.style(f"{found.kind} {found.subject} is {found.state}", "bold")
    yield from _part("why", found.because)
    if found.rule is not None:
        counted = "counted" if found.rule["counted"] else "not counted"
        yield from _part("rule", f"{found.rule['ending']}: cause {found.rule['cause']}, {counted}")
        yield from _part("help", str(found.rule["hint"]))
    yield from _part("seen", found.evidence)
    yield from _part("symptom", found.symptom)
    yield from _part("same", found.sameness)
    for attempt in found.attempts:
        ended = attempt["outcome"] or attempt["phase"]
        ending = f" ({attempt['ending']})" if attempt["ending"] else ""
        yield from _part(
            "tried", f"{attempt['number']}: {ended}{ending} {one_line(attempt['sentence'], _MOST)}".rstrip()
        )
    yield from (line for entry in found.entries for line in _part("then", _entry(entry)))
    yield from _part("next", found.next)


def _part(name: str, text: str) -> Iterator[str]:
    first, *rest = plain(text).splitlines() or [""]
    if first or rest:
        yield f"  {name:<6} {first}"
        yield from (f"         {line}" for line in rest)


def _entry(entry: Entry) -> str:
    shown = ("reason", "outcome", "ending", "status", "phase", "to", "branch", "detail")
    facts = ", ".join(f"{key} {entry.data[key]}" for key in shown if entry.data.get(key))
    return f"{local(entry.at)} {entry.kind} {one_line(facts, _MOST)}"


@command(examples=("./loop why test-001", "./loop why ses_0123456789ab", "./loop why pause"), text=_lines)
@click.argument("subject", metavar="ITEM|SESSION|pause")
def why(call: Invocation, subject: str) -> Document:
    """Why an item or session is as it is, or why the loop is paused; and what happens next."""
    return ops.why(call.home, subject, call.environ)
