"""kill -9 of the loop, again and again, at every phase and commit boundary; nothing may be lost or done twice (B1)."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from chaos.aims import MOMENTS, round_robin, wait_for
from chaos.audit import audit
from chaos.field import Field, scripted_field
from chaos.journal import Told, entries, reading
from chaos.report import Report

WORKERS, STOCK = 3, 12
LIMIT_SECONDS = 2.0
MOST_DRAINS = 8


@dataclass
class Storm:
    """The strikes so far. `starts` holds (exec, death) of each loop; `open_at` the leases that each death left."""

    place: Field
    rng: random.Random
    hits: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    starts: list[tuple[float, float]] = field(default_factory=list)
    open_at: list[frozenset[tuple[str, int]]] = field(default_factory=list)
    missed: int = 0

    def strike(self, aim: str) -> bool:
        """One start and its death. False if the aim did not come; that loop was killed all the same."""
        began = time.time()
        loop = self.place.yard.start()
        if self.place.ready() < STOCK:
            self.place.add(STOCK)
        with reading(self.place.yard.home) as database:
            came = wait_for(aim, loop, self.place.yard.home, database, self.rng)
        assert loop.running, loop.output
        loop.signal(signal.SIGKILL)
        loop.ended()
        self.died(began)
        return came

    def died(self, began: float) -> None:
        """Remember what the loop that was started at `began` has left."""
        struck = self.place.keep_in_mind()
        self.starts.append((began, time.time()))
        self.open_at.append(frozenset((row["item"], row["fence"]) for row in struck))
        self.phases.update({f"{row['phase']}": 1 for row in struck} if struck else {"nothing leased": 1})

    def drain(self) -> None:
        """Undisturbed until everything has come to its end; helps items that were struck too often."""
        for _ in range(MOST_DRAINS):
            helped = self.place.help()
            loop = self.place.yard.start("run", "--drain")
            self.starts.append((time.time(), float("inf")))
            self.open_at.append(frozenset())
            loop.ended(300)
            if not helped and not self.place.ready():
                return


def first_leases(storm: Storm, told: list[Told]) -> Iterator[float]:
    """Seconds from exec to the first lease, of loops that lived to have one."""
    for began, died in storm.starts:
        lease = next((e.at for e in told if e.kind == "item.leased" and began <= e.at <= died), None)
        if lease is not None:
            yield lease - began


def rescues(storm: Storm, told: list[Told]) -> Iterator[float]:
    """Seconds from the exec of the loop that did it to the end of a dead loop's lease."""
    settled = {(e.item, e.data["fence"]): e.at for e in told if e.kind == "item.settled" and e.data["from"] == "leased"}
    for lease in frozenset().union(*storm.open_at):
        at = settled.get(lease)
        if at is not None:
            yield at - max(began for began, _ in storm.starts if began <= at)


def kill9(kills: int, seed: int) -> Report:
    """`kills` strikes with scripted agents, then everything is worked to its end and held against the promises."""
    report = Report(f"kill -9 of the loop, {kills} times (seed {seed})")
    began = time.monotonic()
    with report.folder() as folder, scripted_field(folder, workers=WORKERS) as place:
        storm = Storm(place, random.Random(seed))
        place.add(STOCK)
        aims = round_robin(storm.rng)
        while storm.hits.total() < kills:
            aim = next(aims)
            if storm.strike(aim):
                storm.hits[aim] += 1
            else:
                storm.missed += 1
        storm.drain()
        _measure(storm, report)
        report.violations += audit(place)
    report.row("seconds", f"{time.monotonic() - began:.0f}")
    return report


def _measure(storm: Storm, report: Report) -> None:
    with reading(storm.place.yard.home) as database:
        told = entries(database)
        sessions = database.execute("SELECT count(*) FROM sessions").fetchone()[0]
    counts = Counter(work.state for work in storm.place.works.values())
    report.row("items", f"{len(storm.place.works)} ({', '.join(f'{n} {state}' for state, n in counts.items())})")
    report.row("sessions", sessions)
    report.row("lines kept in mind", len(storm.place.lines))
    report.row("helped by retry", storm.place.helped)
    report.row("strikes that missed their aim", storm.missed)
    report.times("exec to first lease", list(first_leases(storm, told)), LIMIT_SECONDS)
    report.times("exec to rescued", list(rescues(storm, told)), LIMIT_SECONDS)
    for phase, count in sorted(storm.phases.items(), key=lambda each: -each[1]):
        report.row(f"killed in phase: {phase}", bar(count))
    for aim in sorted(storm.hits, key=lambda each: (each in MOMENTS, each)):
        report.row(f"killed at: {aim}", bar(storm.hits[aim]))


def bar(count: int) -> str:
    return f"{count:4d} {'#' * min(count, 60)}"
