"""worker: sessions beside a loop, in a process of their own."""

from __future__ import annotations

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.run import ends_at, say


@command(examples=["./loop worker", "./loop worker --workers 4", "./loop worker --drain", "./loop worker --for 8h"])
@click.option("--max-iterations", type=click.IntRange(min=0), help="Passes before the worker ends; 0 = endless.")
@click.option("--once", is_flag=True, help="At most one item, no waiting; exit 1 unless it is verified or claimed.")
@click.option("--drain", is_flag=True, help="Until nothing is ready, delayed or leased.")
@click.option("--for", "span", metavar="8h", help="No new item after this time.")
@click.option("--until", metavar="07:00", help="No new item after this time of day.")
@click.option("--workers", type=click.IntRange(min=1, max=256), help="Sessions at a time (default: 1).")
def worker(
    call: Invocation,
    max_iterations: int | None,
    once: bool,
    drain: bool,
    span: str | None,
    until: str | None,
    workers: int | None,
) -> int:
    """Work the queue beside the loop of this home, with a lock of its own. Schedules, the queue file, the rescue of
    what was killed and housekeeping are the loop's: without one they wait.
    """
    from harness.app import start as app  # noqa: PLC0415 - help and refusals need none of it

    end, seconds = ends_at(call, span, until)
    ended = app.start_worker(call.home, app.Options(max_iterations, once, drain, workers, end, seconds))
    say(call, ended)
    return ended.status
