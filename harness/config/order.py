"""Keys of `repositories[]` about what of a repository runs at the same time."""

from __future__ import annotations

from typing import Literal

from harness.config.fields import Count, Many, Name, Section


class OrderKeys(Section):
    """Held inside the transaction that begins an item, so they hold for all workers together."""

    running: Count | None = None
    """How many of its items may run at a time; null = no limit."""
    resources: Many[Name] = ()
    """What each of its items takes besides its own `resources` (a port, a database), by any name: items that take the
    same never run at the same time."""
    overlap: Literal["serialise", "refuse", "allow"] = "serialise"
    """Two items whose `scope` may match the same path: they run one after the other, the second is refused when it is
    added, or they run together. An item without a scope is in nobody's way."""
