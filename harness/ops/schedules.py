"""What recurs, for people: when each schedule fires next, and what became of the last slot. Loads the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from harness.config.load import load
from harness.config.schedules import ScheduleSection
from harness.model.home import Home
from harness.model.schedule import Firing, Standing, upcoming
from harness.model.text import one_line
from harness.ops.answers import Rows
from harness.ops.books import reading_if_any
from harness.store.reader import StoreReader

SCHEMA = "loop.schedules/1"
MOST_SHOWN = 48
COLUMNS = ("name", "when", "next_at", "does", "last_at", "state", "detail")


def list_(home: Home, environ: Mapping[str, str], now: datetime) -> Rows:
    """In the order of config.yaml. Raises ConfigError."""
    schedules = load(home.root, environ).config.schedules
    with reading_if_any(home) as store:
        rows = list(_rows(schedules, store, now))
    return Rows(SCHEMA, rows, now, COLUMNS, empty="no schedules; they are written under schedules: in config.yaml")


def _rows(
    schedules: Mapping[str, ScheduleSection], store: StoreReader | None, now: datetime
) -> Iterator[Mapping[str, Any]]:
    standings = store.standings() if store is not None else {}
    for name, section in schedules.items():
        rule, standing = section.rule(name), standings.get(name)
        if standing is None or standing.rule != rule.text or standing.looked_at > now:
            standing = Standing(rule.text, now, fired_at=standing.fired_at if standing is not None else None)
        last = next(iter(store.firings(name, 1)), None) if store is not None else None
        yield {
            "name": name,
            "when": section.when,
            "window": section.window,
            "min_gap_minutes": section.min_gap_minutes,
            "next_at": upcoming(rule, standing, now),
            "does": _does(section),
            **_last(last),
        }


def _does(section: ScheduleSection) -> str:
    if section.item is not None:
        return f"adds {one_line(section.item.title, MOST_SHOWN)!r}"
    assert section.command is not None  # a section has one of both
    return f"runs {one_line(section.command.run, MOST_SHOWN)!r}"


def _last(firing: Firing | None) -> Mapping[str, Any]:
    """What became of the last slot; `detail` is its item, or how its command ended."""
    if firing is None:
        return dict.fromkeys(("last_at", "slot", "state", "item", "missed", "detail", "log"))
    facts = {"last_at": firing.at, "slot": firing.slot, "state": firing.state, "item": firing.item}
    detail = firing.reason or firing.item
    return {**facts, "missed": firing.missed, "detail": detail, "log": firing.log}
