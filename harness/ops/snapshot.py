"""The one read model of now: what runs, what is queued, what came of the last day, what it cost (H10).

Read from the store, the lock and the interrupt file; neither the configuration nor the loop is asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from harness import __version__
from harness.interrupt_file import read_reason
from harness.model.home import Home
from harness.model.journal import Integration, Pause
from harness.model.work import WorkItem, WorkState, priority_name
from harness.ops.answers import Document
from harness.ops.books import reading_if_any, running
from harness.ops.decisions import open_question
from harness.ops.followups import outstanding
from harness.ops.workers import LiveWorker, workers
from harness.proc.lock import holder
from harness.proc.resources import disk, memory
from harness.store.asked import skipped_since
from harness.store.reader import StoreReader
from harness.store.reports import Run, latest_attempts, latest_run, outcomes_since, spend_since, strains

PERIOD = timedelta(hours=24)
WHOLE = frozenset({"loop", "credential"})
"""Scopes of pauses that hold up everything."""
FILE_SOURCE = "interrupt-request.txt"
EXIT_CODES: Mapping[str, int] = {"running": 0, "stopped": 3, "paused": 5}
_PID = re.compile(r"pid (\d+)")


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session that runs now; `silent_seconds` since the last sign of the agent; `strains` by vital, in words."""

    id: str
    item: str
    title: str
    state: str
    silent_seconds: float | None
    running_seconds: float | None
    doing: str
    strains: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spend:
    """US dollars of the sessions that ended in the period, exact; `unknown`: sessions without a known cost."""

    hours: float
    usd: str
    unknown: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`state` running, paused or stopped; `counts` items by state, `outcomes` settled attempts of the period;
    `isolation` the level that the running loop reached; `workers` are the processes of `./loop worker`.
    """

    state: str
    at: datetime
    home: str
    version: str
    pid: int | None
    since: datetime | None
    isolation: str | None = None
    workers: tuple[LiveWorker, ...] = ()
    reasons: tuple[str, ...] = ()
    unpushed: int = 0
    sessions: tuple[LiveSession, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    next: Mapping[str, str] | None = None
    needs: tuple[Mapping[str, str], ...] = ()
    outcomes: Mapping[str, int] = field(default_factory=dict)
    last: tuple[Mapping[str, object], ...] = ()
    spend: Spend = Spend(24.0, "0", 0)
    resources: Mapping[str, float | None] = field(default_factory=dict)


def status(home: Home, now: datetime) -> Document:
    """Exit 0 running, 3 stopped, 5 paused (contract 4)."""
    snapshot = take(home, now)
    return Document("loop.status/1", snapshot, EXIT_CODES[snapshot.state])


def take(home: Home, now: datetime) -> Snapshot:
    """The snapshot of `home` at this moment."""
    alive, beside = running(home), workers(home)
    with reading_if_any(home) as store:
        pauses = store.pauses() if store is not None else ()
        whole = paused_by(home, pauses)
        run = _run(store) if alive else None
        found = Snapshot(
            state="stopped" if not alive else "paused" if whole else "running",
            at=now,
            home=str(home.root),
            version=__version__,
            pid=loop_pid(home) if alive else None,
            since=(run.began_at if run is not None else _locked_at(home)) if alive else None,
            isolation=run.isolation if run is not None else None,
            workers=beside,
            reasons=tuple(_reasons(whole, pauses, store, alive=alive, beside=beside)),
            resources=_resources(home),
        )
        return found if store is None else _with_books(found, store)


def _with_books(found: Snapshot, store: StoreReader) -> Snapshot:
    waiting = store.unpushed()
    return replace(
        found,
        reasons=(*found.reasons, *_unpushed(waiting), *outstanding(store), *_unwell(store, found.at)),
        unpushed=len(waiting),
        sessions=tuple(_live(store, found.at)) if found.pid is not None or found.workers else (),
        counts={each.value: number for each, number in store.counts().items()},
        next=_next(store),
        needs=tuple(_needs(store)),
        outcomes=outcomes_since(store, found.at - PERIOD),
        last=tuple(_last(store)),
        spend=_spend(store, found.at),
    )


def loop_pid(home: Home) -> int | None:
    """The pid that the holder of the loop's lock wrote into it."""
    found = _PID.search(holder(home.lock))
    return int(found[1]) if found else None


def paused_by(home: Home, pauses: Sequence[Pause]) -> list[str]:
    """Why nothing at all is leased, in sentences; empty if nothing stands in the way of everything."""
    asked = read_reason(home.interrupt_file)
    whole = [pause for pause in pauses if _whole(pause) and pause.source != FILE_SOURCE]
    return [*([asked] if asked is not None else []), *map(sentence, whole)]


def _whole(pause: Pause) -> bool:
    return pause.scope in WHOLE and pause.kind != "reserve"


def sentence(pause: Pause) -> str:
    """A pause for people: why, and what ends it."""
    scope = "" if pause.scope in WHOLE else f"{pause.scope}: "
    return f"{scope}{pause.reason} ({_ends(pause)})"


def _ends(pause: Pause) -> str:
    at = _moment(pause.until, pause.began_at) if pause.until else ""
    match pause.kind:
        case "reserve":
            return f"only items of priority high or above until {at}" if at else "only items of priority high or above"
        case "hold":
            return f"no new session until {at}" if at else "no new session begins; what runs goes on"
        case "condition":
            return "ends by itself"
        case _:
            return f"tried again at {at}" if at else "until ./loop resume"


def _moment(at: datetime, since: datetime) -> str:
    """Local time; with its day if that is another one than the pause's own."""
    local = at.astimezone()
    return f"{local:%H:%M:%S}" if local.date() == since.astimezone().date() else f"{local:%Y-%m-%d %H:%M:%S}"


def _reasons(
    whole: list[str], pauses: Sequence[Pause], store: StoreReader | None, *, alive: bool, beside: Sequence[LiveWorker]
) -> Iterator[str]:
    if not alive:
        yield "no loop runs here"
    if beside and not alive:
        pids = ", ".join(str(each.pid) for each in beside)
        yield f"worker process {pids} works without a loop: rescue, schedules and queue.json wait for ./loop run"
    if whole and not alive:
        yield "it will start paused:"
    yield from whole
    yield from (sentence(pause) for pause in pauses if not _whole(pause))
    left = len(store.sessions(live=True)) if store is not None and not alive and not beside else 0
    if left:
        yield f"{left} session(s) of a loop that was killed: the next start saves and resumes their work"


def _unpushed(rows: Sequence[Integration]) -> Iterator[str]:
    """What is integrated here and not at its remote: a line a branch."""
    branches = dict.fromkeys((row.repo, row.branch) for row in rows)
    for repo, branch in branches:
        waiting = [row for row in rows if (row.repo, row.branch) == (repo, branch)]
        why = f": {waiting[-1].push_reason}" if waiting[-1].push_reason else ""
        yield f"unpushed {len(waiting)} on {branch} of {repo}{why}"


def _failed_commands(store: StoreReader) -> Iterator[str]:
    """Commands of schedules whose last run failed."""
    for firing in store.failed_commands():
        log = f" (log {firing.log})" if firing.log else ""
        yield f"command of schedule {firing.schedule} failed at {firing.slot}: {firing.reason}{log}"


def _unwell(store: StoreReader, now: datetime) -> Iterator[str]:
    yield from _failed_commands(store)
    yield from _skipped(store, now)


def _skipped(store: StoreReader, now: datetime) -> Iterator[str]:
    """What nobody answered in time during the period; an answer still brings it back."""
    for each in skipped_since(store, now - PERIOD):
        yield f"{each.item} was skipped: nobody answered decision {each.id}; ./loop decision answer {each.id} TEXT"


def _run(store: StoreReader | None) -> Run | None:
    """The run that goes on, once it has said so."""
    run = latest_run(store) if store is not None else None
    return run if run is not None and run.ended_at is None else None


def _locked_at(home: Home) -> datetime | None:
    try:
        return datetime.fromtimestamp(home.lock.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def _live(store: StoreReader, now: datetime) -> Iterator[LiveSession]:
    for row in reversed(store.sessions(live=True)):
        item = store.item(row.item)
        yield LiveSession(
            id=row.id,
            item=row.item,
            title=item.title if item else "",
            state=row.status.value,
            silent_seconds=_seconds(row.heartbeat or row.started_at, now),
            running_seconds=_seconds(row.started_at, now),
            doing=row.doing,
            strains=strains(store, row.id),
        )


def _seconds(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else max(0.0, round((now - since).total_seconds(), 3))


def _next(store: StoreReader) -> Mapping[str, str] | None:
    found = store.items(states=[WorkState.READY], limit=1)
    return _short(found[0]) if found else None


def _short(item: WorkItem) -> Mapping[str, str]:
    facts = {"id": item.id, "title": item.title, "kind": item.kind, "lane": item.lane}
    return {**facts, "priority": priority_name(item.priority)}


def _needs(store: StoreReader) -> Iterator[Mapping[str, str]]:
    for item in store.items(states=[WorkState.WAITING, WorkState.PARKED], limit=5):
        needs = {"id": item.id, "state": item.state.value, "title": item.title, "reason": item.reason}
        asked = open_question(store, item.id) if item.state is WorkState.WAITING else None
        yield needs | ({"answer": f"./loop decision answer {asked.id} TEXT"} if asked is not None else {})


def _last(store: StoreReader) -> Iterator[Mapping[str, object]]:
    for attempt in latest_attempts(store, 5):
        facts = {"item": attempt.item, "outcome": attempt.outcome, "ending": attempt.ending}
        yield {**facts, "ended_at": attempt.ended_at, "sentence": attempt.sentence}


def _spend(store: StoreReader, now: datetime) -> Spend:
    usd, unknown = spend_since(store, now - PERIOD)
    return Spend(PERIOD.total_seconds() / 3600, "0" if usd is None else str(usd), unknown)


def _resources(home: Home) -> Mapping[str, float | None]:
    free = memory()
    available = round(100 * free.available / free.total, 1) if free is not None else None
    return {
        "disk_free_percent": round(disk(home.state).percent_free, 1),
        "memory_available_percent": available,
        "load": round(os.getloadavg()[0], 2),
    }
