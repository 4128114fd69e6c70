"""queue import: from a file, from a program that knows of work."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.queue import desk_of, read
from harness.model.errors import Usage
from harness.ops import importing
from harness.ops.answers import Change
from harness.ops.importing import Record
from harness.ops.trackers import SECONDS, TRACKERS, output_of

ITEMS = "--items"


@command(
    examples=(
        "./loop queue import items.json",
        "./loop queue import tasks/backlog.md --dry-run",
        "./loop queue import - < items.jsonl",
        "./loop queue import --from bd",
        "./loop queue import --command \"gh issue list --json title\" --items '.[] | {title}'",
    )
)
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--command", "program", metavar="CMD", help="Take what this command prints; it runs without a shell.")
@click.option(ITEMS, "expression", metavar="EXPR", help="A jq expression that makes items of what there is.")
@click.option("--from", "tracker", type=click.Choice(sorted(TRACKERS)), help="A known command with its expression.")
@click.option("--dry-run", is_flag=True, help="Say what would be added, and add nothing.")
def import_(
    call: Invocation, file: Path | None, program: str | None, expression: str | None, tracker: str | None, dry_run: bool
) -> Change:
    """Add all items of FILE, or none if one is wrong: a JSON list, {"items": […]}, one object a line, or the tasks of a
    markdown page that are not done. An item that is known is left as it is.
    """
    if (file is not None) + (program is not None) + (tracker is not None) != 1:
        raise Usage("items come from one place", hint="give FILE, --command CMD or --from NAME")
    if tracker is not None:
        program, expression = TRACKERS[tracker].command, expression or TRACKERS[tracker].items
    name = program or str(file)
    raw = output_of(program, call.cwd, call.environ) if program else _contents(call, file)
    found = _chosen(raw, expression, name) if expression else importing.records(raw, name)
    source = f"command:{tracker or name.split()[0]}" if program else f"file:{Path(name).name}"
    return importing.import_(desk_of(call, source), found, name, dry_run=dry_run)


def _contents(call: Invocation, file: Path | None) -> bytes:
    assert file is not None
    return sys.stdin.buffer.read() if str(file) == "-" else read(call, file)


def _chosen(raw: bytes, expression: str, name: str) -> Iterator[Record]:
    """Each result of the expression. Raises Usage for one that fails, and for input that is no JSON."""
    from harness.cli.jq import filtered  # noqa: PLC0415 - a process of its own, only for those who ask

    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise Usage(f"{name} is not UTF-8 at byte {exc.start}", hint="it has to be JSON") from exc
    results = filtered(text, expression, option=ITEMS, seconds=SECONDS)
    return importing.results(results.encode(errors="surrogatepass"))
