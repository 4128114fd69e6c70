"""From journal entries to lines: which event a person sees, and which facts stand beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model.events import StopReason
from harness.model.journal import Entry
from harness.model.outcome import ENDINGS, Cause
from harness.model.session import FINAL, SessionStatus
from harness.telemetry.log import Logs
from harness.telemetry.names import Level

_BY_CAUSE = dict.fromkeys((Cause.LIMIT, Cause.API, Cause.RESOURCE), "attempt.deferred") | {
    Cause.REVIEW: "attempt.objected"
}
_ASKED_FOR = frozenset({StopReason.PAUSE, StopReason.STOP, StopReason.FINISHED})
_OF_SETTLED = (
    "to",
    "state",
    "outcome",
    "ending",
    "attempts",
    "seconds",
    "cost_usd",
    "gates",
    "commit",
    "reason",
    "seen",
)


class Journal:
    """`harness.ports.Journalist` over the logs. Never raises."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    def entry(self, entry: Entry) -> None:
        """One line for one entry of the store's journal."""
        kind = _kind(entry)
        facts = {"session": entry.session, "item": entry.item} | dict(_facts(entry))
        self._logs.say(kind, facts, at=entry.at)

    def line(self, level: str, event: str, **facts: Any) -> None:
        """A line that is no journal entry; an unknown level is INFO, SUCCESS belongs to sessions alone."""
        loud = Level(level) if level in Level.__members__ and level != Level.SUCCESS else Level.INFO
        self._logs.say(event, facts, level=loud)


def _kind(entry: Entry) -> str:
    match entry.kind:
        case "item.settled":
            return _settled(entry)
        case "session.updated" if entry.data.get("status") in FINAL:
            return "session.ended"
        case "session.stopping":
            return _stopping(str(entry.data.get("reason")))
        case _:
            return entry.kind


def _settled(entry: Entry) -> str:
    """The event that an attempt's end is; a session succeeds when it completed and its work counts (contract 2)."""
    outcome = entry.data.get("outcome")
    completed = entry.data.get("session_status", SessionStatus.COMPLETED) == SessionStatus.COMPLETED
    match outcome:
        case "verified" | "claimed" if (entry.session or entry.data.get("session")) and completed:
            return "session.succeeded"
        case "failed" | "interrupted" | "asked" if entry.data.get("by"):
            return "item.objected"
        case "failed":
            rule = ENDINGS.get(str(entry.data.get("ending")))
            return _BY_CAUSE.get(rule.cause, "attempt.failed") if rule is not None else "attempt.failed"
        case "verified" | "claimed":
            return f"item.{outcome}"
        case "interrupted" | "asked":
            return f"attempt.{outcome}"
        case _:
            return entry.kind


def _stopping(reason: str) -> str:
    if reason.startswith("stalled"):
        return "session.stalled"
    return "session.stopping" if reason in _ASKED_FOR else "session.overrun"


def _facts(entry: Entry) -> Mapping[str, Any]:
    if entry.kind == "item.settled":
        return {key: entry.data[key] for key in ("session", *_OF_SETTLED) if entry.data.get(key) is not None}
    return entry.data
