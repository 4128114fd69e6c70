"""Sections of config.yaml about what work may use: money, and the machine."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from harness.config.fields import Count, Dollars, Name, Percent, Seconds, Section
from harness.model.budget import Budgets
from harness.model.pressure import Thresholds
from harness.model.vitals import Bound, Rule, Rules

_MOST = 1_000_000
Amount = Annotated[int, Field(ge=0, le=_MOST)] | Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False)]


class BudgetSection(Section):
    """What all work together may cost, in US dollars. A session reserves its `max_cost_usd` before it begins."""

    item_usd: Dollars | None = None
    """All sessions of one item; then it waits for a person. null = no limit."""
    day_usd: Dollars | None = None
    """All sessions that end on one local calendar day; then nothing begins until midnight. null = no limit."""
    total_usd: Dollars | None = None
    """All sessions of this home, ever; then nothing begins until it is raised. null = no limit."""
    kind: dict[Name, Dollars] = Field(default_factory=dict)
    """All sessions of a kind of work, by its name; then none of that kind begins until it is raised."""

    def budgets(self) -> Budgets:
        """The same, exact."""
        item, day, total = (_exact(each) for each in (self.item_usd, self.day_usd, self.total_usd))
        return Budgets(item, day, total, {name: Decimal(str(limit)) for name, limit in self.kind.items()})


def _exact(dollars: float | None) -> Decimal | None:
    return None if dollars is None else Decimal(str(dollars))


class PressureSection(Section):
    """When the machine is too short of something to begin another session; what runs goes on. null = not watched."""

    memory_percent: Percent | None = 10
    """Available memory below this share of all, in percent, is too little."""
    memory_mib: Count | None = 1024
    """Available memory below this is too little, in MiB."""
    cpu_stalled_percent: Percent | None = None
    """Share of the last 10 s in which something waited for a processor (`/proc/pressure/cpu`); above is too much. Not
    watched by default: one busy build is enough for 80, and does no harm."""
    descriptors_percent: Percent | None = 80
    """Descriptors the loop has open, in percent of its limit; above is too many."""

    def thresholds(self) -> Thresholds:
        return Thresholds(self.memory_percent, self.memory_mib, self.cpu_stalled_percent, self.descriptors_percent)


class BoundsSection(Section):
    """Two bounds on a mean over time; crossing one is said once, and when it is over. null = not watched."""

    warning: Amount | None
    """Mean that is a warning."""
    warning_seconds: Seconds
    """Span of that mean."""
    critical: Amount | None
    """Mean that is an alert."""
    critical_seconds: Seconds
    """Span of that mean."""

    def rule(self, *, acts: bool) -> Rule:
        warning = None if self.warning is None else Bound(self.warning, self.warning_seconds)
        critical = None if self.critical is None else Bound(self.critical, self.critical_seconds)
        return Rule(warning, critical, acts)


class SessionBoundsSection(BoundsSection):
    """Bounds of one session."""

    ends_session: bool = False
    """Whether an alert ends the session (ending `runaway`, counted); else it is only said."""


class CpuSection(SessionBoundsSection):
    """Processor time of a session's processes, in percent of all processors the loop may use."""

    warning: Percent | None = 80
    """Mean that is a warning."""
    warning_seconds: Seconds = 300
    """Span of that mean."""
    critical: Percent | None = 95
    """Mean that is an alert. No tree of processes gets 100 % over minutes: others need some of it."""
    critical_seconds: Seconds = 600
    """Span of that mean."""


class MemorySection(SessionBoundsSection):
    """Memory that a session's processes hold (resident, shared pages once a process), in percent of the machine's."""

    warning: Percent | None = 70
    """Mean that is a warning."""
    warning_seconds: Seconds = 60
    """Span of that mean."""
    critical: Percent | None = 90
    """Mean that is an alert."""
    critical_seconds: Seconds = 10
    """Span of that mean."""


class DiskSection(SessionBoundsSection):
    """What a session's processes read from and write to disks, in MB/s. A full disk pauses the loop by itself."""

    warning: Amount | None = 100
    """Mean that is a warning."""
    warning_seconds: Seconds = 60
    """Span of that mean."""
    critical: Amount | None = None
    """Mean that is an alert."""
    critical_seconds: Seconds = 600
    """Span of that mean."""


class FilesSection(SessionBoundsSection):
    """Changed files a minute in the workspace of work that expects a commit; this few or fewer are too few. Time in
    which a tool runs or the API is waited for does not count; what was changed in it does.
    """

    warning: Amount | None = 2
    """Mean that is a warning."""
    warning_seconds: Seconds = 300
    """Span of that mean."""
    critical: Amount | None = 0
    """Mean that is an alert; 0 = no change at all."""
    critical_seconds: Seconds = 600
    """Span of that mean."""


class LoopMemorySection(BoundsSection):
    """Memory of the loop's own process (resident), in MiB."""

    warning: Amount | None = 512
    """Mean that is a warning."""
    warning_seconds: Seconds = 60
    """Span of that mean."""
    critical: Amount | None = 1024
    """Mean that is an alert."""
    critical_seconds: Seconds = 60
    """Span of that mean."""
    ends_loop: bool = False
    """Whether an alert ends the loop in order: nothing new begins, what runs is finished, then it exits with 0. For
    loops that something starts again.
    """


class WatchSection(Section):
    """What running sessions and the loop use and do, as means over time. Said in the log, by `status` and `why`."""

    cpu_percent: CpuSection = CpuSection()
    """Processor time of a session."""
    memory_percent: MemorySection = MemorySection()
    """Memory of a session."""
    disk_mb_per_second: DiskSection = DiskSection()
    """Disk traffic of a session."""
    file_changes_per_minute: FilesSection = FilesSection()
    """Changes in the workspace of a session."""
    loop_memory_mib: LoopMemorySection = LoopMemorySection()
    """Memory of the loop itself."""

    def rules(self) -> Rules:
        """By the names of `model.vitals.VITALS`."""
        sections = {
            "cpu": self.cpu_percent,
            "memory": self.memory_percent,
            "disk": self.disk_mb_per_second,
            "files": self.file_changes_per_minute,
        }
        rules = {name: section.rule(acts=section.ends_session) for name, section in sections.items()}
        return {**rules, "loop_memory": self.loop_memory_mib.rule(acts=self.loop_memory_mib.ends_loop)}
