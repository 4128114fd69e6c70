"""Safe mode: a loop that is killed again and again starts paused, so that a person can look before the next time."""

from __future__ import annotations

from datetime import timedelta

from harness.app.build import Parts
from harness.ports import Store
from harness.store.reports import unclean_runs
from harness.store.sqlite import SqliteStore

WITHIN = timedelta(minutes=10)
SOURCE = "safe-mode"


async def beware(parts: Parts) -> bool:
    """Pause before anything is leased, if too many starts of the last 10 min had no end (H21, reliability-security 3).

    Called before this start is on record. `./loop resume` ends it, and begins the count anew.
    """
    now, most = parts.clock.now(), parts.loaded.config.harness.max_unclean_starts

    def look(store: Store) -> bool:
        assert isinstance(store, SqliteStore)
        unclean = unclean_runs(store, now - WITHIN, now, SOURCE)
        if unclean <= most:
            return False
        minutes = round(WITHIN.total_seconds() / 60)
        reason = f"safe mode: {unclean} starts in {minutes} min ended without a goodbye; see ./loop doctor and the logs"
        store.open_pause("loop", "operator", reason, SOURCE, now)
        return True

    return await parts.books(look)
