"""After the storm: the promises of docs/explanation/failure-model.md, held against journal, database, git and /proc."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from chaos.field import Field
from chaos.journal import entries, reading, states
from harness.testing.auditor import Auditor, reader
from tests.kit.loop import Yard

NEVER = 1_000_000_000
FINAL = frozenset({"completed", "failed", "timeout", "stalled", "interrupted", "killed"})


def audit(field: Field) -> list[str]:
    """Every violation; empty is good."""
    checks = (_journal, _items, _settled, _landed, _sessions, _forward, _bytes, _database, _git, _processes)
    return [f"{check.__name__.strip('_')}: {found}" for check in checks for found in check(field)]


def _journal(field: Field) -> Iterator[str]:
    """No entry missing, legal moves only, fences grow by one, no stale write, nothing settled or counted twice."""
    with closing(Auditor(reader(field.yard.home.database), "app", NEVER)) as auditor:
        auditor.compare()
        yield from auditor.violations


def _items(field: Field) -> Iterator[str]:
    """Everything that was accepted is in the one state it must end in."""
    with reading(field.yard.home) as database:
        found = states(database)
    for name, work in field.works.items():
        row = found.get(name)
        if row is None:
            yield f"{name} is lost"
        elif row["attempts"] > work.attempts or (row["state"], row["outcome"] if work.outcome else None) != (
            work.state,
            work.outcome,
        ):
            yield f"{name} is {row['state']}/{row['outcome']} after {row['attempts']}, not {work}: {row['reason']}"


def _settled(field: Field) -> Iterator[str]:
    """Done once and for all: a second settlement as done would be work done twice."""
    with reading(field.yard.home) as database:
        ends = Counter(e.item for e in entries(database) if e.kind == "item.settled" and e.data["to"] == "done")
    for name, count in ends.items():
        if count > 1:
            yield f"{name} was settled as done {count} times"


def _landed(field: Field) -> Iterator[str]:
    """The branch moved exactly once for each verified item, and never for any other; its reflog has every move."""
    trailer = "--format=%H %(trailers:key=Harness-Item,valueonly,separator=%x20)"
    moves = Counter(tuple(line.split()) for line in field.yard.git("log", "-g", trailer, "main").splitlines())
    landed = Counter(name for _, *names in moves for name in set(names))
    for name, work in field.works.items():
        if landed[name] != int(work.lands):
            yield f"main moved {landed[name]} times for {name}, not {int(work.lands)} times"
    held = field.yard.git("ls-tree", "-r", "--name-only", "main").split()
    yield from (f"main has no {n}.txt" for n, work in field.works.items() if work.lands and f"{n}.txt" not in held)


def _sessions(field: Field) -> Iterator[str]:
    """One final row a session, and one row an attempt that ran."""
    with reading(field.yard.home) as database:
        for row in database.execute("SELECT id, status, item FROM sessions"):
            if row["status"] not in FINAL:
                yield f"{row['id']} of {row['item']} is still {row['status']}"
        for row in database.execute(
            "SELECT item, fence, count(*) AS number FROM sessions GROUP BY item, fence HAVING count(*) > 1"
        ):
            yield f"{row['item']} has {row['number']} sessions under lease {row['fence']}"


def _forward(field: Field) -> Iterator[str]:
    """The branch only ever moved on."""
    tips = [*field.tips, field.yard.git("rev-parse", "main")]
    for before, after in pairwise(tips):
        if _git_fails(field.yard, "merge-base", "--is-ancestor", before, after):
            yield f"main went from {before[:12]} to {after[:12]}, which does not contain it"


def _bytes(field: Field) -> Iterator[str]:
    """What a killed session had in its workspace is still in a commit, a saved ref or, a document, with its session."""
    names = field.yard.git("rev-list", "--objects", "--no-object-names", "--all")
    kept = subprocess.run(
        ["git", "cat-file", "--batch"],
        cwd=field.yard.repository,
        input=names.encode(),
        capture_output=True,
        check=True,
    ).stdout
    lines = set(kept.split(b"\n"))
    for document in field.yard.home.sessions.rglob("result.md"):
        lines |= set(document.read_bytes().split(b"\n"))
    for line, session in field.lines.items():
        if line not in lines:
            yield f"{line.decode(errors='replace')!r} of {session} is nowhere"


def _database(field: Field) -> Iterator[str]:
    with reading(field.yard.home) as database:
        if (said := database.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            yield said
        yield from (str(tuple(row)) for row in database.execute("PRAGMA foreign_key_check"))


def _git(field: Field) -> Iterator[str]:
    done = _run(field.yard.repository, "fsck", "--full", "--no-dangling", "--no-progress")
    if done.returncode or done.stderr.strip():
        yield f"git fsck: {done.returncode} {done.stdout} {done.stderr}"
    for lock in (field.yard.repository / ".git").rglob("*.lock"):
        yield f"{lock} was left behind"


def _processes(field: Field) -> Iterator[str]:
    """Nobody with the mark of a session, nobody with our folder in their words."""
    for left in field.yard.living():
        yield f"process {left.pid} of a session still lives"
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(field.yard.folder).encode() in words:
            yield f"process {path.parent.name} still lives: {words.replace(bytes(1), b' ').decode(errors='replace')}"


def _git_fails(yard: Yard, *arguments: str) -> bool:
    return _run(yard.repository, *arguments).returncode != 0


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
