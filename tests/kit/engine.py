"""The engine in this process: real store, git, gates and files, agents that play scripts, and no signals."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.app.build import Parts, build
from harness.config.load import load
from harness.engine.supervisor import Supervisor
from harness.engine.worker import Course
from harness.model.journal import Entry, Pause
from harness.model.session import SessionRow
from harness.model.work import WorkItem
from harness.proc.identity import boot_id, identify
from tests.kit.loop import git, make_home, make_repository

Step = Mapping[str, Any]
GATE = "test -f README.md"
MOST_SECONDS = 30.0


def work(name: str) -> tuple[Step, ...]:
    """What an agent does that does its work; every item has a file of its own, else there would be nothing to do."""
    return (
        {"write": {"path": f"{name}.txt", "content": f"{name}\n"}},
        {"commit": f"add {name}.txt"},
        {"complete": "all of it"},
    )


@dataclass
class Heard:
    """A Journalist that remembers."""

    entries: list[Entry] = field(default_factory=list)
    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def entry(self, entry: Entry) -> None:
        self.entries.append(entry)

    def line(self, level: str, event: str, **facts: Any) -> None:
        self.lines.append((level, event, facts))

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.entries]


@dataclass
class Engine:
    """Every part of a loop on a home of its own."""

    folder: Path
    parts: Parts
    heard: Heard

    @property
    def repository(self) -> Path:
        return self.folder / "app"

    async def add(self, name: str, *script: Step, reviews: Sequence[Sequence[Step]] = (), **fields: Any) -> None:
        """`reviews`: what its reviewers play, one after the other."""
        extra = {"script": list(script or work(name)), **({"reviews": reviews} if reviews else {})}
        item = WorkItem(name, f"title of {name}", extra=extra, created_at=self.now, **fields)
        added = await self.parts.books(lambda s: s.add([item], actor="test", now=self.now))
        assert added[0].applied, added

    @property
    def now(self) -> datetime:
        return self.parts.clock.now()

    async def run(self, **course: Any) -> None:
        """A course to its end, with all components beside it. Raises what a component raised."""
        options = {"iteration_delay_seconds": 0, "pass_seconds": 0.05, **course}
        await self.parts.interrupt_watch.tick()
        supervisor = Supervisor(self.parts.clock, _raise, self.parts.state.stop)
        async with asyncio.timeout(MOST_SECONDS):
            await supervisor.run(self.parts.worker(Course(**options)), self.parts.others)

    async def until(self, kind: str, count: int = 1) -> None:
        """Until the journal has heard of `kind` so often."""
        async with asyncio.timeout(MOST_SECONDS):
            while self.heard.kinds().count(kind) < count:
                ticket = self.parts.state.bell.ticket()
                if self.heard.kinds().count(kind) < count:
                    await self.parts.state.bell.after(ticket, 0.05)

    async def item(self, name: str) -> WorkItem:
        found = await self.parts.books(lambda s: s.item(name))
        assert found is not None
        return found

    async def outcomes(self, *names: str) -> list[str | None]:
        return [(await self.item(name)).outcome for name in names]

    async def sessions(self, name: str) -> Sequence[SessionRow]:
        """Oldest first."""
        found = await self.parts.books(lambda s: s.sessions(item=name))
        return list(reversed(found))

    async def pauses(self) -> Sequence[Pause]:
        return await self.parts.books(lambda s: s.pauses())

    async def pause(self, scope: str, kind: str = "operator", until: datetime | None = None) -> None:
        await self.parts.books(lambda s: s.open_pause(scope, kind, "test", "test", self.now, until=until))

    def git(self, *arguments: str) -> str:
        return git(self.repository, *arguments)


def _raise(name: str, exc: BaseException) -> None:
    raise AssertionError(f"{name} failed: {exc!r}") from exc


@asynccontextmanager
async def engine(
    folder: Path, *, gate: str | None = GATE, harness: Mapping[str, Any] | None = None, **more: Any
) -> AsyncIterator[Engine]:
    """A loop put together and registered, not started."""
    repository = make_repository(folder / "app")
    scripted = {"default": {"type": "scripted"}}
    home = make_home(folder / "home", repository, gate=gate, harness=harness, **{"agents": scripted, **more})
    environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(folder / "user")}
    heard = Heard()
    parts = build(load(home, environ), heard, environ)
    me = identify(os.getpid())
    assert me is not None
    try:
        await parts.books(
            lambda s: s.register(
                parts.state.owner, pid=me.pid, boot=boot_id(), start=me.start, kind="loop", now=parts.clock.now()
            )
        )
        yield Engine(folder, parts, heard)
    finally:
        await parts.thread.close()
