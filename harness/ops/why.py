"""Why an item, a session or a pause is as it is: the record, the rule behind it, what happens next (first form)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harness.interrupt_file import read_reason
from harness.model.errors import NotFound
from harness.model.home import Home
from harness.model.journal import AttemptRow, Entry, Pause
from harness.model.outcome import ENDINGS
from harness.model.session import SessionRow
from harness.model.work import WorkItem, WorkState
from harness.ops import sessions
from harness.ops.answers import Document
from harness.ops.books import full_id, reading, reading_if_any, running
from harness.ops.snapshot import FILE_SOURCE, sentence
from harness.store.sqlite import SqliteStore

SCHEMA = "loop.why/1"
PAGE = 500
SHOWN_ENTRIES = 8
_HELD = "held"
ASK_WHY = "./loop why ITEM"


@dataclass(frozen=True, slots=True)
class Why:
    """`because` in one sentence; `rule` is the row of ENDINGS that decided, `evidence` what a person needs to see."""

    subject: str
    kind: str
    state: str
    because: str
    next: str
    evidence: str = ""
    rule: Mapping[str, Any] | None = None
    attempts: tuple[Mapping[str, Any], ...] = ()
    entries: tuple[Entry, ...] = ()


def why(home: Home, subject: str) -> Document:
    """Raises NotFound for what is neither an item, a session nor `pause`."""
    if subject == "pause":
        return Document(SCHEMA, _pause(home))
    with reading(home) as store:
        if not subject.startswith("ses_") and subject not in {"latest", "current"} and "/" not in subject:
            return Document(SCHEMA, _item(home, store, full_id(store, "item", subject)))
    found = sessions.find(home, subject)
    if found.row is None:
        raise NotFound(f"session {found.id} is in no store, only its files are left", hint=f"its log: {found.log}")
    with reading(home) as store:
        return Document(SCHEMA, _session(store, found.row))


# --- an item ----------------------------------------------------------------------------------------------------------


def _item(home: Home, store: SqliteStore, name: str) -> Why:
    item = store.item(name)
    assert item is not None
    attempts = store.attempts(name)
    last = next((attempt for attempt in reversed(attempts) if attempt.outcome), None)
    pauses = [pause for pause in store.pauses() if _holds(pause, item)]
    return Why(
        subject=name,
        kind="item",
        state=item.state.value,
        because=item.reason or _usual(item),
        next=_next(home, store, item, pauses),
        evidence=last.evidence if last is not None else "",
        rule=_rule(last, _session_of(store, last)),
        attempts=tuple(_told(attempt) for attempt in attempts),
        entries=tuple(_entries(store, item=name))[-SHOWN_ENTRIES:],
    )


def _usual(item: WorkItem) -> str:
    return {
        WorkState.READY: "it waits for a free worker",
        WorkState.LEASED: "it is being worked on",
    }.get(item.state, f"it is {item.state}")


def _holds(pause: Pause, item: WorkItem) -> bool:
    own = {f"item:{item.id}", f"kind:{item.kind}", f"repo:{item.repo}"}
    return pause.scope in {"loop", "credential", *own}


def _next(home: Home, store: SqliteStore, item: WorkItem, pauses: Sequence[Pause]) -> str:
    """What happens by itself and when, or the command that makes something happen."""
    match item.state:
        case WorkState.READY if pauses:
            return "paused: " + "; ".join(sentence(pause) for pause in pauses)
        case WorkState.READY if running(home):
            return "leased as soon as a worker is free and its lane has room"
        case WorkState.READY:
            return "no loop runs here: ./loop run"
        case WorkState.DELAYED:
            return f"ready again at {_at(item.not_before)}; at once: ./loop queue retry {item.id}"
        case WorkState.BLOCKED:
            return "ready when what it depends on is done; ./loop queue show shows those"
        case WorkState.LEASED:
            return _leased(home, store, item)
        case WorkState.WAITING:
            return _waiting(store, item)
        case WorkState.PARKED | WorkState.CANCELLED:
            return f"nothing by itself; another attempt: ./loop queue retry {item.id}"
        case WorkState.DONE:
            return _done(store, item)


def _at(moment: datetime | None) -> str:
    return "its time" if moment is None else moment.astimezone().isoformat(timespec="seconds")


def _leased(home: Home, store: SqliteStore, item: WorkItem) -> str:
    live = next(iter(store.sessions(item=item.id, live=True)), None)
    if not running(home):
        return "its loop was killed; the next start saves and resumes it: ./loop run"
    if live is None:
        return "its workspace is prepared, or its work is proved and integrated: ./loop status"
    return f"session {live.id} is {live.status}: {live.doing or 'at work'}; ./loop session watch {live.id}"


def _waiting(store: SqliteStore, item: WorkItem) -> str:
    if any(each.state == _HELD for each in store.integrations(item=item.id)):
        return f"tried again every minute, or now: ./loop merge apply {item.id}"
    return f"a person: mend or answer, then ./loop queue retry {item.id}"


def _done(store: SqliteStore, item: WorkItem) -> str:
    applied = [each for each in store.integrations(item=item.id) if each.state == "applied"]
    if applied:
        return f"nothing: on {applied[-1].branch} of {applied[-1].repo} as {applied[-1].merged}"
    return f"nothing by itself; kept work goes to its branch with ./loop merge apply {item.id}"


def _session_of(store: SqliteStore, attempt: AttemptRow | None) -> str | None:
    if attempt is None:
        return None
    return next((row.id for row in store.sessions(item=attempt.item) if row.fence == attempt.fence), None)


def _rule(attempt: AttemptRow | None, session: str | None) -> Mapping[str, Any] | None:
    """The row of ENDINGS behind a failed attempt; None for one that did not fail."""
    rule = ENDINGS.get(attempt.ending or "") if attempt is not None else None
    if attempt is None or rule is None:
        return None
    facts = {"ending": attempt.ending, "cause": rule.cause, "scope": rule.scope, "resume": rule.resume}
    hint = _hint(rule.hint, attempt.item, session or "latest")
    return {**facts, "counted": attempt.counted, "sentence": rule.sentence, "hint": hint}


def _hint(hint: str, item: str, session: str) -> str:
    """With the names filled in; who is told to ask why is here already, so what the session did comes next."""
    if hint == ASK_WHY:
        hint = "./loop session timeline SESSION"
    return hint.replace("ITEM", item).replace("SESSION", session)


def _told(attempt: AttemptRow) -> Mapping[str, Any]:
    names = ("number", "fence", "phase", "outcome", "ending", "counted", "sentence", "started_at", "ended_at")
    return {name: getattr(attempt, name) for name in (*names, "commits", "verdicts")}


def _entries(store: SqliteStore, **of: str) -> Iterator[Entry]:
    after = 0
    while page := store.journal(after=after, limit=PAGE, **of):
        yield from page
        after = page[-1].seq or after
        if len(page) < PAGE:
            return


# --- a session, a pause -----------------------------------------------------------------------------------------------


def _session(store: SqliteStore, row: SessionRow) -> Why:
    attempt = next((each for each in store.attempts(row.item) if each.fence == row.fence), None)
    rule = ENDINGS.get(row.ending or "")
    by = f" (ended by {row.ended_by})" if row.ended_by else ""
    because = f"{row.ending}: {rule.sentence}" if rule is not None else row.doing or f"it is {row.status}"
    return Why(
        subject=row.id,
        kind="session",
        state=row.status.value,
        because=f"{because}{by}",
        next=f"its item: ./loop why {row.item}",
        evidence=attempt.evidence if attempt is not None else "",
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
