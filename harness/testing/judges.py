"""Everybody who looks on: the auditor, the ledger, and the judges of limits, breakers, deadlines and shortages."""

from __future__ import annotations

from collections.abc import Iterator

from harness.engine.pressure import SOURCES
from harness.model.pressure import shortages
from harness.testing.auditor import Auditor, reader
from harness.testing.breakers import ApiJudge, DeadlineJudge, LimitJudge, SpawnJudge
from harness.testing.ledger import Ledger
from harness.testing.machine import Machine
from harness.testing.standins import LIMITS
from harness.testing.world import REPOSITORIES, THRESHOLDS, World

SOON_SECONDS = 20.0
"""What is measured every few seconds has been seen after this."""
WIND_UP_SECONDS = 60.0


class Judges:
    """`disturbed` is told of whatever excuses a delay: a start, a full disk, a clock that was set, a resume."""

    def __init__(self, world: World, workers: int, breaker_limit: int) -> None:
        self._world = world
        connection = reader(world.home.database)
        self.limits, self.spawns, self.api = LimitJudge(world), SpawnJudge(workers), ApiJudge(connection)
        ledger = Ledger(connection, world, lambda owner: self.auditor.leased_by(owner))  # noqa: PLW0108 - the auditor comes after it
        self.auditor = Auditor(
            connection, REPOSITORIES[0], breaker_limit,
            (self.limits, self.spawns, self.api, ledger, DeadlineJudge(world, LIMITS.session_timeout_seconds)),
        )  # fmt: skip
        self._calm_since = 0.0
        self._full_until = 0.0
        world.on_started = self._started
        world.on_record = self.auditor.has_session
        world.playwright.on_limit, world.playwright.on_news = self.limits.refused, self.limits.told

    def _started(self, session: str) -> None:
        self.auditor.read()
        self.spawns.heard(session)

    def disturbed(self) -> None:
        self._calm_since = self._world.timeline.monotonic()
        for judge in (self.limits, self.spawns, self.api):
            judge.unsure()

    def clock_was_set(self, seconds: float) -> None:
        self.auditor.clock_was_set(seconds)
        self.api.clock_was_set(seconds)
        self.disturbed()

    def look(self, machine: Machine) -> Iterator[str]:
        """What is wrong now with a loop that runs, beside what the journal says."""
        at = self._world.timeline.monotonic()
        self._full_until = at if self._world.disk.full else self._full_until
        if machine.state.stopping or self._world.disk.full:
            return
        yield from self._deadlines(machine, at)
        if at - self._calm_since >= SOON_SECONDS:
            yield from self.limits.overdue(at)
            yield from self._shortages()

    def _shortages(self) -> Iterator[str]:
        held = self.auditor.pauses.sources("loop") & set(SOURCES)
        short = shortages(self._world.readings, THRESHOLDS).keys()
        not_clear = shortages(self._world.readings, THRESHOLDS.clear).keys()
        for name in sorted(short - held):
            yield f"the machine is short of {name}, and nothing holds the loop"
        for name in sorted(held - not_clear):
            yield f"the loop is held for {name}, and the machine has room"

    def _deadlines(self, machine: Machine, at: float) -> Iterator[str]:
        """No session lives much beyond its time, whatever the wall clock says."""
        for session, living in self._world.living.items():
            lived = at - max(living.began, self._full_until)
            if living.process is machine.process and lived > LIMITS.session_timeout_seconds + WIND_UP_SECONDS:
                yield f"{session} has lived for {lived:.0f} s and more"
