"""`./loop schedule …`: what recurs."""

from __future__ import annotations

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.ops.answers import Change, Rows


@command(examples=("./loop schedule list", "./loop schedule list --jq '.rows[] | select(.state == \"failed\") | .log'"))
def list_(call: Invocation) -> Rows:
    """What recurs: when it fires next, and what became of its last slot."""
    from harness.ops import schedules  # noqa: PLC0415  # the configuration costs other commands nothing

    return schedules.list_(call.home, call.environ, call.now())


@command(examples=("./loop schedule run index",))
@click.argument("name")
def run(call: Invocation, name: str) -> Change:
    """Fire NAME now, whatever its slots, gap and window say: add its item, or run its command and wait for its end.

    Exit 1 if the command failed, or if its last item is not finished: that takes the new one in.
    """
    from harness.app import firing  # noqa: PLC0415

    return firing.fire_now(call.home, call.environ, call.actor, name)
