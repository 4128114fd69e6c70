"""When what recurs is due (C22): slots, gaps, windows, and what becomes of slots that nobody saw. Pure.

    slots passed since the last look ──► the newest is due, the others are counted as missed
    due ──► within the gap, or outside the window: it waits, and what comes meanwhile is the same work
        ──► fires: one row a slot, for good

Every time is aware. A slot is an instant, so a change of clocks neither repeats nor skips one by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

Following = Callable[[datetime], datetime | None]
"""The first slot after an instant; None if there is none any more."""

INTEGRATED, PUSHED = "integrated", "pushed"
MOST_MISSED = 1000
"""So many passed slots are counted; of a year of minutes the rest is not looked at."""
HAND = "hand"


def source_of(schedule: str) -> str:
    """What `source` and dedupe key of a schedule's items say: one that is not finished takes the next slot in."""
    return f"{SOURCE}{schedule}"


SOURCE = "schedule:"


@dataclass(frozen=True, slots=True)
class Window:
    """A time of day in which to fire, by the wall clock of `zone`; over midnight if it ends before it begins."""

    begins: time
    ends: time
    zone: tzinfo

    def opens(self, at: datetime) -> datetime:
        """`at` itself inside the window, else its next beginning, in UTC."""
        local = at.astimezone(self.zone)
        if self._holds(local.time()):
            return at
        for days in (0, 1):
            opening = datetime.combine(local.date() + timedelta(days=days), self.begins, self.zone).astimezone(UTC)
            if opening > at:
                return opening
        return opening + timedelta(days=1)  # the clock was put back over midnight

    def _holds(self, moment: time) -> bool:
        if self.begins < self.ends:
            return self.begins <= moment < self.ends
        return moment >= self.begins or moment < self.ends


@dataclass(frozen=True, slots=True)
class Rule:
    """When one schedule fires: at slots, or after an `event` (of `repo`, None = any; of work that schedules added
    only with `of_schedules`). `text` is its trigger as people wrote it: with another text it begins anew.
    """

    name: str
    text: str
    following: Following | None = None
    event: str = ""
    repo: str | None = None
    of_schedules: bool = False
    window: Window | None = None
    gap: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a schedule has been looked at: in time, and in entries of the journal; `fired_at` is the last time."""

    rule: str
    looked_at: datetime
    seq: int = 0
    fired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Happened:
    """Events since the last firing: the newest one's entry of the journal, how many, and from which commit to which."""

    newest: int = 0
    count: int = 0
    repo: str = ""
    base: str = ""
    commit: str = ""


NOTHING = Happened()


@dataclass(frozen=True, slots=True)
class Due:
    """A slot that is to be fired, for `missed` earlier ones too."""

    slot: str
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What one look finds: what is due now, and when to look again (None: after the next event only)."""

    due: Due | None
    again: datetime | None


@dataclass(frozen=True, slots=True)
class Firing:
    """What became of a slot.

    `state`: added (`item` is its item); folded (`item`, or the command that still ran, took it in); of a command:
    wanted, running, done, failed, dropped (not wanted any more). `tries`: how often it was begun.
    """

    id: int
    schedule: str
    slot: str
    at: datetime
    missed: int
    state: str
    item: str | None = None
    reason: str = ""
    log: str | None = None
    tries: int = 0
    ended_at: datetime | None = None

    @property
    def by_hand(self) -> bool:
        """Whether a person asked for it (`schedule run`)."""
        return self.slot.startswith(f"{HAND}-")


def look(rule: Rule, standing: Standing, happened: Happened, now: datetime) -> Look:
    """Whether `rule` is to fire at `now`. `standing.looked_at` is not after `now`."""
    due, following = _passed(rule, standing, happened, now)
    if due is None:
        return Look(None, following)
    may = earliest(rule, standing.fired_at, now)
    return Look(due, following) if may <= now else Look(None, may)


def earliest(rule: Rule, fired_at: datetime | None, now: datetime) -> datetime:
    """When what is due at `now` may fire: after the gap, and in the window. A gap never begins in the future."""
    may = now if fired_at is None else max(now, min(fired_at, now) + rule.gap)
    return rule.window.opens(may) if rule.window is not None else may


def upcoming(rule: Rule, standing: Standing, now: datetime) -> datetime | None:
    """When it fires next if nothing happens but time; `now` for what is overdue."""
    found = look(rule, standing, NOTHING, now)
    if found.due is not None:
        return now
    at = found.again
    while at is not None and (may := earliest(rule, standing.fired_at, at)) > at:
        at = may
    return at


def _passed(rule: Rule, standing: Standing, happened: Happened, now: datetime) -> tuple[Due | None, datetime | None]:
    """What has come since the last look, and the first slot that has not."""
    if rule.following is None:
        return (Due(f"entry-{happened.newest}", happened.count - 1) if happened.count else None), None
    newest, count, at = None, 0, standing.looked_at
    while (slot := rule.following(at)) is not None and slot <= now:
        newest, count, at = slot, count + 1, slot
        if count == MOST_MISSED:
            slot = rule.following(now)
            break
    return (Due(stamp(newest), count - 1) if newest is not None else None), slot


def stamp(at: datetime) -> str:
    """A slot as it is written into names, in UTC."""
    return at.astimezone(UTC).strftime("%Y%m%dT%H%MZ")


def every(minutes: int, zone: tzinfo) -> Following:
    """Slots so many minutes apart, whatever clocks do; counted from midnight of 1970-01-01 in `zone`."""
    anchor, step = datetime(1970, 1, 1, tzinfo=zone).astimezone(UTC), timedelta(minutes=minutes)

    def following(after: datetime) -> datetime:
        return anchor + ((after - anchor) // step + 1) * step

    return following
