"""A rehearsal in the same process, for tests: `with Rehearsal(scenario) as stage: ... stage.url ... stage.bill`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.model.errors import HarnessError
from harness.rehearsal.director import Director
from harness.rehearsal.records import Billed, Received, Records
from harness.rehearsal.scenario import Scenario, load, parse
from harness.rehearsal.server import Server

_START_SECONDS = 10.0
_STOP_SECONDS = 5.0


class Rehearsal:
    """The scripted API in a thread of its own. Not to be entered twice.

    `bill` and `requests` grow while it runs; read them after the client has had its answer.
    """

    def __init__(self, scenario: Scenario | Path | Mapping[str, Any], *, port: int = 0) -> None:
        self._scenario = _understood(scenario)
        self._records = Records(keep_bodies=True)
        self._port = port
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="rehearsal", daemon=True)
        self.url = ""

    @property
    def bill(self) -> list[Billed]:
        return self._records.bill

    @property
    def requests(self) -> list[Received]:
        return self._records.requests

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_START_SECONDS) or self._failure:
            raise HarnessError(f"the rehearsal did not start: {self._failure}") from self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as exc:
            self._failure = exc
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with Server(Director(self._scenario), self._records).listening(self._port) as self.url:
            self._ready.set()
            await self._over.wait()


def _understood(scenario: Scenario | Path | Mapping[str, Any]) -> Scenario:
    if isinstance(scenario, Scenario):
        return scenario
    return load(scenario) if isinstance(scenario, Path) else parse(scenario)
