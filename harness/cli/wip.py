"""`./loop wip …`: autosaves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.output import Screen, facts
from harness.model.errors import Usage
from harness.model.text import plain
from harness.ops import wip
from harness.ops.answers import Change, Document, Rows, jsonable


@command(examples=("./loop wip list", "./loop wip list --item test-001 --json"))
@click.option("--item", help="Autosaves of this item only.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
def list_(call: Invocation, item: str | None, limit: int) -> Rows:
    """Saved work of sessions, newest first."""
    return wip.list_(call.home, call.environ, call.now(), item=item, limit=limit)


def _shown(answer: Document, _where: Screen) -> Iterable[str]:
    whole = dict(answer.facts)
    difference = str(whole.pop("diff"))
    yield from facts(jsonable(whole))
    yield from plain(difference).splitlines()


@command(examples=("./loop wip show ses_0123456789ab/2", "./loop wip show test-001 --patch"), text=_shown)
@click.argument("save")
@click.option("--patch", is_flag=True, help="The whole difference, not only its figures.")
def show(call: Invocation, save: str, patch: bool) -> Document:
    """What SAVE holds. SAVE is `session/number`; a session or item alone means its newest one."""
    return wip.show(call.home, call.environ, save, patch=patch)


@command(
    examples=("./loop wip restore ses_0123456789ab/2 --to ../rescued", "./loop wip restore test-001 --workspace"),
)
@click.argument("save")
@click.option("--to", "folder", type=click.Path(path_type=Path), help="A new folder; nothing is ever written over.")
@click.option("--workspace", is_flag=True, help="Let the next session of its item begin on it.")
def restore(call: Invocation, save: str, folder: Path | None, workspace: bool) -> Change:
    """Bring SAVE back: into a new folder, or as the beginning of its item's next session."""
    if (folder is None) is not workspace:
        raise Usage("where to?", hint=f"./loop wip restore {save} --to DIR, or --workspace (one of them)")
    if folder is not None:
        return wip.restore_to(call.home, call.environ, save, call.cwd / folder)
    return wip.restore_for_item(call.home, call.environ, save, call.actor, call.now())
