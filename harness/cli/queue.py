"""`./loop queue …` (contract 3, H6)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from harness.cli import output
from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.model.errors import HarnessError, Usage
from harness.ops import queue
from harness.ops.answers import Change, Document, Rows

_FLAGS = {
    "--id": "id",
    "--title": "title",
    "--description": "description",
    "--kind": "kind",
    "--repo": "repo",
    "--lane": "lane",
    "--priority": "priority",
    "--not-before": "not_before",
    "--agent": "agent",
    "--model": "model",
    "--branch": "branch",
    "--assigned": "assigned",
    "--on-failure": "on_failure",
    "--dedupe": "dedupe",
}
_ALIASES = {"--kind": "--type", "--repo": "--rig"}
_LISTS = {"--depends-on": "depends_on", "--scope": "scope", "--resource": "resources", "--label": "labels"}
_NUMBERS: dict[str, tuple[str, type]] = {
    "--max-attempts": ("max_attempts", int),
    "--timeout-seconds": ("timeout_seconds", float),
    "--max-cost-usd": ("max_cost_usd", float),
}


def desk_of(call: Invocation, source: str = "cli") -> queue.Desk:
    """For an order that checks items against the configuration."""
    # Orders check items against the configuration, looking does not: pydantic costs more than the rest of a command.
    from harness.ops.forms import form_at  # noqa: PLC0415

    return queue.Desk(call.home, form_at(call.home, call.environ, source), call.actor, call.now())


def take_edits(call: Invocation) -> tuple[str, ...]:
    """The inbox before looking: what was written over queue.json is in the queue when it is shown (H47, C11)."""
    if not queue.edited(call.home):
        return ()
    try:
        return queue.take_edits(desk_of(call, "file:queue.json"))
    except HarnessError as exc:
        return (f"what was edited could not be taken in: {queue.problem_of(exc)}",)


def _item_or_rows(answer: Document | Rows, where: output.Screen) -> Iterable[str]:
    if isinstance(answer, Rows):
        return output.table(answer, where)
    return output.facts(answer.facts["item"])


@command(
    examples=("./loop queue show", "./loop queue show --all --limit 200", "./loop queue show test-001 --json"),
    text=_item_or_rows,
)
@click.argument("item", required=False)
@click.option("--all", "finished", is_flag=True, help="Finished items too.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
def show(call: Invocation, item: str | None, finished: bool, limit: int) -> Document | Rows:
    """The queue in its order, or everything about one ITEM."""
    notes = take_edits(call)
    if item is not None:
        return replace(queue.show_one(call.home, item), notes=notes)
    return replace(queue.show(call.home, call.now(), finished=finished, limit=limit), notes=notes)


def taken_in(facts: Mapping[str, Any], where: output.Screen) -> Iterable[str]:
    """What edits of a file came to, a line each."""
    for word in ("added", "updated", "cancelled"):
        if facts[word]:
            yield f"{word}: {', '.join(facts[word])}"
    yield from facts["reported"]
    if facts["detail"]:
        yield facts["detail"]
    yield from (where.style(f"✗ {problem}", "red") for problem in facts["problems"])


def _checked(answer: Document, where: output.Screen) -> Iterable[str]:
    facts = answer.facts
    yield from taken_in(facts, where)
    yield from (where.style(f"· {each}", "yellow") for each in (*facts["held"], *facts["overlaps"]))
    shown = ", ".join(f"{number} {state}" for state, number in facts["counts"].items() if number)
    yield f"queue: {shown or 'empty'}"


@command(examples=("./loop queue check",), text=_checked)
def check(call: Invocation) -> Document:
    """Take in edits of state/queue.json and name every item that could not be worked on (exit 1)."""
    return queue.check(desk_of(call, "file:queue.json"))


def _item_options(function: Any) -> Any:
    for words, name in reversed([*_FLAGS.items(), *_LISTS.items()]):
        alias = [_ALIASES[words]] if words in _ALIASES else []
        function = click.option(words, *alias, name, multiple=words in _LISTS)(function)
    for words, (name, kind) in reversed(_NUMBERS.items()):
        function = click.option(words, name, type=kind)(function)
    return function


@command(
    examples=(
        './loop queue add \'{"id": "test-001", "type": "test", "title": "…", "priority": "high"}\'',
        './loop queue add --title "Mend the parser" --kind bug-fix --priority high',
        "./loop queue add - < item.json",
    )
)
@click.argument("item", required=False, metavar="[JSON|-]")
@click.option(
    "--file", "file", type=click.Path(path_type=Path, allow_dash=True), help="Read the JSON object from here."
)
@_item_options
def add(call: Invocation, item: str | None, file: Path | None, **flags: Any) -> Change:
    """Add one item from a JSON object, from flags, or both (flags win)."""
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in flags.items() if value}
    document = {**_document(call, item, file), **given}
    if not document:
        raise Usage("there is no item to add", hint="./loop queue add --title TEXT, or a JSON object, - or --file FILE")
    return queue.add(desk_of(call), document)


def _document(call: Invocation, item: str | None, file: Path | None) -> dict[str, Any]:
    if item is not None and file is not None:
        raise Usage("an item is given twice: as an argument and with --file", hint="leave one of them out")
    if item == "-" or (file is not None and str(file) == "-"):
        return dict(queue.parsed(sys.stdin.read(), "standard input"))
    if file is not None:
        return dict(queue.parsed(read(call, file).decode(errors="replace"), str(file)))
    return dict(queue.parsed(item, "the argument")) if item is not None else {}


def read(call: Invocation, file: Path) -> bytes:
    try:
        return (call.cwd / file).read_bytes()
    except OSError as exc:
        raise Usage(f"cannot read {file}: {exc.strerror}", hint="name a file, or - for standard input") from exc


@command(examples=("./loop queue remove test-001",))
@click.argument("item")
def remove(call: Invocation, item: str) -> Change:
    """Cancel ITEM; its record stays, and `queue retry` brings it back."""
    return queue.remove(desk_of(call), item)


@command(examples=("./loop queue retry test-001",))
@click.argument("item")
def retry(call: Invocation, item: str) -> Change:
    """Make ITEM ready again, from any state but leased; it gets at least one more attempt."""
    return queue.retry(desk_of(call), item)


@command(examples=("./loop queue park test-001", "./loop queue park test-001 waits for the new schema"))
@click.argument("item")
@click.argument("reason", nargs=-1)
def park(call: Invocation, item: str, reason: tuple[str, ...]) -> Change:
    """Set ITEM aside, with a REASON: nothing leases it until `queue unpark`."""
    return queue.park(desk_of(call), item, " ".join(reason))


@command(examples=("./loop queue unpark test-001",))
@click.argument("item")
def unpark(call: Invocation, item: str) -> Change:
    """Make a parked ITEM ready again. Attempts stay counted; it gets at least one more."""
    return queue.unpark(desk_of(call), item)


@command(examples=("./loop queue prioritise test-001 critical", "./loop queue prioritise test-001 15"))
@click.argument("item")
@click.argument("priority")
def prioritise(call: Invocation, item: str, priority: str) -> Change:
    """Give ITEM another PRIORITY: critical, high, medium, low, or 0 (first) to 99 (last)."""
    return queue.prioritise(desk_of(call), item, priority)


def _json_list(answer: Rows, _where: output.Screen) -> Iterable[str]:
    return [json.dumps(answer.rows, indent=2, ensure_ascii=False, default=str)]


@command(examples=("./loop queue export > queue.json", "./loop queue export --all --json"), text=_json_list)
@click.option("--all", "finished", is_flag=True, help="Finished items too.")
def export(call: Invocation, finished: bool) -> Rows:
    """Items as a JSON list that `queue import` takes."""
    return queue.export(call.home, call.now(), finished=finished)
