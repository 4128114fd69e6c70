"""Judges of limits and breakers: opened when due, not without cause, and closed by nobody but who may."""

from __future__ import annotations

import sqlite3
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from harness.model.outcome import ENDINGS, Cause
from harness.testing.known import Item, milliseconds
from harness.testing.world import World

GRACE_MS = 5000
API_FAILURES = 5
API_WINDOW_MS = 300_000
SURELY_MS = 240_000
"""What is this young is within the loop's own window, however late it was written down."""
SPAWN_FAILURES = 3
HEARD_SECONDS = 15.0
NEWS_SECONDS = 120.0
UNBORN = frozenset({"stalled_start", "crashed", "protocol", "agent_init_killed"})
_BREAKER = "breaker "


class ApiJudge:
    """A Judge of the API's breakers, one a model. Times are forgotten when the wall clock is set."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ends: defaultdict[str, deque[tuple[int, str | None]]] = defaultdict(deque)
        self._due: dict[str, int] = {}
        self._open: set[str] = set()
        self._live: set[str] = set()
        self._since_ms: int | None = 0
        self._again_ms = 0

    def unsure(self) -> None:
        """Something came in between that excuses: the clock was set, the disk was full, the loop was stopped."""
        self._due.clear()

    def clock_was_set(self, seconds: float) -> None:
        """Set back, it comes by the same times again: a start takes what was then for what was just now."""
        self.unsure()
        self._ends.clear()
        self._since_ms = None
        self._again_ms = max(0, round(-1000 * seconds))

    def see(self, entry: Any, data: Mapping[str, Any], item: Item | None) -> Iterator[str]:
        self._since_ms = entry["at"] + self._again_ms if self._since_ms is None else self._since_ms
        match entry["kind"]:
            case "session.opened":
                self._live.add(entry["session"])
            case "item.settled":
                self._live.discard(entry["session"])
                self._settled(entry, data)
            case "item.leased" if item is not None:
                yield from self._judge_lease(entry)
            case "pause.opened" | "pause.changed" if entry["actor"].startswith(_BREAKER):
                yield from self._judge_opening(entry)
            case "pause.closed" if data["source"].startswith(_BREAKER):
                yield from self._judge_closing(entry, data)

    def _settled(self, entry: Any, data: Mapping[str, Any]) -> None:
        """The end of a session that says something of the API. Only a loop's own failures open its breaker."""
        ending = data.get("ending")
        cause = ENDINGS[ending].cause if ending else Cause.AGENT
        if entry["session"] is None or data["outcome"] == "interrupted" or cause not in (Cause.API, Cause.AGENT):
            return
        model, owner, at = self._model(entry["session"]), entry["actor"], entry["at"]
        ends = self._ends[model]
        ends.append((at, owner if cause is Cause.API else None))
        while at - ends[0][0] > API_WINDOW_MS + GRACE_MS:
            ends.popleft()
        failures = sum(failed == owner and at - when <= SURELY_MS for when, failed in ends)
        others = sum(failed is None or (failed == owner and at - when > SURELY_MS) for when, failed in ends)
        many = failures >= API_FAILURES and failures >= others
        if cause is Cause.API and many and model not in self._open and self._is_sure(at):
            self._due.setdefault(model, at)

    def _is_sure(self, at: int) -> bool:
        """Whether all that a loop may have counted is known here: not soon after the clock was set."""
        return self._since_ms is not None and at - self._since_ms > API_WINDOW_MS + GRACE_MS

    def _model(self, session: str) -> str:
        row = self._connection.execute("SELECT model FROM sessions WHERE id = ?", (session,)).fetchone()
        return row["model"] or "default"

    def _judge_lease(self, entry: Any) -> Iterator[str]:
        for model, due in tuple(self._due.items()):
            if entry["at"] > due + GRACE_MS:
                del self._due[model]
                yield f"leased {entry['at'] - due} ms after the breaker of {model} was due"

    def _judge_opening(self, entry: Any) -> Iterator[str]:
        model = entry["actor"].removeprefix(_BREAKER)
        self._due.pop(model, None)
        self._open.add(model)
        failures = sum(failed is not None for _, failed in self._ends[model])
        if entry["kind"] == "pause.opened" and failures < API_FAILURES and self._is_sure(entry["at"]):
            yield f"the breaker of {model} opened after {failures} failures"

    def _judge_closing(self, entry: Any, data: Mapping[str, Any]) -> Iterator[str]:
        """A loop that starts again closes nothing: only an answer does, and a session is there to hear it."""
        self._open.discard(data["source"].removeprefix(_BREAKER))
        self.unsure()
        if entry["actor"] != "operator" and not self._live:
            yield f"the pause of {data['source']} was closed by {entry['actor']!r}, and no session ran"


class SpawnJudge:
    """A Judge of sessions that do not start. `heard` says that one did; `most` sessions may be under way meanwhile."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._born: set[str] = set()
        self._row: list[tuple[str, str]] = []
        self._before: list[tuple[str, str]] = []
        self._since: list[tuple[str, str]] = []
        self._due_ms: int | None = None

    def heard(self, session: str) -> None:
        self._born.add(session)
        self._row.clear()
        self._due_ms = None

    def unsure(self) -> None:
        self._row.clear()
        self._due_ms = None

    def see(self, entry: Any, data: Mapping[str, Any], item: Item | None) -> Iterator[str]:
        match entry["kind"]:
            case "item.settled" if item is not None and entry["session"]:
                self._settled(entry, data, item)
            case "interrupt.raised" if data["condition"] == "spawn_failures":
                # a loop that starts while the file still stands counts again what came before it
                failures = [*self._before, *self._since]
                if len(failures) < SPAWN_FAILURES or len({name for _, name in failures}) < 2:
                    yield f"the breaker of starts opened after {len(failures)} failures"
                self._before, self._since = self._since, []
                self.unsure()
            case "pause.opened" if data["scope"] == "loop" and data["kind"] == "file":
                self.unsure()
            case "item.leased" if self._due_ms is not None and entry["at"] > self._due_ms + GRACE_MS:
                self._due_ms = None
                yield f"leased although the last {len(self._row)} sessions did not start"

    def _settled(self, entry: Any, data: Mapping[str, Any], item: Item) -> None:
        if data.get("ending") not in UNBORN or entry["session"] in self._born:
            return
        self._since.append((entry["actor"], item.id))
        self._row = [each for each in self._row if each[0] == entry["actor"]] + [(entry["actor"], item.id)]
        surely = len(self._row) >= SPAWN_FAILURES + self._most and len({name for _, name in self._row}) > 1
        if surely and self._due_ms is None:
            self._due_ms = entry["at"]


class LimitJudge:
    """A Judge of the account's limits: who is refused pauses the credential for all, until its time or better news."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._changes = 0
        self._open: dict[str, int | None] = {}
        self._said: deque[tuple[float, str, int]] = deque()
        self._good_news = -NEWS_SECONDS

    def refused(self, session: str) -> None:
        """The API refused this session just now."""
        self._said.append((self._world.timeline.monotonic(), session, self._changes))

    def told(self, _session: str) -> None:
        """The API told this session that it is not refused."""
        self._good_news = self._world.timeline.monotonic()

    def unsure(self) -> None:
        self._said.clear()

    def overdue(self, at: float) -> Iterator[str]:
        while self._said and at - self._said[0][0] > HEARD_SECONDS:
            _, session, changes = self._said.popleft()
            if changes == self._changes and not self._open:
                yield f"{session} met the limit {HEARD_SECONDS:.0f} s ago, and nobody was told"

    def see(self, entry: Any, data: Mapping[str, Any], item: Item | None) -> Iterator[str]:
        del item
        if not entry["kind"].startswith("pause.") or data["scope"] != "credential":
            return
        self._changes += 1
        if entry["kind"] == "pause.closed":
            yield from self._judge_closing(entry, self._open.pop(data["source"], None))
        elif data["kind"] == "probe":
            until = data["until"]
            self._open[entry["actor"]] = until and milliseconds(datetime.fromisoformat(until))

    def _judge_closing(self, entry: Any, until: int | None) -> Iterator[str]:
        news = self._world.timeline.monotonic() - self._good_news < NEWS_SECONDS
        if entry["actor"] == "the API answers again" and until is not None and until > entry["at"] and not news:
            yield f"the limit was over {until - entry['at']} ms before its time, and nobody had said so"


class DeadlineJudge:
    """A Judge of time limits: nobody has run out of time who was not given it, whatever the wall clock says."""

    def __init__(self, world: World, timeout_seconds: float) -> None:
        self._world = world
        self._timeout_seconds = timeout_seconds

    def see(self, entry: Any, data: Mapping[str, Any], item: Item | None) -> Iterator[str]:
        del item
        began = self._world.started.get(entry["session"])
        if entry["kind"] == "item.settled" and data.get("ending") == "timeout" and began is not None:
            lived = self._world.timeline.monotonic() - began
            if lived < self._timeout_seconds:
                yield f"its time was over after {lived:.0f} s at most; it had {self._timeout_seconds:.0f} s"
