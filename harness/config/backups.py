"""Section of config.yaml about backups."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.config.fields import Section
from harness.model.retention import Shelf


class BackupSection(Section):
    """When backups are made by themselves, and how many are kept; one with a tag always is, and so is the newest."""

    interval_minutes: Annotated[int, Field(ge=0, le=10_080)] = 60
    """Minutes between two backups of a running loop, as long as something changes. 0 = none by the clock."""
    max_gib: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] = 10.0
    """Most GiB of backups in `state/backups`; the oldest go first."""

    def shelf(self) -> Shelf:
        """What is kept, for the rules."""
        return Shelf(max_bytes=int(self.max_gib * (1 << 30)))
