"""Many workers on one repository, and `git gc` between them; then what an item costs the loop itself.

    python bench/many.py                  sixty scripted items at twelve workers, then the cost of an item at 1 and 12
    python bench/many.py --cli 12         the same with the real CLI at four workers, its model scripted
    python bench/many.py --only cost      one part alone

Every tenth item appends to one file, so that some conflict. At the end each item is integrated or says why it is not,
`git fsck` is clean, and no workspace, bench, home or ref is left that nobody answers for. Exit 1 otherwise, or if an
item costs half as much again at twelve workers.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from harness.app.build import open_store
from harness.model.work import WorkItem
from harness.proc.tree import marked
from tests.kit.loop import COMPLETE, DONE, LoopProcess, Yard, bash, git, make_repository, yard

SCRIPTED = {"default": {"type": "scripted"}}
GATE = "test -f README.md"
GC_SECONDS = 3.0
MOST_SECONDS = 600.0
ALL = 100_000
"""More rows than there are."""
AIM_MS, AIM_RATIO = 400.0, 1.5
KNOWN_REFS = re.compile(r"refs/harness/(?P<owner>[^/]+)/(head|sealed|verified|claimed|wip/\d+)")


def name_of(number: int) -> str:
    return f"n-{number:03}"


def deed(number: int) -> str:
    """A shell command that does the work of an item."""
    what = "echo {0} >> shared.txt" if number % 10 == 0 else "mkdir -p own && echo {0} > own/{0}.txt"
    return f"{what.format(name_of(number))} && git add -A && git commit -qm 'Work of {name_of(number)}'"


def items(count: int) -> list[WorkItem]:
    def script(number: int) -> list[Mapping[str, Any]]:
        return [{"run": ["sh", "-c", deed(number)]}, {"complete": "all of it"}]

    return [WorkItem(name_of(n), f"title of {name_of(n)}.", extra={"script": script(n)}) for n in range(count)]


def fill(place: Yard, count: int) -> None:
    store = open_store(place.home)
    store.add(items(count), actor="bench", now=datetime.now(UTC))
    store.close()


def scenario(count: int) -> Mapping[str, Any]:
    """What the scripted model of the real CLI does, by the title of the item."""
    turns = [[bash(deed(n)), COMPLETE, DONE] for n in range(count)]
    return {"sessions": [{"match": f"title of {name_of(n)}.", "turns": turns[n]} for n in range(count)]}


def collect(place: Yard, loop: LoopProcess) -> int:
    """`git gc` as the operator's git would, again and again while the loop works; how often."""
    times, give_up = 0, time.monotonic() + MOST_SECONDS
    while loop.running and time.monotonic() < give_up:
        time.sleep(GC_SECONDS)
        if loop.running:
            git(place.repository, "gc", "-q")
            times += 1
    return times


# --- what is left ----------------------------------------------------------------------------------------------------


def unexplained(place: Yard, count: int) -> list[str]:
    """Items that are neither on the branch nor say why."""
    subjects = set(place.git("log", "--format=%s", "main").splitlines())
    wrong = []
    for number in range(count):
        item = place.item(name_of(number))
        landed = f"Work of {item.id}" in subjects
        if landed != (item.outcome == "verified"):
            wrong.append(f"{item.id} is {item.outcome or item.state}, and on the branch: {landed}")
        elif not landed and not item.reason:
            wrong.append(f"{item.id} is {item.state.value} and does not say why")
    return wrong


def leftovers(place: Yard) -> list[str]:
    """Folders of ours, refs and processes that should be gone."""
    home = place.home
    with place.store() as store:
        ran, known = store.sessions(limit=ALL), store.items(limit=ALL)
    owners = {row.id for row in ran} | {item.id for item in known}
    wanted = {item.id for item in known if item.state.value != "done"}
    folders = [path for path in home.worktrees.iterdir() if not path.name.startswith(".") and path.name not in wanted]
    folders += [path for part in ("home", "benches") for path in (home.state / part).glob("[!.]*")]
    refs = [ref for ref in place.refs("refs/harness") if not _is_known(ref, owners)]
    broken = git(place.repository, "fsck", "--no-dangling", "--no-progress").splitlines()
    living = [f"process {found.pid}" for found in marked({row.id for row in ran})]
    return [*map(str, folders), *refs, *(f"fsck: {line}" for line in broken), *living]


def _is_known(ref: str, owners: set[str]) -> bool:
    found = KNOWN_REFS.fullmatch(ref)
    return found is not None and found["owner"] in owners


def many(folder: Path, count: int, workers: int, *, cli: bool) -> list[str]:
    agents: dict[str, Any] = {} if cli else {"agents": SCRIPTED}
    settings = {"max_consecutive_failures": 1000}
    with yard(folder, scenario(count), gate=GATE, harness=settings, prepared=False, **agents) as place:
        fill(place, count)
        began = time.perf_counter()
        loop = place.start("run", "--drain", "--workers", str(workers))
        collected = collect(place, loop)
        status, spent = loop.ended(60), time.perf_counter() - began
        outcomes = Counter(place.item(name_of(n)).outcome or str(place.item(name_of(n)).state) for n in range(count))
        with place.store() as store:
            sessions = len(store.sessions(limit=ALL))
        told = " ".join(f"{word}={number}" for word, number in sorted(outcomes.items()))
        print(
            f"many.{'cli' if cli else 'scripted'} items={count} workers={workers} seconds={spent:.1f} gc={collected} "
            f"exit={status} sessions={sessions} refs={len(place.refs('refs/harness'))} {told}",
            flush=True,
        )
        return [*unexplained(place, count), *leftovers(place)]


# --- what an item costs ----------------------------------------------------------------------------------------------


def spans(place: Yard, done: Sequence[WorkItem]) -> tuple[float, float]:
    """Seconds: of the whole an item, and the median from lease to settlement."""
    with place.store() as store:
        rows = [attempt for item in done for attempt in store.attempts(item.id)]
    assert len(rows) == len(done), "an item was tried more than once"
    ends = [row.ended_at for row in rows if row.ended_at is not None]
    whole = (max(ends) - min(row.started_at for row in rows)).total_seconds()
    return whole / len(done), median((row.ended_at - row.started_at).total_seconds() for row in rows if row.ended_at)


def cost(folder: Path, count: int, workers: int) -> float:
    """Seconds an item of workspace, autosave, seal and integration: no gate, and an agent that commits at once."""
    app = make_repository(folder / "given")
    claimed = [{"name": "app", "path": str(app), "branch": "main", "integrate": "claimed"}]
    with yard(folder, {"sessions": []}, gate=None, prepared=False, agents=SCRIPTED, repositories=claimed) as place:
        store = open_store(place.home)
        plain = [item for item in items(count * 2) if item.id[-1] != "0"][:count]
        store.add(plain, actor="bench", now=datetime.now(UTC))
        store.close()
        status, said = place.run("run", "--drain", "--workers", str(workers), seconds=MOST_SECONDS)
        assert status == 0, said
        each, lease = spans(place, plain)
        landed = len(git(app, "rev-list", "--first-parent", "main").split()) - 1
        assert landed == count, f"{landed} of {count} are on the branch"
    print(f"many.cost workers={workers} items={count} ms_an_item={each * 1000:.0f} lease_p50_ms={lease * 1000:.0f}")
    return each


def costs(folder: Path, count: int) -> list[str]:
    one, twelve = (cost(folder / str(workers), count, workers) for workers in (1, 12))
    ratio = twelve / one
    print(f"many.cost ratio={ratio:.2f} aim={AIM_RATIO:.2f} aim_ms={AIM_MS:.0f}")
    return [f"twelve workers cost {ratio:.2f} times as much an item"] if ratio > AIM_RATIO else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--cli", type=int, default=0, metavar="ITEMS", help="so many items with the real CLI as well")
    parser.add_argument("--only", choices=["scripted", "cli", "cost"])
    given = parser.parse_args()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-many-") as name:
        folder = Path(name)
        if given.only in (None, "scripted"):
            wrong += many(folder / "scripted", given.items, given.workers, cli=False)
        if given.only in (None, "cli") and given.cli:
            wrong += many(folder / "cli", given.cli, 4, cli=True)
        if given.only in (None, "cost"):
            wrong += costs(folder / "cost", given.items)
    for what in wrong:
        print(f"many.failed {what}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
