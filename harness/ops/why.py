"""Why an item, a session or a pause is as it is: the record, the rule behind it, what happens next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.interrupt_file import read_reason
from harness.model.errors import NotFound
from harness.model.home import Home
from harness.model.journal import AttemptRow, Entry
from harness.model.outcome import ENDINGS
from harness.model.session import Role, SessionRow, SessionStatus
from harness.model.work import WorkItem
from harness.ops import sessions
from harness.ops.answers import Document
from harness.ops.books import full_id, reading, reading_if_any
from harness.ops.dossiers import dossier
from harness.ops.outlook import Place, outlook, usual
from harness.ops.snapshot import FILE_SOURCE, sentence
from harness.store.reader import StoreReader
from harness.store.reports import strains

SCHEMA = "loop.why/1"
PAGE = 500
SHOWN_ENTRIES = 8
_ENDED: Mapping[SessionStatus, str] = {
    SessionStatus.SPAWNING: "its agent is being started",
    SessionStatus.RUNNING: "it is at work",
    SessionStatus.WAITING_API: "it waits for the API",
    SessionStatus.STOPPING: "it is being ended",
    SessionStatus.COMPLETED: "the agent said that its work is done, and that was accepted",
    SessionStatus.INTERRUPTED: "it was ended for a pause or a stop; the same conversation goes on",
    SessionStatus.KILLED: "it was ended from outside",
}
"""Where no ending says it better."""
ASK_WHY = "./loop why ITEM"


@dataclass(frozen=True, slots=True)
class Why:
    """`because` in one sentence; `rule` is the row of ENDINGS that decided, `evidence` what a person needs to see.

    `symptom` is the fingerprint of a parked item's last failure, `sameness` how often it was found and what it comes
    back after.
    """

    subject: str
    kind: str
    state: str
    because: str
    next: str
    evidence: str = ""
    rule: Mapping[str, Any] | None = None
    attempts: tuple[Mapping[str, Any], ...] = ()
    entries: tuple[Entry, ...] = ()
    symptom: str = ""
    sameness: str = ""


def why(home: Home, subject: str, environ: Mapping[str, str]) -> Document:
    """Raises NotFound for what is neither an item, a session nor `pause`."""
    if subject == "pause":
        return Document(SCHEMA, _pause(home))
    with reading(home) as store:
        if not subject.startswith("ses_") and subject not in {"latest", "current"} and "/" not in subject:
            return Document(SCHEMA, _item(home, store, full_id(store, "item", subject), environ))
    found = sessions.find(home, subject)
    if found.row is None:
        raise NotFound(f"session {found.id} is in no store, only its files are left", hint=f"its log: {found.log}")
    with reading(home) as store:
        return Document(SCHEMA, _session(store, found.row))


# --- an item ----------------------------------------------------------------------------------------------------------


def _item(home: Home, store: StoreReader, name: str, environ: Mapping[str, str]) -> Why:
    item = store.item(name)
    assert item is not None
    attempts = store.attempts(name)
    last = next((attempt for attempt in reversed(attempts) if attempt.outcome), None)
    known = dossier(home, item)
    return Why(
        subject=name,
        kind="item",
        state=item.state.value,
        because=item.reason or usual(item),
        next=outlook(Place(home, environ, store, read_reason(home.interrupt_file)), item),
        evidence=last.evidence if last is not None else "",
        rule=_rule(last, _session_of(store, last)),
        attempts=tuple(_told(attempt) for attempt in attempts),
        entries=tuple(_entries(store, item=name))[-SHOWN_ENTRIES:],
        symptom=known["symptom"] if known is not None else "",
        sameness=_sameness(item),
    )


def _sameness(item: WorkItem) -> str:
    last = item.last_seen_at
    when = f", the last time at {last.astimezone().isoformat(timespec='seconds')}" if last is not None else ""
    seen = [f"found {item.sightings} times{when}"] if item.sightings > 1 else []
    back = item.regression_of
    return "\n".join([*seen, *([f"a regression: {back} was done for the same; ./loop why {back}"] if back else [])])


def _session_of(store: StoreReader, attempt: AttemptRow | None) -> str | None:
    if attempt is None:
        return None
    rows = [row for row in store.sessions(item=attempt.item) if row.fence == attempt.fence]
    return next((row.id for row in rows if row.role is Role.WORK), None)


def _rule(attempt: AttemptRow | None, session: str | None) -> Mapping[str, Any] | None:
    """The row of ENDINGS behind a failed attempt; None for one that did not fail."""
    rule = ENDINGS.get(attempt.ending or "") if attempt is not None else None
    if attempt is None or rule is None:
        return None
    facts = {"ending": attempt.ending, "cause": rule.cause, "scope": rule.scope, "resume": rule.resume}
    hint = _hint(rule.hint, attempt.item, session)
    return {**facts, "counted": attempt.counted, "sentence": rule.sentence, "hint": hint}


def _hint(hint: str, item: str, session: str | None) -> str:
    """With the names filled in; who is told to ask why is here already, so what the session did, if any, comes next."""
    if hint == ASK_WHY:
        hint = "./loop session timeline SESSION" if session else ""
    return hint.replace("ITEM", item).replace("SESSION", session or "latest")


def _told(attempt: AttemptRow) -> Mapping[str, Any]:
    names = ("number", "fence", "phase", "outcome", "ending", "counted", "sentence", "started_at", "ended_at")
    return {name: getattr(attempt, name) for name in (*names, "commits", "verdicts")}


def _entries(store: StoreReader, **of: str) -> Iterator[Entry]:
    after = 0
    while page := store.journal(after=after, limit=PAGE, **of):
        yield from page
        after = page[-1].seq or after
        if len(page) < PAGE:
            return


# --- a session, a pause -----------------------------------------------------------------------------------------------


def _session(store: StoreReader, row: SessionRow) -> Why:
    attempt = next((each for each in store.attempts(row.item) if each.fence == row.fence), None)
    rule = ENDINGS.get(row.ending or "")
    by = f" (ended by {row.ended_by})" if row.ended_by else ""
    said = _ENDED.get(row.status) or (attempt.sentence if attempt is not None else "") or f"it is {row.status}"
    doing = f"{said}: {row.doing}" if row.doing else said
    because = f"{row.ending}: {rule.sentence}" if rule is not None else doing
    seen = [*strains(store, row.id).values(), *([attempt.evidence] if attempt is not None else [])]
    return Why(
        subject=row.id,
        kind="session",
        state=row.status.value,
        because=f"{because}{by}",
        next=f"its item: ./loop why {row.item}",
        evidence="\n".join(filter(None, seen)),
        rule=_rule(attempt, row.id),
        attempts=(_told(attempt),) if attempt is not None else (),
        entries=tuple(_entries(store, session=row.id))[-SHOWN_ENTRIES:],
    )


def _pause(home: Home) -> Why:
    asked = read_reason(home.interrupt_file)
    with reading_if_any(home) as store:
        pauses = [p for p in (store.pauses() if store is not None else ()) if p.source != FILE_SOURCE]
    reasons = [*([asked] if asked is not None else []), *map(sentence, pauses)]
    if not reasons:
        return Why("pause", "pause", "none", "nothing is paused", "nothing")
    clears = "./loop resume (or remove state/interrupt-request.txt)" if asked is not None else "./loop resume"
    waits = f"{clears}; pauses with a time end by themselves" if pauses else clears
    return Why("pause", "pause", "paused", "\n".join(reasons), waits)
