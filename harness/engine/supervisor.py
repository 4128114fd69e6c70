"""Starts the components, restarts what fails, and ends everything when the worker's course is at an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from harness.ports import Clock

MOST_FAILURES = 5
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_SECONDS = 300.0


class Component(Protocol):
    """A long-lived part of the loop; stopped by cancellation only."""

    @property
    def name(self) -> str: ...

    async def run(self) -> None: ...


class Supervisor:
    """Cancellation is the only way to stop a component, so it can be stopped at any moment, even before it began."""

    def __init__(self, clock: Clock, report: Callable[[str, BaseException], None], stop: Callable[[str], None]) -> None:
        self._clock = clock
        self._report = report
        self._stop = stop

    async def run(self, main: Component, others: Sequence[Component]) -> None:
        """Until `main` returns. Raises what `main` raises, or what another component raised five times in a row."""
        helpers = [asyncio.create_task(self._keep(component), name=component.name) for component in others]
        work = asyncio.create_task(main.run(), name=main.name)
        try:
            await asyncio.wait([work, *helpers], return_when=asyncio.FIRST_COMPLETED)
            broken = next((helper for helper in helpers if helper.done()), None)
            if broken is not None:
                self._stop(f"the component {broken.get_name()} failed {MOST_FAILURES} times in a row")
            await work
            if broken is not None:
                broken.result()
        finally:
            await _end([work, *reversed(helpers)])

    async def _keep(self, component: Component) -> None:
        failures = 0
        while True:
            began = self._clock.monotonic()
            try:
                await component.run()
            except Exception as exc:
                self._report(component.name, exc)
                failures = 1 if self._clock.monotonic() - began > HEALTHY_SECONDS else failures + 1
                if failures >= MOST_FAILURES:
                    raise
            await self._clock.sleep(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**failures))


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
