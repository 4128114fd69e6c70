"""One start-to-stop of a worker process: sessions beside a loop on the same host and home, and nothing else.

What there is once a home is the loop's: settling what dead processes left, the queue file, schedules, held and pushed
integrations, builds, housekeeping, backups. A worker has what watches over its own sessions, and pauses like a loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from harness.app.build import WORKER, Parts
from harness.app.life import Ended, Life, lived, registered, supervised
from harness.app.reload import Reload
from harness.config.load import Loaded
from harness.engine.worker import Course
from harness.model.home import Home
from harness.model.journal import Entry
from harness.ports import Journalist


def run_worker(loaded: Loaded, course: Course, journalist: Journalist, again: Callable[[], Loaded]) -> Ended:
    """Work until the course is at an end or a signal says so. Raises HarnessError for what forbids the start."""
    Home(loaded.home).state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return lived(Life(loaded, course, journalist, dict(os.environ), again, WORKER), _story)


async def _story(life: Life, parts: Parts, _reload: Reload) -> None:
    async with registered(parts, WORKER) as pid:
        await _note(parts, "worker.begun", pid=pid, workers=life.course.workers)
        try:
            await parts.guards.begin()
            parts.books.patient = True
            await parts.timekeeper.begin()
            await parts.interrupt_watch.tick()
            await parts.guards.remember()
            await supervised(life, parts)
        finally:
            if parts.lock.is_in_place:
                reason = parts.state.stopping or parts.state.leaving or "the course is at its end"
                await _note(parts, "worker.ended", pid=pid, reason=reason, iterations=parts.state.iterations)


async def _note(parts: Parts, kind: str, **data: object) -> None:
    entry = Entry(parts.clock.now(), kind, parts.state.owner, data=data)
    await parts.books(lambda s: s.note(entry))
