"""The level of isolation that a session reached, as its agent-init has written it down."""

from __future__ import annotations

import json
from pathlib import Path

RECORD = "agent-init.json"


def reached_isolation(folder: Path) -> str | None:
    """`folder` is the session's own; None where no agent-init has written, or nothing that can be read."""
    try:
        record = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    level = record.get("reached_isolation") if isinstance(record, dict) else None
    return level if isinstance(level, str) else None
