"""Numbers of tasks: `task-NNN`, each given once (R12)."""

from __future__ import annotations

from datetime import datetime

from harness.store.journal import Journal

_NUMBERS = "tasks/next"
"""Where the next one is kept, beside what the pages held last."""


class Numbers(Journal):
    def next_block_id(self, now: datetime) -> str:
        """An id `task-NNN` that no item has; the number after it is kept, so that nobody counts the queue."""
        kept = self.mirror_base(_NUMBERS)
        number = int(kept[1]) if kept is not None else self._after_highest()
        while self.one("item_state", id=f"task-{number:03d}") is not None:
            number += 1
        self.keep_mirror_base(_NUMBERS, "", str(number + 1), now)
        return f"task-{number:03d}"

    def _after_highest(self) -> int:
        row = self.one("task_highest")
        return 1 if row is None else int(row["id"].removeprefix("task-")) + 1
