"""`./loop health`: the guide's health check (H36)."""

from __future__ import annotations

from collections.abc import Iterable

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.output import Screen
from harness.model.text import one_line
from harness.ops import health as ops
from harness.ops.answers import Document

MARKS = {"ok": ("✓", "green"), "warn": ("⚠", "yellow"), "fail": ("✗", "red")}


def _lines(answer: Document, where: Screen) -> Iterable[str]:
    for sign in answer.facts["checks"]:
        mark, colour = MARKS[sign.level]
        yield f"{where.style(mark, colour)} {sign.check + ':':<9} {one_line(sign.found, 200)}"
    if answer.facts["healthy"]:
        yield f"{where.style('✓', 'green')} Health check passed"
    else:
        yield f"{where.style('✗', 'red')} Health check failed"


@command(
    examples=("./loop health", "*/5 * * * * cd ~/gt/harness && ./loop health || …", "./loop health --max-silence 600"),
    text=_lines,
)
@click.option("--max-silence", default=300.0, show_default=True, help="Seconds without a sign of the loop.")
@click.option("--max-errors", default=5, show_default=True, help="Errors in the last 100 log lines before a warning.")
@click.option("--min-disk", default=10.0, show_default=True, help="Percent of disk that must be free.")
def health(call: Invocation, max_silence: float, max_errors: int, min_disk: float) -> Document:
    """Is the loop alive and well? Exit 0 yes, 1 no, 3 not running."""
    return ops.health(call.home, call.now(), ops.Thresholds(max_silence, max_errors, min_disk))
