"""One command line and its surroundings: what a command may know of where it was called."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness.model.home import Home
from harness.ops.homes import find_home, launcher_folder


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Invocation:
    """Global options and the caller's surroundings. `timeout_seconds` is the command's own limit (contract 4: 124)."""

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path = field(default_factory=Path.cwd)
    now: Callable[[], datetime] = _now
    launched_as: str | None = None
    folder: str | None = None
    json: bool = False
    jq: str | None = None
    plain: bool = False
    timeout_seconds: float | None = None

    @property
    def home(self) -> Home:
        """Raises Usage for a folder that does not exist."""
        return find_home(self.folder, self.environ, self.cwd, self.launcher)

    @property
    def launcher(self) -> Path | None:
        return launcher_folder(self.environ, self.launched_as)

    @property
    def actor(self) -> str:
        """Who orders this, as the journal names it (BD_ACTOR, H42)."""
        return self.environ.get("BD_ACTOR") or "operator"

    @property
    def as_json(self) -> bool:
        return self.json or self.jq is not None

    @property
    def terminal(self) -> bool:
        return sys.stdout.isatty()

    @property
    def interactive(self) -> bool:
        """Whether somebody can be asked."""
        return sys.stdin.isatty() and sys.stdout.isatty()

    @property
    def colour(self) -> bool:
        forbidden = self.plain or self.environ.get("NO_COLOR") or self.environ.get("TERM") == "dumb"
        return self.terminal and not forbidden
