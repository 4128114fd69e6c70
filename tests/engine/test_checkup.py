"""A session is looked at from outside: what it is beyond is noted, and it is ended only where that is wished (O8)."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from harness.engine.checkup import Checkup, CheckupTools
from harness.engine.watchdog import Finding, Watchdog
from harness.model.brief import Limits
from harness.model.events import Idle, Requesting, Started, StopReason, ToolStarted
from harness.model.vitals import Bound, Look, Rule, Rules, Sign

TOOL = ToolStarted("t1", "Bash", "make", "d", 600)


@dataclass
class Machine:
    """Implements ports.Gauge: every look finds a busy processor and no change."""

    looks: list[int] = field(default_factory=list)

    def look(self, pid: int) -> Look:
        self.looks.append(pid)
        return Look(cpu_seconds=5.0 * len(self.looks), memory_percent=1.0, disk_bytes=0, changed_files=0)


@dataclass
class Round:
    """A session under watch, second by second."""

    rules: Rules
    commits: bool = True
    machine: Machine = field(default_factory=Machine)
    watchdog: Watchdog = field(default_factory=lambda: Watchdog(Limits(), 0.0))
    noted: list[tuple[str, str]] = field(default_factory=list)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.checkup = Checkup(CheckupTools(lambda _: self.machine, lambda: self.rules), self.machine, self.commits)
        self.watchdog.on(Started("c", "m"), 0.0)

    async def go(self, seconds: int, pid: int | None = 7) -> Finding | None:
        for _ in range(seconds):
            self.at += 1
            found = await self.checkup.tick(pid, self.watchdog, self.at, self._note)
            if found is not None:
                return found
        return None

    async def _note(self, kind: str, sign: Sign) -> None:
        self.noted.append((kind, sign.vital))


def cpu(*, acts: bool = False) -> Rules:
    return {"cpu": Rule(Bound(80, 60), Bound(90, 120), acts)}


async def test_it_is_said_and_the_session_goes_on() -> None:
    watch = Round(cpu())
    assert await watch.go(600) is None
    assert watch.noted == [("session.strained", "cpu"), ("session.alert", "cpu")]


async def test_it_is_ended_where_the_configuration_says_so() -> None:
    watch = Round(cpu(acts=True))
    found = await watch.go(600)
    assert found is not None
    assert found.reason is StopReason.RUNAWAY
    assert "100 % of the machine's processors, over 2 min (limit 90)" in found.doing
    assert 120 <= watch.at <= 130


async def test_without_a_process_nothing_is_looked_at() -> None:
    watch = Round(cpu())
    await watch.go(60, pid=None)
    assert watch.machine.looks == []


@pytest.mark.parametrize(("seconds", "looks"), [(60.0, 12), (10.0, 12), (4.0, 30), (0.5, 60)])
async def test_it_looks_as_often_as_the_shortest_window_needs_and_not_more(seconds: float, looks: int) -> None:
    watch = Round({"cpu": Rule(Bound(1000, seconds))})
    await watch.go(60)
    assert len(watch.machine.looks) == looks


async def test_missing_changes_are_a_matter_of_work_that_expects_a_commit() -> None:
    rules = {"files": Rule(None, Bound(0, 60))}
    for commits, noted in ((True, [("session.alert", "files")]), (False, [])):
        watch = Round(rules, commits)
        watch.watchdog.on(Requesting(), 0.0)
        await watch.go(200)
        assert watch.noted == noted


@pytest.mark.parametrize("event", [TOOL, Idle()])
async def test_nobody_expects_changes_while_a_tool_runs_or_the_work_is_over(event: ToolStarted | Idle) -> None:
    watch = Round({"files": Rule(None, Bound(0, 60))})
    watch.watchdog.on(event, 0.0)
    await watch.go(600)
    assert watch.noted == []


async def test_a_reload_counts_at_the_next_look() -> None:
    watch = Round({})
    await watch.go(300)
    assert watch.noted == []
    watch.rules = cpu()
    await watch.go(200)
    assert watch.noted == [("session.strained", "cpu"), ("session.alert", "cpu")]
