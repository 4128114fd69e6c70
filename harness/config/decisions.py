"""Sections of config.yaml about questions to a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from harness.config.fields import Section
from harness.model.decision import Deadline, deadline_of

Wait = Annotated[int | float, Field(gt=0, le=100_000, allow_inf_nan=False)]
OnTimeout = Literal["skip", "default", "hold"]


class DecisionSection(Section):
    """How long a question of an agent waits for a person, and what happens then."""

    timeout_hours: Wait = 24
    """Hours until a question is over."""
    on_timeout: OnTimeout = "skip"
    """`skip`: the item is cancelled and reported, a late answer brings it back. `default`: the first option is taken;
    a question without options is skipped. `hold`: it goes on waiting."""


class KindDecisionSection(Section):
    """The same for the items of one kind; null = as it is for all."""

    timeout_hours: Wait | None = None
    """Hours until a question is over."""
    on_timeout: OnTimeout | None = None
    """skip, default or hold."""


def deadline(common: DecisionSection, kind: KindDecisionSection, options: Sequence[str], now: datetime) -> Deadline:
    """When a question of now is over, and what happens then."""
    hours = common.timeout_hours if kind.timeout_hours is None else kind.timeout_hours
    return deadline_of(options, hours, kind.on_timeout or common.on_timeout, now)
