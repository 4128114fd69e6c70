"""`./loop session …` (H9, H18, H50); `scripts/parse-session-events X` is `./loop session X`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.output import Screen, facts, local
from harness.model.errors import Usage
from harness.model.text import one_line, plain
from harness.ops import sessions
from harness.ops.answers import Change, Document, Rows, Stream, jsonable

_SESSION = click.argument("session", default="latest")
_MOST = 200


def _latest(answer: Document, _where: Screen) -> Iterable[str]:
    whole = dict(answer.facts)
    used: Mapping[str, Any] = whole.pop("metrics")
    yield from facts(jsonable({name: value for name, value in whole.items() if value not in (None, "")}))
    yield from facts(_figures(used))


def _figures(used: Mapping[str, Any]) -> dict[str, Any]:
    names = ("wall_seconds", "api_seconds", "tool_seconds", "turns", "requests", "retries", "cost_usd")
    tokens = used.get("tokens") or {}
    tools = ", ".join(f"{row['name']} {row['calls']}" for row in used.get("tools") or ())
    gates = ", ".join(f"{row['name']} {row['verdict']}" for row in used.get("gates") or ())
    shown = {name: used.get(name) for name in names}
    shown["tokens"] = ", ".join(f"{name} {number}" for name, number in tokens.items()) or None
    return {**shown, "tools": tools, "errors": len(used.get("errors") or ()), "gates": gates}


@command(examples=("./loop session latest", "./loop session latest --jq .status"), text=_latest)
def latest(call: Invocation) -> Document:
    """The newest session: how it stands, what it used."""
    return sessions.latest(call.home)


@command(examples=("./loop session list", "./loop session list --item test-001 --json"))
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
@click.option("--item", help="Sessions of this item only.")
def list_(call: Invocation, limit: int, item: str | None) -> Rows:
    """Sessions, newest first."""
    return sessions.list_(call.home, call.now(), limit=limit, item=item)


@command(
    examples=("./loop session metrics latest", "./loop session metrics docs/sessions/ses_0123456789ab.json --json")
)
@_SESSION
def metrics(call: Invocation, session: str) -> Document:
    """Tokens, cost, turns, tools, errors, times of SESSION (contract 6)."""
    return sessions.metrics(call.home, session)


@command(examples=("./loop session tools", "./loop session tools ses_0123"))
@_SESSION
def tools(call: Invocation, session: str) -> Rows:
    """Tool calls of SESSION: how many, how many failed, seconds (p50, p95, max, total)."""
    return sessions.tools(call.home, session, call.now())


@command(examples=("./loop session errors", "./loop session errors latest --json"))
@_SESSION
def errors(call: Invocation, session: str) -> Rows:
    """What went wrong in SESSION, with the line of the log."""
    return sessions.errors(call.home, session, call.now())


def _told(row: Mapping[str, Any], where: Screen) -> Iterator[str]:
    mark = {True: "✓", False: "✗", None: " "}[row["ok"]]
    seconds = f" ({row['seconds']:.1f} s)" if row["seconds"] is not None else ""
    who = f"[{row['agent']}] " if row["agent"] else ""
    tool = f"{row['tool']} " if row["tool"] else ""
    line = f"{_clock(row['at'])} {mark} {row['kind']:<8} {who}{tool}{one_line(row['what'], _MOST)}{seconds}"
    yield where.style(line, "red") if row["ok"] is False else line


def _clock(at: datetime | None) -> str:
    return local(at)[11:19] if at is not None else "--:--:--"


def _timeline(answer: Rows, where: Screen) -> Iterable[str]:
    for row in answer.rows:
        yield from _told(row, where)


@command(examples=("./loop session timeline", "./loop session timeline ses_0123 --json"), text=_timeline)
@_SESSION
def timeline(call: Invocation, session: str) -> Rows:
    """What SESSION did, in order."""
    return sessions.timeline(call.home, session, call.now())


@command(examples=("./loop session watch", "./loop session watch current --json"), text=_told)
@_SESSION
def watch(call: Invocation, session: str) -> Stream:
    """Follow SESSION while it runs; ends with it."""
    return sessions.watch(call.home, session)


def _transcript(answer: Document | Rows, where: Screen) -> Iterable[str]:
    if isinstance(answer, Document):
        yield str(answer.facts["path"])
        return
    for row in answer.rows:
        name = f"{row['role']} {row['tool']}".strip()
        yield where.style(f"── {name} ── {_clock(row['at'])}", "bold")
        yield from plain(row["text"]).splitlines()


@command(examples=("./loop session transcript", "./loop session transcript latest --path"), text=_transcript)
@_SESSION
@click.option("--path", is_flag=True, help="Only where the CLI keeps the conversation.")
def transcript(call: Invocation, session: str, path: bool) -> Document | Rows:
    """The conversation of SESSION in words."""
    if path:
        return sessions.transcript_file(call.home, session)
    return sessions.transcript(call.home, session, call.now())


@command(examples=("./loop session stop current", "./loop session stop ses_0123456789ab"))
@click.argument("session")
def stop(call: Invocation, session: str) -> Change:
    """End SESSION: its whole tree, its work saved. Its item goes back to the queue and nothing is counted."""
    # Here, not above: looking at sessions does not need what ends them.
    from harness.ops import manual  # noqa: PLC0415

    return manual.stop(call.home, session, manual.Hand(call.actor, call.now()))


@command(
    examples=("./loop session mark ses_0123456789ab --completed", "./loop session mark latest --failed"),
)
@click.argument("session")
@click.option("--completed", is_flag=True, help="Its work is done: the item is done, as claimed.")
@click.option("--failed", is_flag=True, help="It did not work out: the item is parked.")
def mark(call: Invocation, session: str, completed: bool, failed: bool) -> Change:
    """Settle by hand what became of a dead SESSION and its item. One that lives is refused."""
    from harness.ops import manual  # noqa: PLC0415

    if completed is failed:
        raise Usage("what became of it?", hint=f"./loop session mark {session} --completed, or --failed")
    return manual.mark(call.home, session, manual.Hand(call.actor, call.now()), completed=completed)
