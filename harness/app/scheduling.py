"""What recurs, out of the configuration: rules, the items of slots, and how commands of schedules are run (C22)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from harness.app.commands import Commands, Order, Told
from harness.app.environments import Environments
from harness.app.planner import ConfigPlanner
from harness.config.schedules import ScheduledCommandSection, ScheduleSection
from harness.engine.recurring import CommandTools, Ran, ScheduledCommands
from harness.engine.scheduler import Scheduler
from harness.engine.state import LoopState
from harness.model.errors import Busy, NotFound
from harness.model.home import Home
from harness.model.itemform import parse_item
from harness.model.schedule import Due, Happened, Rule, source_of
from harness.model.text import one_line, plain
from harness.model.work import WorkItem
from harness.ops.forms import form_of
from harness.ports import Books, Clock, Merger, RepositoryRef
from harness.proc.lock import FileLock, holder

MOST_WORDS = 300
LOG = "schedule"
"""Logs are `state/logs/commands/schedule-NAME.log`."""


@dataclass(frozen=True, slots=True)
class ConfigCalendar:
    """Implements engine.scheduler.Calendar on the configuration that the planner has now."""

    planner: ConfigPlanner

    def rules(self) -> Sequence[Rule]:
        return [section.rule(name) for name, section in self.planner.loaded.config.schedules.items()]

    def item(self, rule: Rule, due: Due, happened: Happened, now: datetime) -> WorkItem | None:
        loaded = self.planner.loaded
        section = section_of(self.planner, rule.name)
        if section.item is None:
            return None
        form = form_of(loaded, source_of(rule.name))
        made = parse_item({**section.item.document(), "id": f"{rule.name}-{due.slot}"}, form, now)
        facts = {"schedule": rule.name, "slot": due.slot, "missed": due.missed}
        since = {"repo": happened.repo, "base": happened.base, "commit": happened.commit} if happened.count else {}
        return replace(made, dedupe_key=source_of(rule.name), extra={**facts, **({"since": since} if since else {})})


def section_of(planner: ConfigPlanner, name: str) -> ScheduleSection:
    """Raises NotFound, naming the known ones."""
    known = planner.loaded.config.schedules
    if name not in known:
        raise NotFound(
            f"there is no schedule {name}; known: {', '.join(sorted(known)) or 'none'}",
            hint="schedules: in config.yaml",
        )
    return known[name]


@dataclass(frozen=True, slots=True)
class ContainedRuns:
    """Implements engine.recurring.Runs: contained and fenced as gates are; a folder of the schedule's own is kept."""

    planner: ConfigPlanner
    commands: Commands
    merger: Merger
    home: Home

    @contextmanager
    def turn(self, schedule: str) -> Iterator[None]:
        lock = FileLock(self.home.owners / f"schedule-{schedule}.lock")
        if not lock.acquire(f"pid {os.getpid()}"):
            by = holder(lock.path) or "pid unknown"
            raise Busy(f"the command of schedule {schedule} runs already ({by})", hint="wait for its end")
        try:
            yield
        finally:
            lock.release()

    async def run(self, schedule: str) -> Ran:
        section = section_of(self.planner, schedule).command
        if section is None:
            raise NotFound(f"schedule {schedule} has no command any more", hint="./loop schedule list")
        kept = self.home.kept(schedule)
        await asyncio.to_thread(kept.mkdir, parents=True, exist_ok=True, mode=0o700)
        order = Order(LOG, schedule, section.run, section.timeout_seconds, cache=kept)
        async with self._folder(section, kept) as folder:
            told = await self.commands.run(order, folder)
        return Ran(told.green, _reason(told, section), str(told.log))

    @asynccontextmanager
    async def _folder(self, section: ScheduledCommandSection, kept: Path) -> AsyncIterator[Path]:
        if section.repo is None:
            yield kept
            return
        found = self.planner.loaded.config.repository(section.repo)
        assert found is not None  # the configuration is refused otherwise
        repo = RepositoryRef(found.name, self.planner.loaded.path(found), found.branch)
        async with self.merger.bench(repo, await self.merger.tip(repo, repo.branch)) as bench:
            yield bench


def _reason(told: Told, section: ScheduledCommandSection) -> str:
    """How it ended, and its last line if that was badly."""
    if told.green:
        return f"{told.ended.seconds:.1f} s"
    if told.ended.timed_out:
        return f"not finished after {section.timeout_seconds:g} s (timeout_seconds)"
    last = next((line for line in reversed(plain(told.ended.tail).splitlines()) if line.strip()), "")
    return f"exit {told.ended.code}{f': {one_line(last, MOST_WORDS)}' if last else ''}"


@dataclass(frozen=True, slots=True)
class Scheduling:
    """What fires, and what runs the commands that were fired."""

    scheduler: Scheduler
    commands: ScheduledCommands

    @property
    def components(self) -> tuple[Scheduler, ScheduledCommands]:
        return (self.scheduler, self.commands)


def make_scheduling(
    books: Books, clock: Clock, state: LoopState, home: Home, merger: Merger, planner: ConfigPlanner,
    environments: Environments,
) -> Scheduling:  # fmt: skip
    runs = ContainedRuns(planner, Commands(environments, home.command_logs), merger, home)
    tools = CommandTools(books, clock, runs)
    return Scheduling(Scheduler(books, clock, state, ConfigCalendar(planner)), ScheduledCommands(tools, state))
