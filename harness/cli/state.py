"""`./loop state …`: the state folder as a whole."""

from __future__ import annotations

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.ops.answers import Change
from harness.ops.reset import reset as set_aside


@command(examples=("./loop state reset --yes",))
@click.option("--yes", is_flag=True, help="Do it; without this it only says what it would do (exit 2).")
def reset(call: Invocation, yes: bool) -> Change:
    """Begin anew: state/ is moved aside whole, and the way back is printed. Refused while a loop runs."""
    return set_aside(call.home, call.now(), confirmed=yes)
