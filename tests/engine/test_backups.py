"""Backups by the clock: made beside the work when something has changed, bounded, and never the loop's end (H25)."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from harness.app.backing import LoopBackups, _CalledOff
from harness.clock import SystemClock
from harness.config.backups import BackupSection
from harness.engine.backups import Backups, Made
from harness.model.errors import DiskFull, StoreError
from harness.store.backup_shelf import faults, listed
from tests.kit.engine import Engine, engine

pytestmark = pytest.mark.process


@dataclass
class Ahead:
    """A clock that is so far ahead."""

    real: SystemClock
    hours: float = 0.0

    def now(self) -> datetime:
        return self.real.now() + timedelta(hours=self.hours)


def backups_of(loop: Engine, ahead: Ahead, **settings: object) -> LoopBackups:
    section = BackupSection.model_validate(settings)
    return LoopBackups(loop.parts.home, ahead, lambda: section)  # type: ignore[arg-type]


async def test_one_an_hour_and_only_if_something_has_changed(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        ahead = Ahead(loop.parts.clock)
        maker = backups_of(loop, ahead)
        component = Backups(loop.parts.books, loop.parts.clock, loop.parts.state, maker)
        await loop.add("one")
        await component.tick()
        ahead.hours = 1.1
        await component.tick()
        await component.tick()
        ahead.hours = 9
        await component.tick()  # nothing but the entry about the backup itself
        assert loop.heard.kinds().count("backup.made") == 1
        await loop.add("two")
        await component.tick()
        assert loop.heard.kinds().count("backup.made") == 2
        found, broken = listed(loop.parts.home.backups)
        assert ([each.items for each in found], broken) == ([2, 1], [])
        assert [faults(each) for each in found] == [[], []]
        assert set(found[0].files) == {"config.yaml", "harness.db"}
        assert backups_of(loop, Ahead(loop.parts.clock, 99), interval_minutes=0).make() is None


async def test_old_ones_go_and_it_is_said(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        ahead = Ahead(loop.parts.clock)
        maker = backups_of(loop, ahead, max_gib=1e-9)
        component = Backups(loop.parts.books, loop.parts.clock, loop.parts.state, maker)
        for hours in (2, 4):
            await loop.add(f"item-{hours}")
            ahead.hours = hours
            await component.tick()
        assert len(listed(loop.parts.home.backups)[0]) == 1
        (said,) = [entry for entry in loop.heard.entries if entry.kind == "backup.dropped"]
        assert said.data["count"] == 1


async def test_once_a_week_the_newest_is_read_as_a_restore_would(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        ahead = Ahead(loop.parts.clock, 2)
        maker = backups_of(loop, ahead)
        await loop.add("one")
        assert maker.make() is not None
        with closing(sqlite3.connect(loop.parts.home.database)) as shell, shell:
            shell.execute("UPDATE items SET attempts = 7")
        await loop.add("two")
        ahead.hours = 24
        assert maker.make() is not None, "read a day ago"
        await loop.add("three")
        ahead.hours = 24 * 8
        with pytest.raises(StoreError, match=r"is not sound: .*the journal says"):
            maker.make()


async def test_a_loop_that_stops_does_not_wait_until_a_backup_is_read(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        maker = backups_of(loop, Ahead(loop.parts.clock, 2))
        await loop.add("one")
        assert maker.make() is not None
        maker.call_off()
        with pytest.raises(_CalledOff):
            maker._faults(listed(loop.parts.home.backups)[0][0])


async def test_a_backup_that_could_not_be_read_is_not_called_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine(tmp_path) as loop:
        maker = backups_of(loop, Ahead(loop.parts.clock, 2))
        await loop.add("one")
        monkeypatch.setattr("sys.executable", "/bin/false")
        with pytest.raises(StoreError, match=r"could not be verified: exit 1"):
            maker.make()
        assert not (loop.parts.home.backups / ".drilled").exists()


@dataclass
class Full:
    """Has no room, `times` times."""

    times: int
    off: bool = False

    def make(self) -> Made | None:
        self.times -= 1
        if self.times >= 0:
            raise DiskFull("a backup needs 9 MiB, 1 MiB are free", hint="make space there")
        return Made("x", 1)

    def call_off(self) -> None:
        self.off = True


async def test_what_fails_is_said_once_and_tried_again(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        component = Backups(loop.parts.books, loop.parts.clock, loop.parts.state, Full(2))
        for _ in range(3):
            await component.tick()
        assert [kind for kind in loop.heard.kinds() if kind.startswith("backup.")] == ["backup.failed", "backup.made"]
        (said,) = [entry for entry in loop.heard.entries if entry.kind == "backup.failed"]
        assert said.data["mend"] == "make space there"


@dataclass
class Slow:
    """Copies until it is called off."""

    begun: threading.Event = field(default_factory=threading.Event)
    off: threading.Event = field(default_factory=threading.Event)

    def make(self) -> Made | None:
        self.begun.set()
        assert self.off.wait(60)
        return None

    def call_off(self) -> None:
        self.off.set()


async def test_a_stop_does_not_wait_for_a_long_copy(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        slow = Slow()
        running = asyncio.ensure_future(Backups(loop.parts.books, loop.parts.clock, loop.parts.state, slow).run())
        await asyncio.to_thread(slow.begun.wait, 30)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert slow.off.is_set()


async def test_a_copy_that_is_called_off_leaves_nothing(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await loop.add("one")
        maker = backups_of(loop, Ahead(loop.parts.clock, 2))
        maker.call_off()
        with pytest.raises(Exception, match=r"^$"):
            maker.make()
        assert list(loop.parts.home.backups.iterdir()) == []


async def test_the_loop_has_it_among_its_components(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        assert [part.name for part in loop.parts.others].count("backups") == 1
