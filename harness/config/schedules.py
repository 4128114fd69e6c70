"""What recurs (`schedules`): when, and which item is added or which command is run (C22)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import time, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from harness.config.fields import Count, Dollars, Key, Many, Name, Seconds, Section, Text
from harness.cron import check, slots, zone
from harness.model.schedule import Rule, Window, every

MINUTES_OF_A_YEAR = 525_600
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def _hours(value: str) -> str:
    found = _WINDOW.fullmatch(value)
    if found is None or found.group(1, 2) == found.group(3, 4):
        raise ValueError(f"{value!r} is no window; for example 22:00-06:00")
    return value


def _zone(value: str) -> str:
    zone(value)
    return value


class ScheduledItemSection(Section):
    """The item of each slot, as `queue add` takes one; keys not set here are the kind's or repository's."""

    title: Text
    """What is to be done."""
    description: str = ""
    """All that the agent needs to know."""
    kind: Text = "maintenance"
    """Kind of work."""
    repo: Name | None = None
    """Repository; null = that of items that name none."""
    priority: Literal["critical", "high", "medium", "low"] | Annotated[int, Field(ge=0, le=99)] = "medium"
    """Lower first."""
    lane: Name | None = None
    """Slice of the queue; null = the kind's."""
    agent: Name | None = None
    """Name of an entry of `agents`."""
    model: Text | None = None
    """Model, as in `agents`."""
    scope: Many[Text] = ()
    """Globs of what may be changed."""
    labels: Many[Text] = ()
    """Words of yours."""
    max_attempts: Count | None = None
    """Attempts that may count before it is parked."""
    timeout_seconds: Seconds | None = None
    """Longest session, in seconds."""
    max_cost_usd: Dollars | None = None
    """Cost of a session in US dollars."""

    def document(self) -> Mapping[str, Any]:
        """What is set, as an operator would write it."""
        given = self.model_dump(exclude_defaults=True)
        return {**given, "title": self.title, "kind": self.kind, "priority": self.priority}


class ScheduledCommandSection(Section):
    """A command of yours, run as gates are: contained, logged, without credentials of the model."""

    run: Text
    """Shell command. HARNESS_CACHE names a folder of the schedule that is kept; without `repo` it runs in there."""
    repo: Name | None = None
    """Run it in a clean checkout of this repository's branch; null = in the folder that is kept."""
    timeout_seconds: Seconds = 600
    """Longest run; then it has failed."""


class ScheduleSection(Section):
    """Something that recurs: one of `cron`, `every_minutes`, `after`, and one of `item`, `command`."""

    cron: Annotated[Text, AfterValidator(check)] | None = None
    """Five fields as in crontab: minute, hour, day of month, month, day of week."""
    every_minutes: Annotated[int, Field(ge=1, le=MINUTES_OF_A_YEAR)] | None = None
    """Minutes between two slots, counted from midnight of 1970-01-01; clocks that are changed do not matter."""
    after: Literal["integrated", "pushed"] | None = None
    """Event: work came to a branch, or to its remote; of the item's or command's `repo` if it has one. Work that
    schedules added counts for commands only: nothing turns in a circle."""
    timezone: Annotated[Text, AfterValidator(_zone)] = "UTC"
    """Zone of `cron`, `every_minutes` and `window`, such as Europe/Berlin."""
    window: Annotated[Text, AfterValidator(_hours)] | None = None
    """Time of day in which it fires, such as 22:00-06:00; what is due outside waits until it begins. null = always."""
    min_gap_minutes: Annotated[int, Field(ge=0, le=MINUTES_OF_A_YEAR)] = 0
    """Minutes between two firings at least; what is due earlier waits."""
    item: ScheduledItemSection | None = None
    """What is added to the queue."""
    command: ScheduledCommandSection | None = None
    """What is run."""

    @model_validator(mode="after")
    def _whole(self) -> ScheduleSection:
        if sum(trigger is not None for trigger in (self.cron, self.every_minutes, self.after)) != 1:
            raise ValueError("a schedule has one of cron, every_minutes and after")
        if (self.item is None) is (self.command is None):
            raise ValueError("a schedule has either an item or a command")
        return self

    @property
    def when(self) -> str:
        """Its trigger in words."""
        if self.after is not None:
            return f"after {self.after}"
        text = f"every {self.every_minutes} min" if self.cron is None else self.cron
        return f"{text} {self.timezone}"

    @property
    def repo(self) -> str | None:
        """The repository that its item or command names."""
        what = self.item or self.command
        return what.repo if what is not None else None

    def rule(self, name: str) -> Rule:
        """When it fires."""
        where = zone(self.timezone)
        following = None
        if self.cron is not None:
            following = slots(self.cron, where)
        elif self.every_minutes is not None:
            following = every(self.every_minutes, where)
        window = None
        if self.window is not None:
            begins, ends = map(time.fromisoformat, self.window.split("-"))
            window = Window(begins, ends, where)
        gap = timedelta(minutes=self.min_gap_minutes)
        harmless = self.command is not None  # it adds nothing that could fire it again
        return Rule(name, self.when, following, self.after or "", self.repo, harmless, window, gap)


Schedules = dict[Name, ScheduleSection]


def contradictions(
    schedules: Mapping[str, ScheduleSection], known: Mapping[str, Collection[str]]
) -> Iterator[tuple[Key, str]]:
    """Names that name nothing. `known`: the names of repositories, lanes and agents by the key that uses them."""
    for name, schedule in schedules.items():
        if ".." in name:
            yield ("schedules", name), f"{name!r} cannot begin the ids of items: it has '..'"
        part = "item" if schedule.item is not None else "command"
        for key, names in known.items():
            given = getattr(getattr(schedule, part), key, None)
            if given is not None and given not in names:
                word = {"repo": "repository"}.get(key, key)
                allowed = ", ".join(sorted(names)) or "none; ./loop init --repo PATH"
                yield ("schedules", name, part, key), f"{given!r} is no {word}; allowed: {allowed}"
