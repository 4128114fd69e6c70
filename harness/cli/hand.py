"""`./loop queue take`, `submit` and `return`: an item in the hands of a person (O10)."""

from __future__ import annotations

from collections.abc import Mapping

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.ops.answers import Change
from harness.ops.queue import Desk


def _desk(call: Invocation) -> Desk:
    from harness.ops.forms import form_at  # noqa: PLC0415  # as in `queue`: looking at commands costs no pydantic

    return Desk(call.home, form_at(call.home, call.environ, "cli"), call.actor, call.now())


def _me(environ: Mapping[str, str]) -> str:
    """Whom the surroundings say to be at the keyboard."""
    named = (environ.get(name) for name in ("BD_ACTOR", "USER", "LOGNAME"))
    return next((name for name in named if name), "operator")


@command(examples=("./loop queue take test-001", "./loop queue take test-001 --as alice"))
@click.argument("item")
@click.option("--as", "person", metavar="NAME", help="Who takes it (default: BD_ACTOR, else your login name).")
def take(call: Invocation, item: str, person: str | None) -> Change:
    """Take ITEM over as a person: its folder, a brief, and no agent until it is handed in or given back."""
    return taken_by(call, item, person)


def taken_by(call: Invocation, item: str, person: str | None) -> Change:
    """Give an item to a person, None = whoever asks."""
    from harness.app import handwork  # noqa: PLC0415

    return handwork.take(_desk(call), item, call.environ, person or _me(call.environ))


@command(examples=("./loop queue submit test-001", "./loop queue submit test-001 --message 'Mend the parser'"))
@click.argument("item")
@click.option("-m", "--message", metavar="TEXT", help="Commit what is uncommitted, with this message.")
def submit(call: Invocation, item: str, message: str | None) -> Change:
    """Hand in what you did: the gates and the integration of an agent's work. Red: it stays with you, uncounted."""
    from harness.app import handwork  # noqa: PLC0415

    return handwork.submit(_desk(call), item, call.environ, message)


@command(examples=("./loop queue return test-001",))
@click.argument("item")
def return_(call: Invocation, item: str) -> Change:
    """Give ITEM back to the loop; the next session goes on from what you left."""
    from harness.app import handwork  # noqa: PLC0415

    return handwork.give_back(_desk(call), item, call.environ)
