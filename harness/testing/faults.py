"""Planted bugs: loops that are wrong in one way each. A simulator that does not find them proves nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from harness.engine.breakers import ApiBreaker, SpawnBreaker
from harness.engine.budget import Purse
from harness.engine.guards import Guards, make_guards
from harness.engine.pressure import PressureWatch
from harness.engine.throttle import Throttle
from harness.model.journal import AttemptRow, Entry
from harness.model.outcome import Disposition, Outcome
from harness.model.session import SessionRow
from harness.model.work import Lease, WorkItem
from harness.ports import Settlement
from harness.store import rows
from harness.testing.machine import Design
from harness.testing.standins import SimulatedStore

LOST_EVERY = 40


class NoFenceCheck(SimulatedStore):
    """A lease that was given to somebody else still writes."""

    def _check_held(self, lease: Lease) -> None: ...

    def _free(self, lease: Lease, item: WorkItem, now: datetime) -> None:  # noqa: ARG002 - that is the bug
        current = self.one("lease_holder", id=item.id)
        assert current is not None
        values = {"fence": current["fence"], "owner": current["owner"], "now": rows.ms(now)}
        self.run("item_settle", **(rows.item_row(item) | values))


class CountedTwice(SimulatedStore):
    """The second failure of an agent counts for two."""

    def _free(self, lease: Lease, item: WorkItem, now: datetime) -> None:
        twice = item.attempts > lease.item.attempts and lease.fence > 1
        super()._free(lease, replace(item, attempts=item.attempts + 1) if twice else item, now)


class SettledTwice(SimulatedStore):
    """Every fifth lease of an item tells of its end twice."""

    def settle(self, lease: Lease, settlement: Settlement, now: datetime) -> WorkItem:
        with self.together():
            item = super().settle(lease, settlement, now)
            if lease.fence % 5 == 0:
                self._tell(lease, item, settlement, now, counted=False)
            return item


class ForgetfulBreaker(SimulatedStore):
    """Recovery resets the breaker: failures from before the start of this loop are not seen."""

    _begun: datetime | None = None

    def begin_run(self, run: str, *, pid: int, version: str, now: datetime, isolation: str | None = None) -> None:
        self._begun = now
        super().begin_run(run, pid=pid, version=version, now=now, isolation=isolation)

    def streak(self, limit: int) -> Sequence[AttemptRow]:
        begun = self._begun
        return [a for a in super().streak(limit) if begun is None or a.started_at >= begun]


class LostEntry(SimulatedStore):
    """The journal of every loop loses its fortieth entry of a move."""

    _moves = 0

    def record(self, entry: Entry) -> None:
        self._moves += entry.kind in ("item.moved", "item.settled")
        if self._moves != LOST_EVERY:
            super().record(entry)


class HastyThrottle(Throttle):
    """Whatever any session is answered, the limit is over for all."""

    async def _answered(self, *, at_once: bool = False) -> None:  # noqa: ARG002 - that is the bug
        await super()._answered(at_once=True)


class MissingApiBreaker(ApiBreaker):
    """Sessions run into a dead API, one after the other."""

    async def settled(self, lease: Lease, outcome: Outcome, session: SessionRow | None) -> None: ...


class MissingSpawnBreaker(SpawnBreaker):
    """A CLI that cannot start is started again and again."""

    async def settled(self, lease: Lease, outcome: Outcome, session: SessionRow | None) -> None: ...


class Spendthrift(Purse):
    """What runs at the same time is forgotten."""

    async def admit(self, lease: Lease) -> Disposition | None:
        refusal = await super().admit(lease)
        self._reserved.clear()
        return refusal


class Hardy(PressureWatch):
    """A machine can always do a little more."""

    async def tick(self) -> None: ...


def _with(**wrong: type[Any]) -> Design:
    """The loop as it is, but for these guards: of another class, made of the same parts."""

    def made(*parts: Any) -> Guards:
        guards = make_guards(*parts)
        return replace(guards, **{name: _as(kind, getattr(guards, name)) for name, kind in wrong.items()})

    return Design(guards=made)


def _as(kind: type[Any], guard: Any) -> Any:
    return kind(**{part.name: getattr(guard, part.name) for part in fields(guard) if not part.name.startswith("_")})


FAULTS: Mapping[str, Design] = MappingProxyType(
    {
        "no-fence-check": Design(store=NoFenceCheck),
        "counted-twice": Design(store=CountedTwice),
        "settled-twice": Design(store=SettledTwice),
        "breaker-reset-by-recovery": Design(store=ForgetfulBreaker),
        "lost-journal-entry": Design(store=LostEntry),
        "hasty-throttle": _with(throttle=HastyThrottle),
        "no-api-breaker": _with(api=MissingApiBreaker),
        "no-spawn-breaker": _with(spawns=MissingSpawnBreaker),
        "nothing-reserved": _with(purse=Spendthrift),
        "pressure-ignored": _with(pressure=Hardy),
    }
)
