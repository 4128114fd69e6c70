"""`./loop task …`: the queue as tasks, and `tasks/*.md` (R4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import click

from harness.cli import output
from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.queue import desk_of, take_edits, taken_in
from harness.model.text import plain
from harness.ops import tasks
from harness.ops.answers import Change, Document, Rows


@command(examples=("./loop task list", "./loop task list --all"))
@click.option("--all", "finished", is_flag=True, help="Finished ones too.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
def list_(call: Invocation, finished: bool, limit: int) -> Rows:
    """What is active, then the backlog in its order."""
    notes = take_edits(call)
    return replace(tasks.list_(call.home, call.now(), finished=finished, limit=limit), notes=notes)


def _block(answer: Document, _where: output.Screen) -> Iterable[str]:
    yield from plain(answer.facts["block"]).splitlines()
    yield f"(on the page {answer.facts['page']})"


@command(examples=("./loop task show task-001",), text=_block)
@click.argument("task")
def show(call: Invocation, task: str) -> Document:
    """One TASK, as its page shows it."""
    notes = take_edits(call)
    return replace(tasks.show(call.home, task, call.actor), notes=notes)


@command(examples=("./loop task start task-001 --as alice",))
@click.argument("task")
@click.option("--as", "person", metavar="NAME", help="Whose it is. [default: BD_ACTOR, else your login]")
def start(call: Invocation, task: str, person: str | None) -> Change:
    """Start TASK yourself: as `queue take`, with a folder and a brief."""
    from harness.cli.hand import taken_by  # noqa: PLC0415 - git and prompts are for those who start one

    return taken_by(call, task, person)


@command(examples=("./loop task complete task-001 done in the other repository",))
@click.argument("task")
@click.argument("summary", nargs=-1)
def complete(call: Invocation, task: str, summary: tuple[str, ...]) -> Change:
    """Say that TASK is done, with a SUMMARY. Nothing proves it: `queue submit` does, for what you committed."""
    return tasks.complete(desk_of(call), task, " ".join(summary))


def _synced(answer: Document, where: output.Screen) -> Iterable[str]:
    facts = answer.facts
    yield from taken_in(facts, where)
    yield f"tasks: {facts['folder']}"


@command(examples=("./loop task sync",), text=_synced)
def sync(call: Invocation) -> Document:
    """Take in what was written into tasks/*.md, and write them. From the first time on, they are kept by themselves."""
    return tasks.sync(desk_of(call, "file:tasks"))
