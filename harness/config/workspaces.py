"""Sections of config.yaml about workspaces: what each gets besides its commit, how many, and how long they stay."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.config.fields import Section
from harness.model.retention import Retention

Days = Annotated[int, Field(ge=0, le=36_500)]


class WorkspaceSection(Section):
    """How many workspaces there may be, and how long they and saved work are kept. Nothing is removed unsaved."""

    parked_days: Days = 14
    """Days after which the workspace of a parked item is saved and removed; its work stays under its ref."""
    refs_days: Days = 30
    """Days after which the refs of a finished item (`refs/harness/…`) go; work that is on no branch yet stays."""

    def retention(self) -> Retention:
        """The same for the rules."""
        return Retention(self.parked_days, self.refs_days)
