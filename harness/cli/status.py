"""`./loop status`: one screen (research/operator-experience 2.5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.output import Screen, ago
from harness.model.text import one_line
from harness.ops import snapshot
from harness.ops.answers import Document
from harness.ops.snapshot import Snapshot

_MARKS = {"running": ("●", "green"), "paused": ("‖", "yellow"), "stopped": ("○", "red")}
_TITLE = 48


def _lines(answer: Document, where: Screen) -> Iterable[str]:
    now: Snapshot = answer.facts
    yield _head(now, where)
    yield from (f"  why    {one_line(reason, 160)}" for reason in now.reasons)
    yield from _sessions(now)
    yield f"  queue  {_queue(now)}"
    if now.outcomes:
        yield f"  24h    {_day(now)}"
    yield f"  watch  {_watch(now)}"
    yield from _needs(now, where)
    yield f"Next: {_next(now)}"


def _head(now: Snapshot, where: Screen) -> str:
    mark, colour = _MARKS[now.state]
    span = f" {ago((now.at - now.since).total_seconds())}" if now.since else ""
    pid = f"pid {now.pid}, " if now.pid else ""
    state = where.style(f"{mark} {now.state}", colour, "bold")
    return f"{state}{span}  ({pid}v{now.version}, {now.home}){_isolation(now, where)}{_workers(now)}"


def _workers(now: Snapshot) -> str:
    if not now.workers:
        return ""
    pids = ", ".join(f"{each.pid}{' frozen' if each.frozen else ''}" for each in now.workers)
    return f"  + {len(now.workers)} worker process{'es' if len(now.workers) > 1 else ''} (pid {pids})"


def _isolation(now: Snapshot, where: Screen) -> str:
    if now.isolation is None:
        return ""
    if now.isolation == "none":
        return "  " + where.style("! isolation none", "red", "bold")
    return f"  isolation {now.isolation}"


def _sessions(now: Snapshot) -> Iterator[str]:
    for number, session in enumerate(now.sessions):
        word = "now  " if number == 0 else "     "
        running, silent = (ago(seconds or 0) for seconds in (session.running_seconds, session.silent_seconds))
        doing = one_line(session.doing, 60) or session.state
        yield f"  {word}  {session.item}  {one_line(session.title, _TITLE)}  {running}  {doing}  {silent} ago"
        yield from (f"         {one_line(strain, 120)}" for strain in session.strains.values())


def _queue(now: Snapshot) -> str:
    words = ", ".join(f"{number} {state}" for state, number in now.counts.items() if number)
    return f"{words or 'empty'}{_first(now)}"


def _first(now: Snapshot) -> str:
    if now.next is None:
        return ""
    return f" · next {now.next['id']} ({now.next['priority']}, {now.next['lane']})"


def _day(now: Snapshot) -> str:
    words = " · ".join(f"{number} {outcome}" for outcome, number in sorted(now.outcomes.items(), key=lambda o: -o[1]))
    ended = sum(number for outcome, number in now.outcomes.items() if outcome in {"verified", "claimed", "failed"})
    share = f" · {100 * now.outcomes.get('verified', 0) // ended} % verified" if ended else ""
    return f"{words}{share}{_money(now)}"


def _money(now: Snapshot) -> str:
    unknown = f" (+{now.spend.unknown} of unknown cost)" if now.spend.unknown else ""
    return f" · ${now.spend.usd}{unknown}"


def _watch(now: Snapshot) -> str:
    disk, memory = now.resources["disk_free_percent"], now.resources["memory_available_percent"]
    known = f" · memory {memory} % available" if memory is not None else ""
    return f"disk {disk} % free{known} · load {now.resources['load']}"


def _needs(now: Snapshot, where: Screen) -> Iterator[str]:
    for number, item in enumerate(now.needs):
        word = where.style("need ", "yellow") if number == 0 else "     "
        yield f"  {word}  {item['id']}  {item['state']}: {one_line(item['reason'], 100)}"
        yield from ([f"         {item['answer']}"] if "answer" in item else [])


def _next(now: Snapshot) -> str:
    if now.needs:
        return f"./loop why {now.needs[0]['id']}"
    if now.state == "paused":
        return "./loop why pause · ./loop resume"
    if now.state == "stopped":
        return "./loop run" if now.next else "./loop queue add --title TEXT · ./loop run"
    return "./loop session watch current" if now.sessions else "./loop queue add --title TEXT"


@command(
    examples=("./loop status", "watch -n 5 ./loop status", "./loop status --jq .state"),
    text=_lines,
)
def status(call: Invocation) -> Document:
    """What runs, what is queued, what came of the last day. Exit 0 running, 3 stopped, 5 paused."""
    return snapshot.status(call.home, call.now())
