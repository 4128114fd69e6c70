"""`./loop config …`."""

from __future__ import annotations

import json
from collections.abc import Iterable

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.output import Screen
from harness.ops import configuration
from harness.ops.answers import Document, Rows


@command(examples=("./loop config show", "./loop config show --origin", "./loop config show --jq '.rows[].key'"))
@click.option("--origin", is_flag=True, help="Where each value came from.")
def show(call: Invocation, origin: bool) -> Rows:
    """Every value in force: defaults, config.yaml, environment; secrets masked."""
    return configuration.show(call.home, call.environ, call.now(), origin=origin)


def _checked(answer: Document, where: Screen) -> Iterable[str]:
    facts = answer.facts
    if facts["valid"]:
        yield f"{where.style('✓', 'green')} {facts['file']} is right"
        return
    for problem in facts["problems"]:
        parts = (problem["place"], problem["key"], problem["message"])
        yield f"{where.style('✗', 'red')} {': '.join(part for part in parts if part)}"


@command(examples=("./loop config check",), text=_checked)
def check(call: Invocation) -> Document:
    """Is config.yaml right? Every mistake with file, line, key and what is allowed (exit 78 if there is one)."""
    return configuration.check(call.home, call.environ)


def _schema(answer: Document, _where: Screen) -> Iterable[str]:
    return [json.dumps(answer.facts, indent=2)]


@command(examples=("./loop config schema > config.schema.json",), text=_schema)
def schema(_call: Invocation) -> Document:
    """JSON Schema of config.yaml, for editors."""
    return configuration.schema()
