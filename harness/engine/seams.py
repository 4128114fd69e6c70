"""How what holds work back is wired in: it listens, it stands at the door, it sees what came of an attempt.

Each is optional and blind to the others; a loop without any of them works on, only less carefully.
"""

from __future__ import annotations

from typing import Protocol

from harness.model.events import SessionEvent
from harness.model.outcome import Disposition, Outcome
from harness.model.session import SessionRow
from harness.model.work import Lease


class Listener(Protocol):
    """Hears what sessions tell of the API, within a second."""

    async def heard(self, row: SessionRow, event: SessionEvent) -> None: ...


class Door(Protocol):
    """Stands between the queue and a session, besides the rules that the store knows."""

    def rest(self) -> float:
        """Seconds until the next session may begin; 0 = now."""
        ...

    async def admit(self, lease: Lease) -> Disposition | None:
        """None lets the session begin; else where the item goes instead, uncounted and with its reason."""
        ...


class Witness(Protocol):
    """Sees each settlement once it is written."""

    async def settled(self, lease: Lease, outcome: Outcome, session: SessionRow | None) -> None: ...
