"""`./loop evidence`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.output import Screen
from harness.model.text import one_line
from harness.ops import evidence as ops
from harness.ops.answers import Document

_MOST = 160


def _lines(answer: Document, where: Screen) -> Iterable[str]:
    facts: Mapping[str, Any] = answer.facts
    yield where.style(f"{facts.get('item')} {facts.get('outcome')}: {one_line(str(facts.get('title')), _MOST)}", "bold")
    if facts.get("commit"):
        place = f"on {facts['branch']}" if facts.get("integrated") else "not integrated"
        yield f"  commit  {facts['commit'][:12]} {place}, base {str(facts.get('base'))[:12]}"
    if facts.get("applied"):
        yield f"  applied by {one_line(str(facts['applied']['by']), _MOST)} at {facts['applied']['at']}"
    for gate in facts.get("gates") or ():
        yield f"  gate    {gate['gate']} {gate['verdict']}{' (flaky)' if gate['flaky'] else ''}"
        for run in gate["runs"]:
            colour = "green" if run["exit_code"] == 0 and not run["timed_out"] else "red"
            yield f"          {run['on']}: {where.style(colour, colour)} in {run['seconds']:.1f} s, {run['log']}"
    for test in facts.get("tests") or ():
        yield f"  test    {one_line(test, _MOST)}"
    for session in facts.get("sessions") or ():
        yield f"  session {session['id']} attempt {session['attempt']} {session['outcome']}, {_cost(session)}"
    yield f"  cost    {_cost(facts)}"
    yield f"  folder  {facts['folder']}"
    for check in facts["checks"]:
        mark = where.style("✓", "green") if check.ok else where.style("✗", "red")
        yield f"{mark} {check.what}: {one_line(check.found, _MOST)}"


def _cost(facts: Mapping[str, Any]) -> str:
    return f"{facts['cost_usd']} USD" if facts.get("cost_usd") is not None else "cost not known"


@command(
    examples=("./loop evidence test-001", "./loop evidence test-001 --json", "./loop evidence test-001 --write"),
    text=_lines,
)
@click.argument("item", metavar="ITEM")
@click.option("--write", is_flag=True, help="Write it anew first, from the record as it is now.")
def evidence(call: Invocation, item: str, write: bool) -> Document:
    """What proves a finished item, and whether it still holds: exit 1 if a log, hash or commit does not."""
    return ops.evidence(call.home, call.environ, item, call.now(), anew=write)
