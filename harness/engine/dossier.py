"""The dossier of a parked item: what was tried, what it looked like, and the one question for a person (P10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.model.errors import HarnessError
from harness.model.home import Home
from harness.model.journal import AttemptRow, Entry
from harness.model.outcome import KILLS, Outcome
from harness.model.session import Role, SessionRow
from harness.model.symptom import symptom
from harness.model.work import Lease, WorkItem, WorkState
from harness.ports import Books, Clock, Records

SCHEMA = "loop.dossier/1"
MOST_EVIDENCE = 2000

Document = Mapping[str, Any]


@dataclass(slots=True)
class Dossiers:
    """`shelve` writes a dossier to its two files: item, document, text."""

    books: Books
    clock: Clock
    home: Home
    records: Records
    shelve: Callable[[str, Document, str], None]

    async def settled(self, lease: Lease, outcome: Outcome, session: SessionRow | None) -> None:  # noqa: ARG002 - the seam's signature
        """A Witness: writes the dossier of what was parked. A disk that is full is said, and nothing else fails."""
        name = lease.item.id
        item = await self.books(lambda s: s.item(name))
        if item is None or item.state is not WorkState.PARKED:
            return
        try:
            await self.write(item)
        except HarnessError as exc:
            entry = Entry(self.clock.now(), "item.undocumented", "loop", name, data={"reason": exc.message})
            await self.books(lambda s: s.note(entry))

    async def write(self, item: WorkItem) -> None:
        """Of the item as it is now. Raises HarnessError if the files cannot be written."""
        name = item.id
        attempts = await self.books(lambda s: s.attempts(name))
        rows = await self.books(lambda s: s.sessions(item=name, limit=1000))
        entries = await self.books(lambda s: s.journal(item=name, limit=10_000))
        worked = {row.fence: row for row in reversed(rows) if row.role is Role.WORK}
        document = self._document(item, attempts, worked, _saved(entries))
        self.shelve(name, document, as_markdown(document))

    def _document(
        self,
        item: WorkItem,
        attempts: Sequence[AttemptRow],
        sessions: Mapping[int, SessionRow],
        saved: Mapping[str, Sequence[str]],
    ) -> Document:
        failed = [attempt for attempt in attempts if attempt.ending]
        prints = Counter(symptom(attempt).fingerprint for attempt in failed)
        return {
            "schema": SCHEMA,
            "item": item.id,
            "title": item.title,
            "kind": item.kind,
            "repo": item.repo,
            "parked_at": self.clock.now().isoformat(timespec="seconds"),
            "reason": item.reason,
            "counted": item.attempts,
            "max_attempts": item.max_attempts,
            "symptom": symptom(failed[-1]).fingerprint if failed else "",
            "symptoms": dict(prints),
            "attempts": [self._attempt(attempt, sessions.get(attempt.fence), saved) for attempt in attempts],
            "question": question(item, failed, prints),
            "options": options(item.id),
        }

    def _attempt(self, attempt: AttemptRow, session: SessionRow | None, saved: Mapping[str, Sequence[str]]) -> Document:
        left = (self.records.read_context(session.id) if session else None) or {}
        facts = ("number", "fence", "outcome", "ending", "counted", "sentence", "base", "seal")
        return {
            **{name: getattr(attempt, name) for name in facts},
            "started_at": attempt.started_at.isoformat(timespec="seconds"),
            "ended_at": attempt.ended_at.isoformat(timespec="seconds") if attempt.ended_at else None,
            "symptom": symptom(attempt).fingerprint if attempt.ending else None,
            "evidence": attempt.evidence[-MOST_EVIDENCE:],
            "gates": [{key: verdict.get(key) for key in ("gate", "verdict", "log")} for verdict in attempt.verdicts],
            "session": session.id if session else None,
            "log": str(self.home.session_log(session.id)) if session else None,
            "transcript": session.transcript if session else None,
            "commits": list(attempt.commits or left.get("commits") or ()),
            "diffstat": left.get("diffstat") or "",
            "wip_refs": list(saved.get(session.id, ())) if session else [],
        }


def _saved(entries: Sequence[Entry]) -> Mapping[str, Sequence[str]]:
    """The autosaves of each session, oldest first."""
    saved: dict[str, list[str]] = {}
    for entry in entries:
        ref = {"session.saved": "ref", "item.rescued": "wip"}.get(entry.kind)
        if ref and entry.session and entry.data.get(ref):
            saved.setdefault(entry.session, []).append(str(entry.data[ref]))
    return saved


def question(item: WorkItem, failed: Sequence[AttemptRow], prints: Mapping[str, int]) -> str:
    """The one thing that a person has to judge; pure."""
    kills = sum(attempt.ending in KILLS for attempt in failed)
    if failed and failed[-1].ending in KILLS:
        return f"{kills} loops or agent-inits were killed while this item ran: what in it can do that?"
    last = f"{failed[-1].ending}" if failed else item.reason
    if len(failed) > 1 and len(prints) == 1:
        return f"All {len(failed)} attempts failed in the same way ({last}): do task and gates ask for what you mean?"
    if len(failed) > 1:
        return f"{len(failed)} attempts failed in {len(prints)} different ways: is it too much for one session?"
    return f"It ended with {last}: is it worth another attempt as it stands?"


def options(item: str) -> Sequence[Mapping[str, str]]:
    """What may be done about it, each with its command."""
    retry, drop = f"./loop queue retry {item}", f"./loop queue remove {item}"
    return (
        {"option": "retry with one more attempt", "command": retry},
        {"option": "do it by hand", "command": f"./loop queue take {item}"},
        {"option": "split it into smaller items", "command": f"./loop queue add --title PART, …; then {drop}"},
        {"option": "drop it", "command": drop},
    )


def as_markdown(document: Document) -> str:
    """The same for people."""
    head = (
        f"# {document['item']}: {document['title']}\n\n"
        f"Parked {document['parked_at']} after {document['counted']} counted attempts: {document['reason']}\n\n"
        f"**{document['question']}**\n\n"
    )
    choices = "".join(f"- {each['option']}: `{each['command']}`\n" for each in document["options"])
    prints = "".join(f"- {count} times `{name}`\n" for name, count in document["symptoms"].items())
    tried = "".join(_tried(place, attempt) for place, attempt in enumerate(document["attempts"], start=1))
    return f"{head}{choices}\n## Symptom\n\n{prints or '- none'}\n## What was tried\n{tried}"


def _tried(place: int, attempt: Document) -> str:
    ending = attempt["ending"] or attempt["outcome"] or "cut off"
    lines = [f"\n### {place}. {ending}{' (counted)' if attempt['counted'] else ''}\n", f"{attempt['sentence']}\n"]
    named = {
        "session": attempt["session"],
        "log": attempt["log"],
        "commits": ", ".join(attempt["commits"]),
        "seal": attempt["seal"],
        "autosaves": ", ".join(attempt["wip_refs"]),
        "gates": ", ".join(f"{each['gate']} {each['verdict']} ({each['log']})" for each in attempt["gates"]),
    }
    lines += [f"- {name}: {value}" for name, value in named.items() if value]
    lines += [_block(attempt[name]) for name in ("evidence", "diffstat") if attempt[name]]
    return "\n".join(lines) + "\n"


def _block(text: str) -> str:
    """As it is, indented: whatever stands in it cannot end the block."""
    return "\n" + "\n".join(f"    {line}" for line in text.splitlines())
