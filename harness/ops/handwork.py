"""Hand work in words: the brief of a person, and what became of taking, handing in and giving back (O10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.model.home import Home
from harness.model.journal import AttemptRow
from harness.model.outcome import Claimed, Disposition, Failed, Outcome, Verified
from harness.model.session import SessionRow
from harness.model.work import WorkItem
from harness.ops.answers import Change

MOST_SHOWN = 4000
WAITS = 5
"""Exit code: waiting for a person (contract 4)."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of an item that a brief is written of. `pull` brings today's branch into `folder`."""

    item: WorkItem
    folder: str
    pull: str
    attempts: Sequence[AttemptRow]
    sessions: Sequence[SessionRow]


def brief(home: Home, told: Told, rendered: str) -> str:
    """How it goes on, `rendered`, and where everything about earlier attempts is."""
    name = told.item.id
    head = (
        f"# {name}\n\n{told.item.reason}\n\n"
        f"- work in `{told.folder}`; commit there as usual\n"
        f"- bring today's branch in, if you need it: `{told.pull}`\n"
        f"- hand it in: `./loop queue submit {name}` (gates and integration as for an agent)\n"
        f"- give it back: `./loop queue return {name}` (the next session goes on from what you left)\n"
        f"- more: `./loop why {name}`\n"
    )
    seen = "\n".join(_evidence(home, told))
    parts = [head, rendered, f"## Evidence\n\n{seen}" if seen else "", _dossier(home, name)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _evidence(home: Home, told: Told) -> Iterator[str]:
    sessions = {row.fence: row for row in told.sessions}
    for attempt in told.attempts:
        session = sessions.get(attempt.fence)
        yield f"- lease {attempt.fence}: {attempt.ending or attempt.outcome or attempt.phase}"
        for verdict in attempt.verdicts:
            log = f", log `{verdict['log']}`" if verdict.get("log") else ""
            yield f"  - gate {verdict.get('gate')}: {verdict.get('verdict')}{log}"
        if session is not None:
            yield f"  - session {session.id}: log `{home.session_log(session.id)}`"
        if attempt.seal:
            yield f"  - its commits, sealed: `{attempt.seal}`"


def _dossier(home: Home, item: str) -> str:
    """The one of the last time that it was parked, if it ever was."""
    try:
        return (home.dossiers / f"{item}.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def taken(home: Home, item: WorkItem, folder: str, broken: str, notes: tuple[str, ...]) -> Change:
    lines = [
        f"{item.id} is {item.reason}",
        f"folder:    {folder}",
        f"brief:     {home.brief(item.id)}",
        f"hand in:   ./loop queue submit {item.id}",
        f"give back: ./loop queue return {item.id}",
    ]
    failed = (f"the set-up of the repository failed there: {broken}",) if broken else ()
    return Change(item.id, applied=True, detail="\n".join(lines), notes=(*notes, *failed))


def submitted(item: str, outcome: Outcome, disposition: Disposition, unpushed: str, notes: tuple[str, ...]) -> Change:
    """Exit 0 if it is verified or claimed, 5 if it waits for a checkout or an answer, 1 if it is not good yet."""
    if isinstance(outcome, Verified | Claimed) and not getattr(outcome, "held", ""):
        head = f" ({outcome.head[:12]})" if outcome.head else ""
        more = f"\nnot pushed yet: {unpushed}" if unpushed else ""
        return Change(item, applied=True, detail=f"{item}: {disposition.reason}{head}{more}", notes=notes)
    if isinstance(outcome, Failed):
        seen = outcome.evidence[-MOST_SHOWN:]
        after = f"mend it and submit again, or ./loop queue return {item}"
        detail = f"{item}: {disposition.reason}\n{seen}\n{after}"
        return Change(item, applied=False, detail=detail, exit_code=1, notes=notes)
    held = isinstance(outcome, Verified)
    return Change(item, applied=held, detail=f"{item}: {disposition.reason}", exit_code=WAITS, notes=notes)


def given_back(item: WorkItem, notes: tuple[str, ...]) -> Change:
    went_on = item.continuation.reason if item.continuation is not None else ""
    return Change(item.id, applied=True, detail=f"{item.id} is {item.state} again: {went_on}", notes=notes)
