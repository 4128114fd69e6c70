"""Times of cron, as instants: Debian's rules over changes of the clock, by `cronsim`.

A time that the clock leaps over happens when the leap is done, one that it shows twice happens the first time. With `*`
at the beginning of minute or hour the text tells of real time: every hour then is one, also the one that comes twice
(not where clocks are put back by half an hour, on Lord Howe Island: there that time is left out).
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from harness.model.schedule import Following

FIELDS = "minute hour day-of-month month day-of-week"


def zone(name: str) -> tzinfo:
    """The time zone of a name such as `Europe/Berlin`. Raises ValueError."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as exc:
        # a machine without its zones knows none: Debian's package has them
        raise ValueError(f"no time zone is called {name!r} here; UTC, or a name of the package tzdata") from exc


def check(text: str) -> str:
    """The text itself if it is one of cron's. Raises ValueError saying which field is wrong."""
    if len(text.split()) != 5:
        raise ValueError(f"{text!r} is no time of cron; five fields: {FIELDS}")
    try:
        never = next(CronSim(text, datetime(2024, 1, 1)), None) is None  # noqa: DTZ001 - any time will do
    except CronSimError as exc:
        raise ValueError(f"{text!r} is no time of cron: {str(exc).lower()}; five fields: {FIELDS}") from exc
    if never:
        raise ValueError(f"{text!r} never happens")
    return text


def slots(text: str, where: tzinfo) -> Following:
    """The slots of a text that `check` has let through."""

    def following(after: datetime) -> datetime | None:
        # cronsim may give an instant twice, or the first of two again, where the clock is changed
        times = (slot.astimezone(UTC) for slot in CronSim(text, after.astimezone(where)))
        return next((slot for slot in times if slot > after), None)

    return following
