"""The hourly backup of a running loop: when one is due, and which old ones go."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from harness import fs
from harness.config.backups import BackupSection
from harness.engine.backups import Made
from harness.model.errors import StoreError
from harness.model.home import Home
from harness.ops.backups import keep
from harness.ports import Clock
from harness.proc.ask import ask
from harness.store.backup import Backup
from harness.store.backup_shelf import drop_old, listed
from harness.store.reader import StoreReader
from harness.store.reading import open_reader

REASON = "hourly"
_OURS = "backup."
_LOOKED_AT = 50
DRILL, DRILLED = timedelta(days=7), ".drilled"
"""How often `backup verify` is run on the newest backup, and the file that says when it was."""
DRILL_SECONDS, MOST_SAID_BYTES = 3600.0, 64 << 20


class _CalledOff(Exception):
    """Ends a copy that nobody waits for any more."""


@dataclass(slots=True)
class LoopBackups:
    """Implements engine.backups.BackupMaker; `settings` is asked anew, so that a reload counts."""

    home: Home
    clock: Clock
    settings: Callable[[], BackupSection]
    _off: threading.Event = field(default_factory=threading.Event)

    def make(self) -> Made | None:
        settings, now = self.settings(), self.clock.now()
        if not settings.interval_minutes:
            return None
        found, _broken = listed(self.home.backups)
        newest = found[0] if found else None
        with closing(open_reader(self.home.state)) as store:
            if not _is_due(store, newest, now, timedelta(minutes=settings.interval_minutes)):
                return None
        made = keep(self.home, REASON, now, step=self._go_on)
        dropped = drop_old(self.home.backups, settings.shelf(), now)
        self._drill(made, now)
        return Made(made.id, made.bytes, dropped)

    def _drill(self, newest: Backup, now: datetime) -> None:
        """Once a week: is it good for a restore? Raises StoreError; the next one is read then (H52)."""
        marker = self.home.backups / DRILLED
        last = datetime.fromisoformat(marker.read_text(encoding="utf-8")) if marker.exists() else None
        if last is not None and timedelta(0) <= now - last < DRILL:
            return
        if found := self._faults(newest):
            raise StoreError(
                f"the newest backup {newest.id} is not sound: {found[0]}",
                hint="./loop audit verify; ./loop backup list",
                cause="\n".join(found[1:6]),
            )
        fs.replace(marker, now.isoformat())

    def _faults(self, backup: Backup) -> list[str]:
        """As a process of its own sees them: what it takes to read all of a journal is not for the loop to keep.
        Raises StoreError if it cannot tell.
        """
        argv = [sys.executable, "-I", "-m", "harness", "-C", str(self.home.root), "backup", "verify", backup.id]
        told = ask(
            [*argv, "--json"], cwd=self.home.root, env={"PATH": os.defpath},
            seconds=DRILL_SECONDS, most_bytes=MOST_SAID_BYTES, unwanted=self._off.is_set,
        )  # fmt: skip
        if told.too_long == "unwanted":
            raise _CalledOff
        if told.too_long or told.code not in (0, 1) or not told.out:
            why = f"too much {told.too_long}" if told.too_long else f"exit {told.code}"
            raise StoreError(
                f"the newest backup {backup.id} could not be verified: {why}",
                hint=f"./loop backup verify {backup.id}",
                cause=told.tail,
            )
        return list(json.loads(told.out)["faults"])

    def call_off(self) -> None:
        self._off.set()

    def _go_on(self, _step: str) -> None:
        if self._off.is_set():
            raise _CalledOff


def _is_due(store: StoreReader, newest: Backup | None, now: datetime, interval: timedelta) -> bool:
    """The first one is due when the state is as old; a clock that was set back holds none up."""
    if newest is not None:
        since = newest.made_at
        changed = store.journal(after=newest.journal, limit=_LOOKED_AT)
    else:
        changed = store.journal(limit=1)
        since = changed[0].at if changed else now
    if timedelta(0) <= now - since < interval:
        return False
    return any(not entry.kind.startswith(_OURS) for entry in changed)
