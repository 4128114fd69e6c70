"""What must not be leased, and the one lease that may find out whether it works again.

A pause of kind `probe` is a door that is shut until its time has come, then ajar: one lease passes while no other lease
of its scope that was taken since then is out. That lease is the probe; what ran before the pause proves nothing. The
engine closes the pause when it went well, or opens it again with a later time; until it does either, the next lease
after the probe is a probe too. A `reserve` leaves the door open for urgent work only; it and a `hold` end at their
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from harness.model.journal import Entry, Pause
from harness.model.work import PRIORITIES
from harness.store import rows
from harness.store.crowding import Crowding
from harness.store.database import known
from harness.store.room import Crowd

if TYPE_CHECKING:
    from harness.ports import LeaseRules

_EVERYTHING = frozenset({"loop", "credential"})
_ENDS_BY_ITSELF = frozenset({"hold", "reserve"})
_LEAST = 99


@dataclass(slots=True)
class Barriers:
    """What a lease has to keep out of at one moment. `probes` are the scopes that are ajar."""

    everything: bool = False
    crowd: Crowd = field(default_factory=Crowd)
    repos: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    probes: list[str] = field(default_factory=list)
    least_urgent: int = _LEAST

    @property
    def none(self) -> bool:
        shut = self.everything or self.repos or self.kinds or self.items
        return not shut and not self.crowd and self.least_urgent == _LEAST

    def shut(self, scope: str) -> None:
        kind, _, name = scope.partition(":")
        match kind:
            case "repo":
                self.repos.append(name)
            case "kind":
                self.kinds.append(name)
            case "item":
                self.items.append(name)
            case _:
                self.everything = True


def barriers(pauses: Sequence[Pause], crowd: Crowd, out: Sequence[Any], rules: LeaseRules, now: datetime) -> Barriers:
    """Pure: `out` are repo and kind of what is leased now, and since when if there is any pause."""
    found = Barriers(crowd=crowd, repos=list(crowd.repos))
    for pause in pauses:
        if pause.kind == "reserve":
            found.least_urgent = PRIORITIES["high"]
        elif _ajar(pause, out, rules, now):
            found.probes.append(pause.scope)
        else:
            found.shut(pause.scope)
    return found


def _ajar(pause: Pause, out: Sequence[Any], rules: LeaseRules, now: datetime) -> bool:
    if pause.kind != "probe" or (pause.until is not None and pause.until > now):
        return False
    scope, _, name = pause.scope.partition(":")
    since = rows.ms(pause.until or pause.began_at)
    tries = [lease for lease in out if lease["leased_at"] >= since]
    if scope in _EVERYTHING:
        return not tries
    if scope == "repo":
        return all((lease["repo"] or rules.default_repository) != name for lease in tries)
    return scope == "item" or all(lease["kind"] != name for lease in tries)


class Pauses(Crowding):
    """Open and closed pauses; closed ones stay as history."""

    def open_pause(
        self, scope: str, kind: str, reason: str, source: str, now: datetime, until: datetime | None = None
    ) -> Pause:
        """Idempotent per (scope, source): an open one gets the new kind, reason and time."""
        with self.together():
            found = self.one("pause_open", scope=scope, source=source)
            before = None if found is None else rows.pause(found)
            values = {"kind": kind, "reason": reason, "until": rows.ms_or_none(until), "now": rows.ms(now)}
            if before is None:
                self.insert("pause_insert", values | {"scope": scope, "source": source})
            else:
                self.run("pause_change", id=before.id, **values)
            after = rows.pause(known(self.one("pause_open", scope=scope, source=source), "pause", scope))
            if after != before:
                what = "pause.opened" if before is None else "pause.changed"
                data = {"scope": scope, "kind": kind, "reason": reason, "until": until}
                self.record(Entry(now, what, source, item=_item_of(scope), data=data))
            return after

    def close_pause(self, scope: str, source: str | None, by: str, now: datetime) -> int:
        """Close the pauses of a scope, of one source or of all; how many there were."""
        with self.together():
            closed = self.all("pause_close", scope=scope, source=source, by=by, now=rows.ms(now))
            for row in closed:
                data = {"scope": scope, "reason": row["reason"], "source": row["source"]}
                data["seconds"] = _seconds(row["began_at"], now)
                self.record(Entry(now, "pause.closed", by, item=_item_of(scope), data=data))
            return len(closed)

    def expired(self, pauses: Sequence[Pause], now: datetime) -> Sequence[Pause]:
        """Part of a lease: what ends at its time needs nobody to end it, also over a restart. What is still open."""
        if not any(p.kind in _ENDS_BY_ITSELF and p.until is not None and p.until <= now for p in pauses):
            return pauses
        for row in self.all("pauses_expire", now=rows.ms(now)):
            data = {name: row[name] for name in ("scope", "reason", "source")}
            data["seconds"] = _seconds(row["began_at"], now)
            self.record(Entry(now, "pause.closed", "its time had come", item=_item_of(row["scope"]), data=data))
        return self.pauses()

    def begin_pauses_anew(self, now: datetime) -> int:
        """Times that were set after `now` (the clock was set back) are as far off as they were; how many."""
        with self.together():
            changed = self.all("pauses_begin_anew", now=rows.ms(now))
            for row in changed:
                data = {name: row[name] for name in ("scope", "kind", "reason")} | {"until": rows.at(row["until"])}
                self.record(Entry(now, "pause.changed", row["source"], item=_item_of(row["scope"]), data=data))
            return len(changed)


def _seconds(began_at: int, now: datetime) -> float:
    """How long it took; a clock that was set back meanwhile makes no time negative."""
    return round(max(0, rows.ms(now) - began_at) / 1000, 3)


def _item_of(scope: str) -> str | None:
    return scope.removeprefix("item:") if scope.startswith("item:") else None
