"""`./loop decision …`: questions to a person (C11)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import click

from harness.cli import output
from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.queue import desk_of, take_edits
from harness.ops import decisions
from harness.ops.answers import Change, Document, Rows


@command(examples=("./loop decision list", "./loop decision list --all --jq '.rows[] | select(.state == \"skipped\")'"))
@click.option("--all", "ended", is_flag=True, help="Those that ended too, newest first.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
def list_(call: Invocation, ended: bool, limit: int) -> Rows:
    """Open questions, oldest first."""
    notes = take_edits(call)
    return replace(decisions.list_(call.home, call.now(), ended_too=ended, limit=limit), notes=notes)


def _facts(answer: Document, _where: output.Screen) -> Iterable[str]:
    return output.facts({name: value for name, value in answer.facts["decision"].items() if value is not None})


@command(examples=("./loop decision show 7", "./loop decision show test-001"), text=_facts)
@click.argument("decision", metavar="ID|ITEM")
def show(call: Invocation, decision: str) -> Document:
    """One question, by its number or its item: its options, until when it waits, how it ended."""
    notes = take_edits(call)
    return replace(decisions.show(call.home, decision), notes=notes)


@command(examples=("./loop decision answer 7 2", "./loop decision answer test-001 red, but not too dark"))
@click.argument("decision", metavar="ID|ITEM")
@click.argument("answer", nargs=-1, required=True)
def answer(call: Invocation, decision: str, answer: tuple[str, ...]) -> Change:
    """Answer a question: an option by its name or number, or any text. Its item is ready then, and its agent told.

    Exit 1 if it is answered already: who did, and when.
    """
    return decisions.answer(desk_of(call), decision, " ".join(answer))
