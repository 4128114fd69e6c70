"""What happens next to an item: by itself and when, or the command that makes something happen (B7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from harness.model.home import Home
from harness.model.journal import Integration, Pause
from harness.model.work import FAILED, PRIORITIES, WorkItem, WorkState
from harness.ops.decisions import open_question, ways
from harness.ops.dossiers import dossier
from harness.ops.followups import unfinished
from harness.ops.room import no_room
from harness.ops.snapshot import FILE_SOURCE, sentence
from harness.ops.workers import at_work, trouble
from harness.store.reader import StoreReader

_HELD = "held"
_FINISHED = frozenset({WorkState.DONE, WorkState.PARKED, WorkState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look; `asked` is the text of the interrupt file, None if there is none."""

    home: Home
    environ: Mapping[str, str]
    store: StoreReader
    asked: str | None


def outlook(place: Place, item: WorkItem) -> str:
    """One or a few lines, for every state there is."""
    if item.by_hand and item.continuation is not None:
        return _by_hand(place.home, item, item.continuation.workspace)
    match item.state:
        case WorkState.READY:
            return _ready(place, item)
        case WorkState.DELAYED:
            return f"ready again at {_at(item.not_before)}; at once: ./loop queue retry {item.id}"
        case WorkState.BLOCKED:
            return _blocked(place.store, item)
        case WorkState.LEASED:
            return _leased(place, item)
        case WorkState.WAITING:
            return _waiting(place.store, item)
        case WorkState.PARKED:
            return _parked(place.home, item)
        case WorkState.CANCELLED:
            return f"nothing by itself; back into the queue: ./loop queue retry {item.id}"
        case WorkState.DONE:
            return _done(place.store, item)


def _by_hand(home: Home, item: WorkItem, folder: str | None) -> str:
    """What its person can do; a hand-in that was killed is taken up by any of these commands."""
    if item.state is WorkState.LEASED:
        return f"what was handed in is proved now; if that was killed: ./loop queue submit {item.id}"
    where = f"{item.assigned} works in {folder}" if folder else f"lay its folder out: ./loop queue take {item.id}"
    ways = f"hand in: ./loop queue submit {item.id}\ngive back: ./loop queue return {item.id}"
    return f"{where}\n{ways}\nbrief: {home.brief(item.id)}"


def _at(moment: datetime | None) -> str:
    return "its time" if moment is None else moment.astimezone().isoformat(timespec="seconds")


def _ready(place: Place, item: WorkItem) -> str:
    """The first thing that stands between it and a lease, in the order in which a worker would meet them."""
    asked, store = place.asked, place.store
    if not at_work(place.home):
        waits = f"; it will start paused: {asked}" if asked is not None else ""
        return f"no loop runs here: ./loop run{waits}"
    held = [f"{asked} (until the interrupt file is removed: ./loop resume)"] if asked is not None else []
    held += [sentence(pause) for pause in store.pauses() if pause.source != FILE_SOURCE and _holds(pause, item)]
    if held:
        return "paused: " + "; ".join(held)
    if item.assigned:
        taken = f"{item.assigned} takes it by ./loop queue take {item.id}"
        return f"it is assigned to {item.assigned}: only a loop whose BD_ACTOR is {item.assigned} leases it; {taken}"
    full = no_room(place.home, place.environ, store, item)
    return full or "leased as soon as a worker is free, in the order of ./loop queue show"


def _holds(pause: Pause, item: WorkItem) -> bool:
    """An item without a repository goes to the default one, which only the configuration knows."""
    if pause.kind == "reserve" and item.priority <= PRIORITIES["high"]:
        return False
    if item.repo is None and pause.scope.startswith("repo:"):
        return True
    return pause.scope in {"loop", "credential", f"item:{item.id}", f"kind:{item.kind}", f"repo:{item.repo}"}


def _blocked(store: StoreReader, item: WorkItem) -> str:
    needs = [(name, store.item(name)) for name in item.depends_on]
    stuck = [name for name, found in needs if found is None or found.state in FAILED]
    if stuck and item.on_failure == "hold":
        return f"never by itself, {stuck[0]} will not be done: ./loop why {stuck[0]}, ./loop queue retry {stuck[0]}"
    waits = [name for name, found in needs if found is not None and found.state not in FAILED | {WorkState.DONE}]
    return f"ready when {', '.join(waits)} is done: ./loop why {waits[0]}" if waits else "ready with the next change"


def _leased(place: Place, item: WorkItem) -> str:
    live = next(iter(place.store.sessions(item=item.id, live=True)), None)
    owner = place.store.lease_owner(item.id)
    if owner is not None and (known := trouble(place.home, owner)):
        return known
    if live is None:
        return "its workspace is prepared, or its work is proved and integrated: ./loop status"
    return f"session {live.id} is {live.status}: {live.doing or 'at work'}; ./loop session watch {live.id}"


def _waiting(store: StoreReader, item: WorkItem) -> str:
    held = [each for each in store.integrations(item=item.id) if each.state == _HELD]
    if held:
        files = f" once {', '.join(held[-1].paths)} is out of the way" if held[-1].paths else ""
        return f"tried again every minute{files}, or now: ./loop merge apply {item.id}"
    if (asked := open_question(store, item.id)) is not None:
        return "\n".join(ways(asked))
    return f"a person: mend or answer, then ./loop queue retry {item.id}"


def _parked(home: Home, item: WorkItem) -> str:
    known = dossier(home, item)
    if known is None:
        return f"nothing by itself; another attempt: ./loop queue retry {item.id}"
    ways = "\n".join(f"{each['option']}: {each['command']}" for each in known["options"])
    return f"{known['question']}\n{ways}\ndossier: {home.dossiers / f'{item.id}.md'}"


def _done(store: StoreReader, item: WorkItem) -> str:
    applied = [each for each in store.integrations(item=item.id) if each.state == "applied" and each.kind != "sync"]
    if applied:
        return "\n".join((_applied(applied[-1]), *unfinished(store.followups(item=item.id))))
    return f"nothing by itself; kept work goes to its branch with ./loop merge apply {item.id}"


def _applied(last: Integration) -> str:
    where = f"{last.branch} of {last.repo} as {last.merged}"
    if last.push == "wanted":
        why = f": {last.push_reason}" if last.push_reason else ""
        return f"on {where}, not pushed yet{why}; tried again by itself, more and more slowly"
    pushed = f", pushed to {last.push_reason}" if last.push == "pushed" else ""
    if last.kind == "rollback":
        return f"nothing: taken back on {where}{pushed}; another attempt: ./loop queue retry {last.item}"
    return f"nothing: on {where}{pushed}"


def usual(item: WorkItem) -> str:
    """Why an item is in a state that nobody gave a reason for."""
    words = {
        WorkState.READY: "it waits for a free worker",
        WorkState.LEASED: "it is being worked on",
        WorkState.DELAYED: f"it is not to be begun before {_at(item.not_before)}",
        WorkState.BLOCKED: f"it depends on {', '.join(item.depends_on)}",
    }
    return words.get(item.state, f"it is {item.state}")
