"""When what recurs is due: over changes of clocks, gaps, windows, and looks that came late (Q4)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness import cron
from harness.model.schedule import (
    MOST_MISSED,
    NOTHING,
    Due,
    Happened,
    Rule,
    Standing,
    Window,
    earliest,
    every,
    look,
    stamp,
    upcoming,
)

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
ZONES = (BERLIN, NEW_YORK, LORD_HOWE, "UTC")
CHANGES = {  # a day with a change of clocks each way
    BERLIN: (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)),
    NEW_YORK: (datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)),
    LORD_HOWE: (datetime(2026, 10, 4, tzinfo=UTC), datetime(2026, 4, 5, tzinfo=UTC)),
    "UTC": (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)),
}
MINUTE = timedelta(minutes=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def between(following: object, begins: datetime, ends: datetime) -> list[datetime]:
    assert callable(following)
    found: list[datetime] = []
    slot = following(begins)
    while slot is not None and slot <= ends:
        found.append(slot)
        slot = following(slot)
    return found


def minutes(begins: datetime, ends: datetime) -> Iterator[datetime]:
    while begins < ends:
        begins += MINUTE
        yield begins


# --- cron -------------------------------------------------------------------------------------------------------------


def real_time(hours: set[int], past: set[int], begins: datetime, ends: datetime, zone: str) -> list[datetime]:
    """What a text with `*` means: every minute whose wall clock shows it."""
    where = cron.zone(zone)
    shown = ((each, each.astimezone(where)) for each in minutes(begins, ends))
    return [each for each, wall in shown if wall.minute in past and wall.hour in hours]


def wall_time(hours: set[int], past: set[int], begins: datetime, ends: datetime, zone: str) -> list[datetime]:
    """What a text with fixed times means: each once a day; one that is leapt over, when the leap is done."""
    where = cron.zone(zone)
    found, day = set(), begins - timedelta(days=2)
    while day < ends + timedelta(days=2):
        local = day.astimezone(where).date()
        for hour in hours:
            for minute in past:
                naive = datetime.combine(local, time(hour, minute))
                while (instant := naive.replace(tzinfo=where).astimezone(UTC)).astimezone(where).replace(
                    tzinfo=None
                ) != naive:
                    naive += MINUTE
                found.add(instant)
        day += timedelta(hours=12)
    return sorted(each for each in found if begins < each <= ends)


numbers = st.sets(st.integers(0, 59), min_size=1, max_size=3)
hours = st.sets(st.integers(0, 4), min_size=1, max_size=3)


def listed(values: set[int]) -> str:
    return ",".join(map(str, sorted(values)))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(ZONES), st.booleans(), numbers, hours, st.integers(0, 36 * 60))
@example(BERLIN, True, {0}, {2, 3}, 0)
@example(BERLIN, True, {15, 45}, {2}, 0)
@example(LORD_HOWE, False, {10, 40}, {1, 2}, 0)
@example(BERLIN, False, {30}, {2}, 30 * 60 + 75)  # looked at in the hour that comes twice, the second time
def test_fixed_times_are_one_slot_each_and_none_is_lost_over_a_change(zone, spring, past, of, begin):
    middle = CHANGES[zone][0 if spring else 1]
    begins, ends = middle - timedelta(hours=30) + begin * MINUTE, middle + timedelta(hours=40)
    found = between(cron.slots(f"{listed(past)} {listed(of)} * * *", cron.zone(zone)), begins, ends)
    assert found == wall_time(of, past, begins, ends, zone)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([zone for zone in ZONES if zone != LORD_HOWE]), st.booleans(), numbers, st.integers(0, 36 * 60))
def test_times_of_every_hour_are_real_time_over_a_change(zone, spring, past, begin):
    middle = CHANGES[zone][0 if spring else 1]
    begins, ends = middle - timedelta(hours=30) + begin * MINUTE, middle + timedelta(hours=40)
    found = between(cron.slots(f"{listed(past)} * * * *", cron.zone(zone)), begins, ends)
    assert found == real_time(set(range(24)), past, begins, ends, zone)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0 3 * *", "five fields"),
        ("0 0 3 * * *", "five fields"),
        ("61 3 * * *", "bad minute"),
        ("0 3 * * funday", "bad day-of-week"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("@daily", "five fields"),
    ],
)
def test_what_is_no_time_of_cron_is_refused_with_its_field(text, says):
    with pytest.raises(ValueError, match=says):
        cron.check(text)


def test_a_zone_that_nobody_knows_is_refused():
    for name in ("Mars/Olympus", "", "../etc/passwd"):
        with pytest.raises(ValueError, match="no time zone"):
            cron.zone(name)


DATES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1))  # noqa: DTZ001 - the zone is given later


# --- intervals --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 3000), st.sampled_from(ZONES), DATES)
def test_an_interval_keeps_its_length_whatever_clocks_do(length, zone, begin):
    found = every(length, cron.zone(zone))
    slots = [found(begin.replace(tzinfo=UTC))]
    for _ in range(5):
        slots.append(found(slots[-1]))
    assert begin.replace(tzinfo=UTC) < slots[0] <= begin.replace(tzinfo=UTC) + length * MINUTE
    assert {after - before for before, after in pairwise(slots)} == {length * MINUTE}
    assert (slots[0] - datetime(1970, 1, 1, tzinfo=cron.zone(zone)).astimezone(UTC)) % (length * MINUTE) == timedelta(0)


# --- looks ------------------------------------------------------------------------------------------------------------

NIGHTLY = cron.slots("0 3 * * *", UTC)


def nightly(**more) -> Rule:
    return Rule("nightly", "0 3 * * * UTC", NIGHTLY, **more)


def seen(when: str, fired: str | None = None) -> Standing:
    return Standing("0 3 * * * UTC", at(when), fired_at=at(fired) if fired else None)


def test_a_slot_is_due_once_its_time_has_come():
    before = look(nightly(), seen("2026-01-01T00:00Z"), NOTHING, at("2026-01-01T02:59:59Z"))
    assert (before.due, before.again) == (None, at("2026-01-01T03:00Z"))
    now = look(nightly(), seen("2026-01-01T00:00Z"), NOTHING, at("2026-01-01T03:00Z"))
    assert (now.due, now.again) == (Due("20260101T0300Z"), at("2026-01-02T03:00Z"))


def test_slots_that_nobody_saw_are_one_that_counts_the_others():
    found = look(nightly(), seen("2026-01-01T00:00Z"), NOTHING, at("2026-01-08T12:00Z"))
    assert found.due == Due("20260108T0300Z", missed=7)


def test_a_year_of_missed_minutes_costs_a_bounded_look():
    rule = Rule("busy", "* * * * * UTC", cron.slots("* * * * *", UTC))
    found = look(rule, seen("2026-01-01T00:00Z"), NOTHING, at("2027-01-01T00:00Z"))
    assert found.due is not None
    assert found.due.missed == MOST_MISSED - 1
    assert found.again == at("2027-01-01T00:01Z")


def test_what_is_due_within_the_gap_waits_for_its_end():
    rule = nightly(gap=timedelta(hours=30))
    found = look(rule, seen("2026-01-02T02:00Z", "2026-01-01T03:00Z"), NOTHING, at("2026-01-02T04:00Z"))
    assert (found.due, found.again) == (None, at("2026-01-02T09:00Z"))
    assert look(rule, seen("2026-01-02T02:00Z", "2026-01-01T03:00Z"), NOTHING, at("2026-01-02T09:00Z")).due


def test_a_gap_that_a_clock_put_into_the_future_is_no_longer_than_itself():
    rule = nightly(gap=timedelta(hours=1))
    found = earliest(rule, at("2030-01-01T00:00Z"), at("2026-01-01T03:00Z"))
    assert found == at("2026-01-01T04:00Z")


def test_events_are_one_firing_however_many_there_were():
    rule = Rule("index", "after integrated", event="integrated")
    assert look(rule, seen("2026-01-01T00:00Z"), NOTHING, at("2026-01-01T00:00Z")).due is None
    found = look(rule, seen("2026-01-01T00:00Z"), Happened(newest=41, count=3), at("2026-01-01T00:00Z"))
    assert (found.due, found.again) == (Due("entry-41", missed=2), None)


def test_the_next_time_that_people_are_told_is_one_at_which_it_fires():
    rule = nightly(window=Window(time(22), time(2), UTC))
    assert upcoming(rule, seen("2026-01-01T00:00Z"), at("2026-01-01T00:30Z")) == at("2026-01-01T22:00Z")
    assert upcoming(nightly(), seen("2026-01-01T00:00Z"), at("2026-01-05T00:00Z")) == at("2026-01-05T00:00Z")
    assert (
        upcoming(Rule("e", "after pushed", event="pushed"), seen("2026-01-01T00:00Z"), at("2026-01-01T00:00Z")) is None
    )


# --- windows ----------------------------------------------------------------------------------------------------------

moments = st.times().map(lambda each: each.replace(second=0, microsecond=0))


@settings(max_examples=60, deadline=None)
@given(moments, moments, st.sampled_from(ZONES), st.booleans(), st.integers(0, 72 * 60))
@example(time(2, 15), time(2, 45), BERLIN, True, 0)
@example(time(0, 0), time(23, 59), NEW_YORK, False, 30 * 60)
def test_a_window_opens_at_the_first_minute_that_is_in_it(begins, ends, zone, spring, begin):
    if begins == ends:
        return
    where = cron.zone(zone)
    window = Window(begins, ends, where)
    start = CHANGES[zone][0 if spring else 1] - timedelta(hours=30) + begin * MINUTE

    def inside(moment: datetime) -> bool:
        shown = moment.astimezone(where).time()
        return begins <= shown < ends if begins < ends else shown >= begins or shown < ends

    opened = window.opens(start)
    while not inside(opened):  # its beginning was leapt over: asked again, as a loop does
        assert window.opens(opened) > opened
        opened = window.opens(opened)
    assert opened >= start
    earlier = [each for each in minutes(start - MINUTE, opened - MINUTE) if inside(each)]
    # where clocks go back into a window, it is open again: its beginning is told by the wall clock, once a day
    assert len(earlier) <= 60
    if window.opens(start) == start:
        assert inside(start)


def test_slots_outside_the_window_are_one_when_it_opens():
    rule = Rule("t", "0 * * * * UTC", cron.slots("0 * * * *", UTC), window=Window(time(22), time(6), UTC))
    standing = Standing("", at("2026-01-01T06:00Z"))
    day = look(rule, standing, NOTHING, at("2026-01-01T12:00Z"))
    assert (day.due, day.again) == (None, at("2026-01-01T22:00Z"))
    assert look(rule, standing, NOTHING, day.again).due == Due("20260101T2200Z", missed=15)


def test_slots_are_named_by_the_instant():
    assert stamp(at("2026-10-25T02:30+02:00")) != stamp(at("2026-10-25T02:30+01:00"))
