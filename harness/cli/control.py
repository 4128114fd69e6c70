"""`./loop pause`, `resume`, `stop`."""

from __future__ import annotations

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.model.errors import ConfigError
from harness.ops import control
from harness.ops.answers import Change

USUAL_STOP_SECONDS = 120.0
GRACE_SECONDS = 10.0
"""For the loop's own farewell after `stop_timeout`."""


@command(examples=("./loop pause", './loop pause "waiting for the new database"'))
@click.argument("reason", nargs=-1)
def pause(call: Invocation, reason: tuple[str, ...]) -> Change:
    """Pause the loop: a running session is interrupted, its context kept; `resume` lets it go on."""
    return control.pause(call.home, " ".join(reason))


@command(examples=("./loop resume",))
def resume(call: Invocation) -> Change:
    """End every pause: the interrupt file's and those for auth, limits, a repository, a kind."""
    return control.resume(call.home, call.actor, call.now())


@command(examples=("./loop stop", "./loop stop --now", "./loop stop --orphans"))
@click.option("--now", is_flag=True, help="End running sessions at once; their work is saved all the same.")
@click.option("--orphans", is_flag=True, help="End what killed loops left running, and nothing else.")
def stop(call: Invocation, now: bool, orphans: bool) -> Change:
    """End the loop and its workers and wait for them. What runs is wound up, saved and can be resumed. Exit 3 when none
    runs.
    """
    if orphans:
        return _orphans(call)
    return control.stop(call.home, now=now, wait_seconds=_stop_seconds(call) + GRACE_SECONDS)


def _orphans(call: Invocation) -> Change:
    from harness.app.orphans import end_orphans  # noqa: PLC0415 - only this one needs it

    swept = end_orphans(call.home)
    if not swept.processes:
        return Change("orphans", applied=False, detail="no killed loop has left anything running")
    of = f" of {', '.join(swept.sessions)}" if swept.sessions else ""
    detail = f"{swept.processes} process(es){of} ended; the next ./loop run saves their work and settles their items"
    return Change("orphans", applied=True, detail=detail)


def _stop_seconds(call: Invocation) -> float:
    """How long the loop may take; a broken configuration must not keep it from being stopped."""
    from harness.config.load import load  # noqa: PLC0415 - only this one needs it

    try:
        return float(load(call.home.root, call.environ).config.harness.stop_timeout)
    except ConfigError:
        return USUAL_STOP_SECONDS
