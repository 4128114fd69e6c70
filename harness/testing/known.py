"""What the auditor knows of items, pauses and failures: a model of the store that fits in the head."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from harness.model.work import PRIORITIES
from harness.store.audit import Tracked

URGENT = PRIORITIES["high"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVERYTHING = ("loop", "credential")


def milliseconds(at: datetime) -> int:
    """As the store keeps times: whole milliseconds, never later."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


@dataclass(slots=True, kw_only=True)
class Item(Tracked):
    """What pauses look at, too."""

    repo: str | None
    kind: str
    priority: int
    leased_ms: int = 0


class Judge(Protocol):
    """Sees each journal entry in the order of commits, after the auditor; yields what must not have happened."""

    def see(self, entry: Any, data: Mapping[str, Any], item: Item | None) -> Iterator[str]: ...


@dataclass(frozen=True, slots=True)
class OpenPause:
    kind: str
    until_ms: int | None
    began_ms: int


class OpenPauses:
    """What is paused now, by scope and source, and whom that keeps out."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], OpenPause] = {}

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, scope: str, source: str, pause: OpenPause) -> None:
        self._open[scope, source] = pause

    def closed(self, scope: str, source: str) -> OpenPause | None:
        return self._open.pop((scope, source), None)

    def sources(self, scope: str) -> set[str]:
        return {source for each, source in self._open if each == scope}

    def in_the_way(self, item: Item, leased: Collection[Item], at: int) -> Iterator[str]:
        """The open pauses under which `item` may not be leased at `at` (ms) while `leased` are out."""
        if not self._open:
            return
        mine = {"loop", "credential", f"repo:{item.repo}", f"kind:{item.kind}", f"item:{item.id}"}
        for (scope, source), pause in self._open.items():
            if scope in mine and not _may_pass(item, scope, pause, leased, at):
                yield f"the open pause of {scope} by {source} ({pause.kind})"


def _may_pass(item: Item, scope: str, pause: OpenPause, leased: Collection[Item], at: int) -> bool:
    """A hold and a reserve end at their time; a probe lets one through, to find out whether it works again."""
    due = pause.until_ms is not None and pause.until_ms <= at
    if pause.kind != "probe":
        return (due and pause.kind in ("hold", "reserve")) or (pause.kind == "reserve" and item.priority <= URGENT)
    if pause.until_ms is not None and not due:
        return False
    since = pause.until_ms if pause.until_ms is not None else pause.began_ms
    probing = [each for each in leased if each.leased_ms >= since]
    if scope in _EVERYTHING:
        return not probing
    shared = "repo" if scope.startswith("repo:") else "kind"
    return scope.startswith("item:") or all(getattr(each, shared) != getattr(item, shared) for each in probing)


@dataclass(slots=True)
class Breaker:
    """The consecutive failures as the rules of architecture 7 count them, from settled attempts alone.

    In the order in which they were settled, whatever the clock said.
    """

    limit: int
    due_ms: int | None = None
    items: list[str] = field(default_factory=list)

    def failed(self, at: int, item: str) -> None:
        self.items = [*self.items, item][-self.limit :]
        if self.due_ms is None and self.is_due():
            self.due_ms = at

    def clear(self) -> None:
        self.items.clear()
        self.due_ms = None

    def is_due(self) -> bool:
        return len(self.items) >= self.limit and len(set(self.items)) >= 2

    def shift(self, milliseconds: int) -> None:
        """The wall clock was set: no time has passed for who is to open the breaker."""
        if self.due_ms is not None:
            self.due_ms += milliseconds
