"""The turns of repositories: a loop and the workers beside it prove and integrate one after the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from harness.model.home import Home
from harness.ports import Journalist
from harness.proc.turn import SAID_AFTER_SECONDS, Turn


def turns(home: Home, journalist: Journalist) -> Callable[[str], AbstractAsyncContextManager[object]]:
    """By the name of a repository, the right to prove and integrate in it, over all processes of the home."""
    made: dict[str, Turn] = {}

    def waits(repository: str, has_it: str) -> None:
        reason = f"{has_it} has had the turn of {repository} for {SAID_AFTER_SECONDS:.0f} s"
        journalist.line("INFO", "integration.waits", repo=repository, reason=reason)

    def turn(repository: str) -> AbstractAsyncContextManager[object]:
        if repository not in made:
            made[repository] = Turn(home.turn(repository), lambda has_it: waits(repository, has_it))
        return made[repository]()

    return turn
