"""A home full of work of known ends, and what was on disk at each strike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaos.journal import open_attempts, reading, states
from harness.model.work import WorkItem, WorkState
from harness.rehearsal.stage import Rehearsal
from harness.store.reading import open_writer
from tests.kit.loop import Yard, git, make_home, make_repository, sessions

GATE = "sleep 0.05; test ! -f bad.txt"
HELPED = ("poison", "times in a row", "lost:", "agent_init_killed")
"""Reasons of an item that was parked because we struck it too often: a person's `queue retry` is then called for."""


@dataclass(frozen=True)
class Work:
    """Where an item must end, with at most so many counted attempts; `lands` on the branch exactly once, or never."""

    state: str
    outcome: str | None
    attempts: int
    lands: bool


LANDED = Work("done", "verified", 0, lands=True)
HOPELESS = Work("parked", None, 1, lands=False)
DOCUMENT = Work("done", "claimed", 0, lands=False)
ASKED = Work("waiting", None, 0, lands=False)


def _line(name: str) -> dict[str, Any]:
    """A line nobody else writes, so that what a session wrote can be told from what the next one wrote."""
    return {"run": ["sh", "-c", f"date +%s%N >> {name}.txt"]}


def script(name: str, number: int) -> tuple[list[dict[str, Any]], Work, dict[str, Any]]:
    """Steps, end and further fields of an item."""
    line, commit, claim = _line(name), {"commit": f"work on {name}"}, {"complete": "all of it"}
    match number % 8:
        case 0:
            return (
                [line, {"write": {"path": "bad.txt", "content": "x\n"}}, commit, claim],
                HOPELESS,
                {"max_attempts": 1},
            )
        case 1:
            document = {"write": {"path": "result.md", "content": f"# {name}\n"}}
            return [document, {"sleep": 0.1}, claim], DOCUMENT, {"kind": "review"}
        case 2:
            return [line, {"ask": {"question": f"{name}: red or blue?", "options": ["red", "blue"]}}], ASKED, {}
        case 3:
            return [line, commit, line, {"progress": "half"}, commit, claim], LANDED, {}
        case 4:
            return [line, commit, claim], LANDED, {}
        case _:
            return [line, {"sleep": 0.3}, line, commit, claim], LANDED, {}


@dataclass
class Field:
    """`works` is what the queue has acknowledged; `lines` what killed sessions had in their workspaces."""

    yard: Yard
    works: dict[str, Work] = field(default_factory=dict)
    lines: dict[bytes, str] = field(default_factory=dict)
    tips: list[str] = field(default_factory=list)
    helped: int = 0

    def add(self, count: int) -> None:
        """More work, by a writer beside the loop; known only once the store has said that it is durable."""
        with closing(open_writer(self.yard.home.state)) as store:
            for _ in range(count):
                number = len(self.works)
                name = f"w{number:04d}"
                steps, end, more = script(name, number)
                item = WorkItem(name, f"title of {name}", extra={"script": steps}, **more)
                assert store.add([item], actor="chaos", now=datetime.now(UTC))[0].applied
                self.works[name] = end

    def ready(self) -> int:
        with reading(self.yard.home) as database:
            return sum(row["state"] == "ready" for row in states(database).values())

    def keep_in_mind(self) -> Sequence[Any]:
        """What lies in the workspaces of open attempts now; those attempts."""
        self.tips.append(self.yard.git("rev-parse", "main"))
        with reading(self.yard.home) as database:
            struck = open_attempts(database)
        for row in struck:
            if row["session"] and row["workspace"] and Path(row["workspace"]).is_dir():
                self.lines |= dict.fromkeys(_lines(Path(row["workspace"])), row["session"])
        return struck

    def help(self) -> int:
        """`queue retry` for what was parked because we struck too often."""
        with reading(self.yard.home) as database:
            parked = [
                row["id"]
                for row in states(database).values()
                if row["state"] in ("parked", "delayed") and any(word in row["reason"] for word in HELPED)
            ]
        with closing(open_writer(self.yard.home.state)) as store:
            for name in parked:
                store.move(name, WorkState.READY, "retried", actor="chaos", now=datetime.now(UTC))
        self.helped += len(parked)
        return len(parked)


def _lines(workspace: Path) -> Iterator[bytes]:
    """Every whole line of every file. What an agent had started may write one more after its loop's death."""
    for path in workspace.rglob("*"):
        if ".git" not in path.relative_to(workspace).parts and path.is_file():
            yield from path.read_bytes().split(b"\n")[:-1]


@contextmanager
def scripted_field(folder: Path, *, workers: int) -> Iterator[Field]:
    """A home whose agent plays the script of each item; what it started is ended afterwards."""
    with Rehearsal(sessions()) as api:
        yard = Yard(folder, api)
        harness = {"workers": workers, "max_unclean_starts": 1_000_000, "max_consecutive_failures": 1_000_000}
        make_home(
            yard.home.root,
            make_repository(yard.repository),
            gate=GATE,
            harness=harness,
            agents={"default": {"type": "scripted"}},
        )
        # commits of the agents need an identity, and a home folder without one is the rule here
        git(yard.repository, "config", "user.name", "agent")
        git(yard.repository, "config", "user.email", "agent@example.org")
        try:
            yield Field(yard)
        finally:
            yard.clear()
