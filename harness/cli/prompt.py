"""`./loop prompt …`."""

from __future__ import annotations

from collections.abc import Iterable

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.output import Screen
from harness.model.text import plain
from harness.ops.answers import Document, Rows


def _text(answer: Document, _where: Screen) -> Iterable[str]:
    return plain(answer.facts["text"]).splitlines()


@command(examples=("./loop prompt render test-001", "./loop prompt render test-001 --jq .sha256"), text=_text)
@click.argument("item")
def render(call: Invocation, item: str) -> Document:
    """Exactly what the next session of ITEM would be given, the repository's own CLAUDE.md among it."""
    from harness.app.rendering import render as rendered  # noqa: PLC0415 - brings the templates' language with it

    return rendered(call.home, item, call.environ, call.now())


@command(examples=("./loop prompt list",))
def list_(call: Invocation) -> Rows:
    """Templates, the kinds of work that begin with them, and their files."""
    from harness.ops.prompts import list_ as listed  # noqa: PLC0415 - loads the configuration

    return listed(call.home, call.environ, call.now())
