"""The real clock. Everything that needs time gets one of these injected (architecture 7.10)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def slept_seconds() -> float:
    """How long this machine has been suspended since its boot: Linux leaves that out of monotonic time. 0.0 where the
    system does not tell (macOS): a sleep looks there as if the clock had been set forward.
    """
    since_boot = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if since_boot is None else time.clock_gettime(since_boot) - time.monotonic()
