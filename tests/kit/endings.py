"""docs/reference/endings, read as an operator reads it, and held against what a loop did."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.model.home import Home
from harness.model.journal import AttemptRow, Entry
from harness.model.reference import endings
from harness.model.session import SessionRow
from harness.store.sqlite import SqliteStore
from tests.kit.command import Caller

_ASK = "./loop why ITEM"
_SCOPES = {
    "all sessions": "credential",
    "the loop": "loop",
    "this repository": "repo:app",
    "items of this kind": "kind:",
}
WIND_UP_SECONDS = 10
"""A wait is counted from what the API said, which is before the session has ended."""
_SPAN = re.compile(r"(\d+) (s|min)\b")


@dataclass(frozen=True)
class PageRow:
    """One ending as the page has it; `wait` is the sentence of its cause."""

    ending: str
    cause: str
    counted: bool
    wait: str
    sentence: str
    then: str
    next_session: str
    pauses: str
    helps: str

    @property
    def spans(self) -> list[float]:
        """The times that `wait` names, in seconds and in its order."""
        return [float(number) * (60 if unit == "min" else 1) for number, unit in _SPAN.findall(self.wait)]


def page() -> Mapping[str, PageRow]:
    """Every row of the generated page."""
    found = {}
    for section in endings().split("\n## Cause ")[1:]:
        cause, _, body = section.partition("\n")
        told, _, table = body.strip().partition("\n| ")
        for line in table.splitlines()[2:]:
            cells = [cell.strip().replace("`", "") for cell in line.strip("| ").split(" | ")]
            ending, sentence, then, session, pauses, helps = cells
            counted = " Counted." in told
            wait = told.splitlines()[-1]
            found[ending] = PageRow(ending, cause, counted, wait, sentence, then, session, pauses, helps)
    return found


@dataclass(frozen=True)
class Settled:
    """An attempt that has ended, with all that is on record of it."""

    attempt: AttemptRow
    entry: Entry
    session: SessionRow
    later: Sequence[SessionRow]
    pauses: Sequence[Entry]


def settled(home: Home, item: str, number: int = 0) -> Settled:
    """The `number`-th attempt of an item."""
    store = SqliteStore(home.database, read_only=True)
    try:
        attempt = store.attempts(item)[number]
        told = store.journal(limit=10_000)
        sessions = list(reversed(store.sessions(item=item)))
    finally:
        store.close()
    (entry,) = [e for e in told if e.kind == "item.settled" and e.item == item and e.data["fence"] == attempt.fence]
    (session,) = [row for row in sessions if row.fence == attempt.fence]
    later = [row for row in sessions if row.fence > attempt.fence]
    named = [e for e in told if e.kind.startswith("pause.") and f"(item {item})" in str(e.data.get("reason"))]
    began = [e for e in named if e.kind != "pause.closed" and session.started_at and e.at >= session.started_at]
    return Settled(attempt, entry, session, later, [e for e in began if not later or e.at < later[0].started_at])


def assert_as_on_the_page(
    home: Home, item: str, ending: str, *, number: int = 0, reset: float | None = None, counted: bool | None = None
) -> Settled:
    """What is said, counted, paused and waited for after an attempt is what its row says.

    `reset`: in how many seconds the API said that its limit ends; `counted` overrides the row where its page makes an
    exception.
    """
    row, met = page()[ending], settled(home, item, number)
    attempt, wanted = met.attempt, row.counted if counted is None else counted
    assert (attempt.outcome, attempt.ending, attempt.cause) == ("failed", row.ending, row.cause)
    assert attempt.counted is wanted
    assert attempt.sentence.startswith(f"{ending}: {row.sentence}")
    assert attempt.evidence or attempt.cause == "agent", "nothing is told of what was seen"
    assert met.entry.data["attempts"] == attempt.number - 1 + wanted
    _assert_said(home, met, row)
    _assert_paused(met, row, reset)
    return met


def assert_at_rest(home: Home, item: str, ending: str, met: Settled) -> None:
    """The item is still there, where the row says, and goes on as it says; for an item that no later session took."""
    row = page()[ending]
    store = SqliteStore(home.database, read_only=True)
    try:
        found = store.item(item)
    finally:
        store.close()
    assert found is not None
    assert met.entry.data["to"] == found.state.value == row.then
    assert found.reason.startswith(f"{ending}: {row.sentence}")
    if found.state.value == "delayed":
        assert found.not_before is not None
        assert met.attempt.ended_at is not None
        low, high = row.spans[:2]
        assert low <= (found.not_before - met.attempt.ended_at).total_seconds() <= high
    kept = found.continuation.claude_session_id if found.continuation is not None else None
    assert (kept == met.session.claude_session_id) is (row.next_session == "same"), found.continuation


def _assert_said(home: Home, met: Settled, row: PageRow) -> None:
    """What `why` and iteration.log say of it: the sentence, and the command that helps with its names filled in."""
    answer = Caller(home)("why", met.session.id, "--json")
    assert answer.code == 0, answer
    told = answer.json
    helps = row.helps if row.helps != _ASK else "./loop session timeline SESSION"
    if met.session.ending is not None:
        assert told["because"].startswith(f"{row.ending}: {row.sentence}")
    assert told["rule"]["hint"] == helps.replace("ITEM", met.attempt.item).replace("SESSION", met.session.id)
    assert (told["rule"]["cause"], told["rule"]["counted"]) == (row.cause, met.attempt.counted)
    lines = home.iteration_log.read_text().splitlines()
    said = re.compile(rf"item={met.attempt.item}\b.*\bending={row.ending}\b")
    assert any(said.search(line) for line in lines)


def _assert_paused(met: Settled, row: PageRow, reset: float | None) -> None:
    if row.pauses == "nothing":
        assert met.pauses == [], met.pauses
        return
    scope = _SCOPES[row.pauses]
    pause = met.pauses[-1]
    assert pause.data["scope"].startswith(scope)
    assert pause.data["reason"].startswith(f"{row.ending}: {row.sentence}")
    until, ended = datetime.fromisoformat(str(pause.data["until"])), met.attempt.ended_at
    assert ended is not None
    unnamed = row.spans[1] if row.cause == "limit" else row.spans[0]
    wait = unnamed if reset is None else reset + row.spans[0]
    assert wait - WIND_UP_SECONDS <= (until - ended).total_seconds() <= wait + 1
