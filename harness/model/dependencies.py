"""What an item does about those that it depends on. Pure; the one place that decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.model.work import FAILED, WorkState


class Way(StrEnum):
    """What follows: the item may be worked on, waits, or is cancelled."""

    GO = "go"
    WAIT = "wait"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Standing:
    """`reason` in one sentence; empty if all that is needed is done."""

    way: Way
    reason: str = ""


def standing(unfinished: Sequence[tuple[str, WorkState]], on_failure: str) -> Standing:
    """`unfinished` are id and state of what is needed and not done, in the item's order.

    One failed dependency is enough to skip: the item would never have all that it asks for. With `run` a failed one is
    as good as done; the others are waited for.
    """
    failed = [name for name, state in unfinished if state in FAILED]
    if failed and on_failure == "skip":
        return Standing(Way.SKIP, f"skipped: depends on {_named(unfinished, failed)}")
    if waits := [name for name, _ in unfinished if on_failure != "run" or name not in failed]:
        return Standing(Way.WAIT, f"waits for {_named(unfinished, waits)}")
    return Standing(Way.GO, f"goes on without {_named(unfinished, failed)}" if failed else "")


def _named(unfinished: Sequence[tuple[str, WorkState]], wanted: Sequence[str]) -> str:
    """A failed one with its state, for that is what a person can change."""
    told = [f"{name} ({state})" if state in FAILED else name for name, state in unfinished if name in wanted]
    return ", ".join(told)
