"""The evidence of finished work, in one folder an item: what was proved, by which runs, and what it cost.

state/evidence/<item>/evidence.json   the facts, and the hash of every log
state/evidence/<item>/logs/           the gates' logs as they were when their verdicts were given

The journal keeps the hash of `evidence.json`, so neither it nor a log can be changed without being found out.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from harness import fs
from harness.engine.entries import entries
from harness.model.errors import HarnessError
from harness.model.home import Home
from harness.model.journal import AttemptRow, Entry, Integration
from harness.model.outcome import Claimed, Outcome, Verified
from harness.model.session import Role, SessionRow
from harness.model.verdict import GateRun, Verdict
from harness.model.work import Lease, WorkItem
from harness.ports import Books, Clock, Store

SCHEMA = "loop.evidence/1"
FILE = "evidence.json"
WRITTEN = "evidence.written"
PROVED_AGAIN, TAKEN, LEASED = "integration.proved", "integration.taken", "item.leased"
DOCUMENT = "result.md"

Facts = dict[str, Any]


@dataclass(slots=True)
class Bundles:
    """A Witness: writes the evidence of what ended verified or claimed. What cannot be written is said, and no more."""

    books: Books
    clock: Clock
    home: Home

    async def settled(self, lease: Lease, outcome: Outcome, session: SessionRow | None) -> None:  # noqa: ARG002 - the seam's signature
        if not isinstance(outcome, Verified | Claimed):
            return
        await self.write(lease.item.id)

    async def write(self, name: str) -> None:
        """Anew, from the record as it is now."""
        record = await self.books(lambda s: record_of(s, name))
        try:
            sha256 = await asyncio.to_thread(write, self.home, record, self.clock.now())
            entry = Entry(self.clock.now(), WRITTEN, "loop", name, data={"sha256": sha256})
        except HarnessError as exc:
            entry = Entry(self.clock.now(), "evidence.unwritten", "loop", name, data={"reason": exc.message})
        await self.books(lambda s: s.note(entry))


@dataclass(frozen=True, slots=True)
class Record:
    """What the store knows of one item; attempts, sessions and `entries` (of applying what was kept) oldest first."""

    item: WorkItem
    attempts: Sequence[AttemptRow]
    sessions: Sequence[SessionRow]
    integrations: Sequence[Integration]
    entries: Sequence[Entry] = ()

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Those of the last proof: on the branch that the kept work was applied to, else of the last attempt."""
        merged = self.integration.merged if self.integration else None
        again = [entry.data["verdicts"] for entry in self.entries if _proves(entry, merged)]
        attempts = (attempt.verdicts for attempt in reversed(self.attempts) if attempt.verdicts)
        stored = again[-1] if again else next(attempts, ())
        return tuple(Verdict.read(each) for each in stored)

    @property
    def integration(self) -> Integration | None:
        """The one that brought the work to its branch, None while nothing has."""
        ours = [row for row in self.integrations if (row.kind, row.state) == ("work", "applied")]
        return max(ours, key=lambda row: row.id, default=None)

    @property
    def applied(self) -> Entry | None:
        """Who took kept work to the branch, once it was there; None for what an attempt brought there by itself."""
        return next((entry for entry in reversed(self.entries) if entry.kind == TAKEN), None)

    @property
    def commit(self) -> str | None:
        """What is on the branch or kept for it; None for a document."""
        if self.integration is not None:
            return self.integration.merged
        seal = next((attempt.seal for attempt in reversed(self.attempts) if attempt.seal), None)
        return next((each.commit for each in self.verdicts if seal and each.commit), seal)


def record_of(store: Store, item: str) -> Record:
    """Raises ValueError for an item that is not there."""
    found = store.item(item)
    if found is None:
        raise ValueError(f"no item {item}")
    sessions = list(reversed(store.sessions(item=item, limit=1000)))
    return Record(found, store.attempts(item), sessions, store.integrations(item=item), _applying(store, item))


def _applying(store: Store, item: str) -> list[Entry]:
    """Of the newest attempt: what an earlier one had kept is not what is on the branch now."""
    found: list[Entry] = []
    for entry in entries(store, item=item):
        if entry.kind == LEASED:
            found.clear()
        elif entry.kind in (PROVED_AGAIN, TAKEN):
            found.append(entry)
    return found


def _proves(entry: Entry, merged: str | None) -> bool:
    return entry.kind == PROVED_AGAIN and entry.data["commit"] == merged


def write(home: Home, record: Record, now: datetime) -> str:
    """Write the folder anew; the hash of its `evidence.json`. Raises HarnessError, DiskFull; then it is as it was."""
    folder = home.evidence / record.item.id
    made = folder.with_name(f".{record.item.id}.new")
    fs.discard(made, under=home.state)
    document = _document(home, record, now)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    try:
        (made / "logs").mkdir(parents=True, mode=0o700)
        for gate in document["gates"]:
            for run in gate["runs"]:
                _copy((Path(run["from"]), folder / run["log"]), made / run["log"])
        if document["document"]:
            _copy((Path(document["document"]["from"]), folder / DOCUMENT), made / DOCUMENT)
        fs.replace(made / FILE, text, durable=True)
        fs.discard(folder, under=home.state)
        made.rename(folder)
    except OSError as exc:
        raise fs.translate(exc, folder) from exc
    return hashlib.sha256(text.encode()).hexdigest()


def _copy(sources: Sequence[Path], target: Path) -> None:
    """From where it was written, else from the folder that was there before: sessions are not kept for ever.

    A log that is in neither is left out: whoever checks the folder names it.
    """
    found = next((source for source in sources if source.is_file()), None)
    if found is not None:
        shutil.copyfile(found, target)


def _document(home: Home, record: Record, now: datetime) -> Facts:
    item, integration = record.item, record.integration
    costs = [session.metrics.get("cost_usd") for session in record.sessions]
    known = [Decimal(cost) for cost in costs if cost is not None]
    gates = [_gate(number, verdict) for number, verdict in enumerate(record.verdicts, start=1)]
    return {
        "schema": SCHEMA,
        "item": item.id,
        "title": item.title,
        "kind": item.kind,
        "repo": item.repo,
        "source": item.source,
        "outcome": item.outcome,
        "state": item.state,
        "reason": item.reason,
        "written_at": now.isoformat(timespec="seconds"),
        "branch": integration.branch if integration else None,
        "base": integration.base if integration else _last(record.attempts, "base"),
        "seal": _last(record.attempts, "seal"),
        "commit": record.commit,
        "integrated": integration is not None,
        "applied": _applied(record.applied),
        "document": _result(home, record) if record.commit is None else None,
        "gates": gates,
        "tests": _tests(record.verdicts),
        "attempts": [_attempt(attempt) for attempt in record.attempts],
        "sessions": [_session(home, session) for session in record.sessions],
        "cost_usd": str(sum(known, Decimal())) if len(known) == len(costs) else None,
    }


def _applied(entry: Entry | None) -> Facts | None:
    """Entries of older versions name nobody."""
    return {"by": entry.data.get("by", entry.actor), "at": _at(entry.at)} if entry is not None else None


def _last(attempts: Sequence[AttemptRow], name: str) -> str | None:
    return next((getattr(each, name) for each in reversed(attempts) if getattr(each, name)), None)


def _gate(number: int, verdict: Verdict) -> Facts:
    facts = asdict(verdict) | {"files": list(verdict.files)}
    del facts["log"]
    return facts | {"runs": [_run(f"{number}-{place}", run) for place, run in enumerate(verdict.runs, start=1)]}


def _run(number: str, run: GateRun) -> Facts:
    return asdict(run) | {"log": f"logs/{number}-{Path(run.log).name}", "from": run.log}


def _tests(verdicts: Sequence[Verdict]) -> list[str]:
    """The tests that gates ran by name, red without the work or as they were before it."""
    return list(dict.fromkeys(path for each in verdicts if each.runs for path in each.files))


def _result(home: Home, record: Record) -> Facts | None:
    """The newest document that a session left or a person handed in, None if there is none."""
    work = [session for session in record.sessions if session.role is Role.WORK]
    places = [(-1, home.evidence / record.item.id)]  # a bundle of before, if its sources are gone
    places += [(session.fence, home.session(session.id)) for session in work]
    places += [(attempt.fence, home.hand_in(record.item.id, attempt.fence)) for attempt in record.attempts]
    for _, folder in sorted(places, reverse=True):
        path = folder / DOCUMENT
        if path.is_file():
            return {"from": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return None


def _attempt(attempt: AttemptRow) -> Facts:
    names = ("number", "fence", "outcome", "ending", "counted", "sentence")
    return {name: getattr(attempt, name) for name in names} | {"commits": list(attempt.commits)}


def _session(home: Home, session: SessionRow) -> Facts:
    used: Mapping[str, Any] = session.metrics
    return {
        "id": session.id,
        "role": session.role,
        "attempt": session.attempt,
        "agent": session.agent,
        "model": session.model,
        "status": session.status,
        "outcome": session.outcome,
        "started_at": _at(session.started_at),
        "ended_at": _at(session.ended_at),
        "prompt": dict(session.prompt),
        "cost_usd": used.get("cost_usd"),
        "turns": used.get("turns"),
        "log": str(home.session_log(session.id)),
    }


def _at(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
