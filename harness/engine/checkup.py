"""Looks at a running session from outside, says what crosses a bound of `watch`, and when that is over (O8).

It explains and alarms; it ends a session only where the configuration says so. Whether a session is alive is the
watchdog's question, not this one's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from harness.engine.watchdog import Finding, Watchdog
from harness.model.brief import Brief
from harness.model.events import StopReason
from harness.model.vitals import Level, Rules, Sign, Vitals
from harness.ports import Gauge

LOOK_SECONDS = 5.0
LEAST_SECONDS = 1.0
AT_WORK = frozenset({"thinking", "requesting", "streaming"})
"""States of the watchdog in which an agent without a file change is one that changes nothing."""
EVENTS: Mapping[Level, str] = MappingProxyType(
    {Level.CALM: "session.relieved", Level.WARNING: "session.strained", Level.CRITICAL: "session.alert"}
)
Note = Callable[[str, Sign], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class CheckupTools:
    """One for all sessions. `gauge` makes the measure of one, `rules` are asked anew so that a reload counts."""

    gauge: Callable[[Brief], Gauge]
    rules: Callable[[], Rules]


@dataclass(slots=True)
class Checkup:
    """One session's. `commits`: its work is expected to change files."""

    tools: CheckupTools
    gauge: Gauge
    commits: bool
    _vitals: Vitals = field(default_factory=Vitals)
    _next: float = 0.0

    async def tick(self, pid: int | None, watchdog: Watchdog, at: float, note: Note) -> Finding | None:
        """What must end the session, None while nothing must. `pid` None: there is no process to look at."""
        if pid is None or at < self._next:
            return None
        rules = {name: rule for name, rule in self.tools.rules().items() if self.commits or name != "files"}
        self._next = at + _pace(rules)
        found = await asyncio.to_thread(self.gauge.look, pid)
        resting = watchdog.state not in AT_WORK
        signs = self._vitals.look(at, found, rules, resting=resting)
        for sign in signs:
            await note(EVENTS[sign.level], sign)
        worst = next((sign for sign in signs if sign.acts), None)
        return None if worst is None else Finding(StopReason.RUNAWAY, worst.reason, at - watchdog.last_sign)


def _pace(rules: Rules) -> float:
    """Seconds between two looks: two in the shortest window, and never more often than a session is kept."""
    shortest = min((bound.seconds for rule in rules.values() for _, bound in rule.bounds), default=LOOK_SECONDS)
    return max(LEAST_SECONDS, min(LOOK_SECONDS, shortest / 2))
