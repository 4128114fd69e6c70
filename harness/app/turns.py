"""The turns of a home: its processes prove and integrate in a repository, and use a resource, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from harness.ports import Journalist
from harness.proc.turn import SAID_AFTER_SECONDS, Turn


def turns(lock: Callable[[str], Path], journalist: Journalist) -> Callable[[str], AbstractAsyncContextManager[object]]:
    """By its name, the right to what has that lock file, over all processes that know it."""
    made: dict[str, Turn] = {}

    def waits(name: str, has_it: str) -> None:
        reason = f"{has_it} has had the turn of {name} for {SAID_AFTER_SECONDS:.0f} s"
        journalist.line("INFO", "integration.waits", reason=reason)

    def turn(name: str) -> AbstractAsyncContextManager[object]:
        if name not in made:
            made[name] = Turn(lock(name), lambda has_it: waits(name, has_it))
        return made[name]()

    return turn
