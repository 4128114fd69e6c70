"""What was written about a parked item when its attempts were used up (P10)."""

from __future__ import annotations

import json
from typing import Any

from harness.model.home import Home
from harness.model.work import WorkItem, WorkState


def dossier(home: Home, item: WorkItem) -> dict[str, Any] | None:
    """What was written when a parked item ran out of attempts; None if it was parked by hand or is parked no more."""
    if item.state is not WorkState.PARKED:
        return None
    try:
        found = json.loads((home.dossiers / f"{item.id}.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("reason") == item.reason else None
