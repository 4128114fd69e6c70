"""kill -9 of loop, agent-init, CLI, or several at once, under sessions of the real CLI (B1)."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator

from chaos.audit import audit
from chaos.field import Field, Work
from chaos.journal import entries, reading
from chaos.kill9 import LIMIT_SECONDS, Storm, bar, first_leases, rescues
from chaos.report import Report
from harness.model.session import SessionRow
from harness.proc.contain import read_record
from tests.kit.loop import COMPLETE, DONE, LoopProcess, Turn, Yard, bash, until, yard

VICTIMS = (("loop",), ("agent-init",), ("cli",), ("loop", "agent-init"), ("loop", "agent-init", "cli"))
PATIENCE_SECONDS = 60.0
# One attempt may count: a scripted model does not repeat a complete_work that was cut off, as a real one would.
LANDED = Work("done", "verified", 1, lands=True)


def script(name: str) -> tuple[Turn, ...]:
    """Lines nobody else writes, in two commits; long enough to be struck at any point of it."""
    line = f"date +%s%N >> {name}.txt"
    return (
        bash(f"{line}; sleep 1"),
        bash(f"{line}; git add -A; git commit -qm 'half of it'; sleep 1"),
        bash(f"{line}; git add -A; git commit -qm 'work on {name}'"),
        COMPLETE,
        DONE,
    )


def real(kills: int, seed: int) -> Report:
    """One item a strike; each is worked on until it is done."""
    report = Report(f"kill -9 under the real CLI, {kills} times (seed {seed})")
    names = [f"r{number:03d}" for number in range(kills)]
    scenario = {"sessions": [{"match": f"title of {name}", "turns": list(script(name))} for name in names]}
    harness = {"max_unclean_starts": 1_000_000, "max_consecutive_failures": 1_000_000}
    began, victims = time.monotonic(), Counter[str]()
    with report.folder() as folder, yard(folder, scenario, gate="sleep 0.05", harness=harness, prepared=False) as place:
        storm = Storm(Field(place), random.Random(seed))
        for number, name in enumerate(names):
            place.add(name)
            storm.place.works[name] = LANDED
            victim = VICTIMS[number % len(VICTIMS)]
            victims["+".join(victim)] += _strike(storm, name, victim)
        storm.drain()
        _measure(storm, victims, report)
        report.violations += [*audit(storm.place), *_unknown_conversations(place)]
    report.row("seconds", f"{time.monotonic() - began:.0f}")
    return report


def _strike(storm: Storm, item: str, victim: tuple[str, ...]) -> int:
    """Kill `victim` at a random moment of the session; a loop that is left goes on for a while."""
    place, began = storm.place.yard, time.time()
    loop = place.start()
    row = until(lambda: _live(place, item, loop), PATIENCE_SECONDS, f"a session of {item}")
    assert row is not None
    time.sleep(storm.rng.uniform(0, 2.0))
    struck = _pids(place, row, loop)
    for name in victim:
        with contextlib.suppress(ProcessLookupError):
            if name in struck:
                os.kill(struck[name], signal.SIGKILL)
    if "loop" not in victim:
        until(lambda: place.item(item).state == "done", PATIENCE_SECONDS, f"the end of {item}")
        loop.signal(signal.SIGKILL)
    loop.ended()
    storm.died(began)
    return 1


def _live(place: Yard, item: str, loop: LoopProcess) -> SessionRow | None:
    assert loop.running, loop.output
    row = place.running()
    return row if row is not None and row.item == item else None


def _pids(place: Yard, row: SessionRow, loop: LoopProcess) -> dict[str, int]:
    record = read_record(place.home.session(row.id) / "agent-init.json")
    agent = {"agent-init": record.pid, "cli": record.agent_pid} if record and not record.ended_at else {}
    return {"loop": loop.pid, **{name: pid for name, pid in agent.items() if pid}}


def _unknown_conversations(place: Yard) -> Iterator[str]:
    """Every start that the endpoint saw belongs to a session that is on record."""
    known = {row.claude_session_id for row in place.sessions()}
    for request in place.asked():
        conversation = _conversation(request.body)
        if conversation not in known:
            yield f"the endpoint was asked by {conversation}, which no session row names"


def _conversation(body: object) -> str:
    assert isinstance(body, dict)
    return str(json.loads(body["metadata"]["user_id"])["session_id"])


def _measure(storm: Storm, victims: Counter[str], report: Report) -> None:
    with reading(storm.place.yard.home) as database:
        told = entries(database)
        endings = Counter(
            row[0] or "none" for row in database.execute("SELECT ending FROM sessions WHERE status <> 'completed'")
        )
    report.row("endings", ", ".join(f"{count} {ending}" for ending, count in endings.items()))
    report.row("helped by retry", storm.place.helped)
    report.times("exec to first lease", list(first_leases(storm, told)), LIMIT_SECONDS)
    report.times("exec to rescued", list(rescues(storm, told)), LIMIT_SECONDS)
    for victim, count in victims.items():
        report.row(f"killed: {victim}", bar(count))
