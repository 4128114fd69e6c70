"""Who of an earlier run is dead, told by kernel locks; and ending what it left (architecture 5: lease)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from harness.model.home import Home
from harness.model.session import SessionRow
from harness.proc.contain import end, end_leftovers, read_record
from harness.proc.identity import alive, boot_id
from harness.proc.lock import is_free


@dataclass(slots=True)
class LockedProcesses:
    """Implements ports.Processes."""

    home: Home

    def owner_is_dead(self, owner: str) -> bool:
        return is_free(self.home.owners / f"{owner}.lock")

    def session_is_dead(self, session: str) -> bool:
        return is_free(self.home.session(session) / "lock")

    def rebooted(self, boot: str | None) -> bool:
        return boot is not None and boot != boot_id()

    async def end_session(self, row: SessionRow, *, term_seconds: float = 4.0) -> int:
        record = read_record(self.home.session(row.id) / "agent-init.json")
        ended = 0
        if record is not None and alive(record.identity):
            await end(record.identity, term_seconds=term_seconds, session=row.id)
            ended += 1
        return ended + len(await asyncio.to_thread(end_leftovers, record, row.id))
