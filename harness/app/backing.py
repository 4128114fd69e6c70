"""The hourly backup of a running loop: when one is due, and which old ones go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from harness.config.backups import BackupSection
from harness.engine.backups import Made
from harness.model.home import Home
from harness.ops.backups import keep
from harness.ports import Clock
from harness.store.backup import Backup
from harness.store.backup_shelf import drop_old, listed
from harness.store.reader import StoreReader
from harness.store.reading import open_reader

REASON = "hourly"
_OURS = "backup."
_LOOKED_AT = 50


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
        return Made(made.id, made.bytes, dropped)

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
