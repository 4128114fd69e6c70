"""worker: sessions beside a loop, in a process of their own."""

from __future__ import annotations

from harness.cli.course import course_options
from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.run import ends_at, say


@command(examples=["./loop worker", "./loop worker --workers 4", "./loop worker --drain", "./loop worker --for 8h"])
@course_options
def worker(
    call: Invocation,
    max_iterations: int | None,
    once: bool,
    drain: bool,
    span: str | None,
    until: str | None,
    workers: int | None,
) -> int:
    """Work the queue beside the loop of this home, with a lock of its own; one session at a time without --workers.

    Schedules, the queue file, the rescue of what was killed and housekeeping are the loop's: without one they wait.
    """
    from harness.app import start as app  # noqa: PLC0415 - help and refusals need none of it

    end, seconds = ends_at(call, span, until)
    ended = app.start_worker(call.home, app.Options(max_iterations, once, drain, workers, end, seconds))
    say(call, ended)
    return ended.status
