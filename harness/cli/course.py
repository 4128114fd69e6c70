"""How long to go on: the options that a loop and a worker have in common."""

from __future__ import annotations

from typing import Any

import click

_OPTIONS = (
    click.option("--max-iterations", type=click.IntRange(min=0), help="Passes before the end; 0 = endless."),
    click.option("--once", is_flag=True, help="At most one item, no waiting; exit 1 unless it is verified or claimed."),
    click.option("--drain", is_flag=True, help="Until nothing is ready, delayed or leased."),
    click.option("--for", "span", metavar="8h", help="No new item after this time."),
    click.option("--until", metavar="07:00", help="No new item after this time of day."),
    click.option("--workers", type=click.IntRange(min=1, max=256), help="Sessions at a time."),
)


def course_options(function: Any) -> Any:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
