"""What the components of one loop share: the switches, never each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from harness.engine.bell import Bell
from harness.model.events import StopReason
from harness.model.journal import Pause


@dataclass(slots=True)
class LoopState:
    """The switches of one loop. Whoever turns one rings the bell."""

    bell: Bell
    run: str
    owner: str
    actor: str
    stopping: str | None = None
    leaving: str | None = None
    stop_now: bool = False
    pauses: tuple[Pause, ...] = ()
    iterations: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    unproved: set[str] = field(default_factory=set)
    """Items whose last attempt in this loop ended neither verified nor claimed (contract 4)."""
    newest: str | None = None
    rooms: set[str] = field(default_factory=set)
    """Workspaces that belong to a session and not to an item: they go with it, and nobody else removes them."""

    def pause(self, now: datetime) -> Pause | None:
        """What lets nobody begin at `now`; None while work may begin, be it as a probe whose time has come."""
        everybody = (p for p in self.pauses if p.scope in ("loop", "credential"))
        return next((p for p in everybody if _shuts(p, now)), None)

    def stop(self, reason: str, *, now: bool = False) -> None:
        """No new lease from here on; sessions are wound up."""
        self.stopping = self.stopping or reason
        self.stop_now = self.stop_now or now
        self.bell.ring()

    def leave(self, reason: str) -> None:
        """No new lease from here on; sessions are finished, then this process ends."""
        self.leaving = self.leaving or reason
        self.bell.ring()

    def wanted_stop(self) -> StopReason | None:
        """Why a running session has to end now, if it has to."""
        if self.stopping:
            return StopReason.STOP
        paused = any(p.scope == "loop" and p.kind in ("file", "operator", "condition") for p in self.pauses)
        return StopReason.PAUSE if paused else None

    def counts(self) -> Mapping[str, int]:
        return dict(self.outcomes)


def _shuts(pause: Pause, now: datetime) -> bool:
    match pause.kind:
        case "reserve":
            return False
        case "probe":
            return pause.until is not None and pause.until > now
        case "hold":
            return pause.until is None or pause.until > now
        case _:
            return True
