"""Breakers: failures that would meet the next session too stop the sessions, are said once, and are probed.

The API's breaker is per model: at least 5 sessions failed by the API within 5 minutes, and at least half of all, open
it for 60 s · 2ⁿ, at most 30 min; then one session probes. Sessions that do not even start say something of the machine,
not of their items: 3 in a row, over two items, write the interrupt file (H17, H21).

Both count in memory, and at each start what the store knows of the last sessions: a loop that dies forgets nothing.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from harness.engine.state import LoopState
from harness.interrupt_file import request
from harness.model.events import SessionEvent, Started
from harness.model.journal import Entry, PastEnd
from harness.model.outcome import ENDINGS, PROBE_BACKOFF, Cause, Failed, Interrupted, Outcome, outcome_word
from harness.model.session import SessionRow
from harness.model.work import Lease
from harness.ports import Books, Clock

WINDOW_SECONDS = 300.0
MOST_FAILURES = 5
SPAWN_FAILURES = 3
REMEMBERED = 200
"""Leases looked back at by a start."""
MOST_OPENED = 6
"""From here on the wait of a breaker is the longest."""
_SOURCE = "breaker "
_SILENT = frozenset({Cause.LIMIT, Cause.AUTH, Cause.CONFIG, Cause.RESOURCE, Cause.HARNESS, Cause.PERMANENT})
"""Causes that say nothing of the API's health."""
_UNBORN = frozenset({"stalled_start", "crashed", "protocol", "agent_init_killed"})
"""How a session ends that never spoke. `cli_missing` is not among them: it pauses the loop by itself."""


@dataclass(slots=True)
class ApiBreaker:
    """A Witness. The window is time that the machine was awake: while it slept, nothing was heard of the API."""

    books: Books
    clock: Clock
    state: LoopState
    _ends: defaultdict[str, deque[tuple[float, bool]]] = field(default_factory=lambda: defaultdict(deque))
    _opened: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def remembers_since(self) -> datetime:
        """What ended before is of no interest to `begin`."""
        return self.clock.now() - timedelta(seconds=WINDOW_SECONDS)

    async def begin(self, ends: Sequence[PastEnd]) -> None:
        """At a start: count what the store knows of before, and how often each open pause had been opened.

        Before orphans are settled: how their sessions ended is judged by what came before, like any other end.
        """
        now, at = self.clock.now(), self.clock.monotonic()
        self._ends.clear()
        for end in ends:
            failed, age = _was_failed_by_api(end), (now - end.ended_at).total_seconds()
            if failed is not None and 0 <= age <= WINDOW_SECONDS:
                self._ends[end.model or "default"].append((at - age, failed))
        self.state.pauses = tuple(await self.books(lambda s: s.pauses()))
        for pause in self.state.pauses:
            if pause.source.startswith(_SOURCE) and pause.until is not None:
                self._opened[pause.source.removeprefix(_SOURCE)] = _times_opened(pause.until - pause.began_at)

    async def settled(self, lease: Lease, outcome: Outcome, session: SessionRow | None) -> None:
        failed = _failed_by_api(outcome)
        if session is None or failed is None:
            return
        model = session.model or "default"
        ends = self._recent(model, failed=failed)
        failures = sum(each for _, each in ends)
        if not failed:
            self._opened[model] = 0 if 2 * failures < len(ends) else self._opened[model]
        elif self._probed(model, lease) or (failures >= MOST_FAILURES and 2 * failures >= len(ends)):
            await self._open(model, failures, len(ends))

    def _recent(self, model: str, *, failed: bool) -> deque[tuple[float, bool]]:
        ends, at = self._ends[model], self.clock.monotonic()
        ends.append((at, failed))
        while at - ends[0][0] > WINDOW_SECONDS:
            ends.popleft()
        return ends

    def _probed(self, model: str, lease: Lease) -> bool:
        return any(p.source == _source(model) and p.until and p.until <= lease.leased_at for p in self.state.pauses)

    async def _open(self, model: str, failures: int, sessions: int) -> None:
        """A session that had begun before is no probe: it does not lengthen the pause."""
        now = self.clock.now()
        if any(p.source == _source(model) and p.until and p.until > now for p in self.state.pauses):
            return
        self._opened[model] += 1
        until = now + PROBE_BACKOFF.delay(self._opened[model], 0.0)
        minutes = round(WINDOW_SECONDS / 60)
        reason = f"api_down: {failures} of {sessions} sessions with {model} failed by the API in {minutes} min"
        await self.books(lambda s: s.open_pause("credential", "probe", reason, _source(model), now, until=until))
        self.state.pauses = tuple(await self.books(lambda s: s.pauses()))
        self.state.bell.ring()


def _source(model: str) -> str:
    return f"{_SOURCE}{model}"


def _times_opened(since_the_first: timedelta) -> int:
    """How often a breaker was opened, at most, that ends `since_the_first` time: the waits double, and add up."""
    times, waited = 1, PROBE_BACKOFF.delay(1, 0.0)
    while times < MOST_OPENED and waited + PROBE_BACKOFF.delay(times + 1, 0.0) <= since_the_first:
        times += 1
        waited += PROBE_BACKOFF.delay(times, 0.0)
    return times


def _failed_by_api(outcome: Outcome) -> bool | None:
    """None if the end says nothing of the API."""
    if isinstance(outcome, Interrupted):
        return None
    return _blames_api(outcome.ending if isinstance(outcome, Failed) else None)


def _was_failed_by_api(end: PastEnd) -> bool | None:
    return None if end.outcome == outcome_word(Interrupted("", "")) else _blames_api(end.ending)


def _blames_api(ending: str | None) -> bool | None:
    cause = Cause.AGENT if ending is None else ENDINGS[ending].cause
    return None if cause in _SILENT else cause is Cause.API


@dataclass(slots=True)
class SpawnBreaker:
    """A Listener and a Witness: who has not been heard to start had no start."""

    books: Books
    clock: Clock
    state: LoopState
    interrupt_file: Path
    _started: set[str] = field(default_factory=set)
    _failures: list[tuple[str, str]] = field(default_factory=list)

    async def begin(self, ends: Sequence[PastEnd]) -> None:
        """At a start, once it is known whether the interrupt file still stands: count what the store knows of before.

        The loop that settled the last of a row may have died before it could say so.
        """
        self._failures.clear()
        for end in ends:
            if end.ran or end.cleared:
                self._failures.clear()
            elif end.ending in _UNBORN:
                self._failures.append((end.item, end.ending))
        await self._judge()

    async def heard(self, row: SessionRow, event: SessionEvent) -> None:
        if isinstance(event, Started):
            self._started.add(row.id)
            self._failures.clear()

    async def settled(self, lease: Lease, outcome: Outcome, session: SessionRow | None) -> None:
        if session is None:
            return
        started = session.id in self._started
        self._started.discard(session.id)
        if started or not isinstance(outcome, Failed) or outcome.ending not in _UNBORN:
            return
        self._failures.append((lease.item.id, outcome.ending))
        await self._judge()

    async def _judge(self) -> None:
        if len(self._failures) >= SPAWN_FAILURES and len({item for item, _ in self._failures}) > 1:
            await self._raise()

    async def _raise(self) -> None:
        rows = "\n".join(f"- {item}: {ending}: {ENDINGS[ending].sentence}" for item, ending in self._failures[-5:])
        count = len(self._failures)
        text = (
            f"spawn_failures: the last {count} sessions did not start\n{rows}\nmore: ./loop doctor\n"
            "clear: ./loop resume (or remove this file)"
        )
        self._failures.clear()
        if request(self.interrupt_file, text):
            facts = {"condition": "spawn_failures", "reason": f"{count} sessions in a row did not start"}
            entry = Entry(self.clock.now(), "interrupt.raised", self.state.actor, None, None, facts)
            await self.books(lambda s: s.note(entry))
            self.state.bell.ring()
