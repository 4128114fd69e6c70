"""`./loop policy …`."""

from __future__ import annotations

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.ops.answers import Rows


@command(
    examples=("./loop policy test", "./loop policy test 'git push origin main' 'make deploy'"),
)
@click.argument("commands", metavar="[COMMAND]...", nargs=-1)
def test(call: Invocation, commands: tuple[str, ...]) -> Rows:
    """Would these commands be allowed? Runs none. Without COMMAND: 140 disguised ones, and what deals with each."""
    from harness.ops.policy import test as tested  # noqa: PLC0415 - loads the configuration

    return tested(call.home, call.environ, commands, call.now())
