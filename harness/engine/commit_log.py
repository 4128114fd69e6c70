"""`state/logs/commits.log`: one line of JSON for each commit that came to a branch or to a remote (C5).

The journal is the truth and the file follows it: its last line says how far it is. A line that a killed loop did not
get to write is written by the next one, and none is written twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from harness.engine.followups import reason_of
from harness.engine.state import LoopState
from harness.model.errors import HarnessError, StoreError
from harness.model.journal import Committed, Entry
from harness.ports import Books, Clock

PAGE = 500
LOOK_SECONDS = 60.0
BETWEEN_SECONDS = 1.0
"""A bell that rings all the time costs one question a second."""


@dataclass(slots=True)
class CommitLog:
    """A component. `last` is the journal's number of the file's last line, 0 for none; `write` adds a line."""

    books: Books
    state: LoopState
    last: Callable[[], int]
    write: Callable[[str], None]
    clock: Clock
    name: str = "commit log"
    _seen: int | None = None
    _unwritten: str = ""

    async def run(self) -> None:
        while True:
            ticket = self.state.bell.ticket()
            await self.tick()
            await self.state.bell.after(ticket, LOOK_SECONDS)
            await self.clock.sleep(BETWEEN_SECONDS)

    async def tick(self) -> None:
        """Bring the file up to date; what cannot be written is said once, and tried again. Raises StoreError."""
        try:
            await self._follow()
        except StoreError:
            raise
        except (HarnessError, OSError) as exc:
            reason = reason_of(exc)
            if reason != self._unwritten:
                entry = Entry(self.clock.now(), "followup.unlogged", self.state.actor, data={"reason": reason})
                await self.books(lambda s: s.note(entry))
            self._unwritten = reason
        else:
            self._unwritten = ""

    async def _follow(self) -> None:
        if self._seen is None:
            self._seen = self.last()
        while await self._page(self._seen) == PAGE:
            pass

    async def _page(self, after: int) -> int:
        found, seen = await self.books(lambda s: s.commits(after, PAGE))
        for each in found:
            self.write(line(each))
            self._seen = each.seq
        self._seen = max(seen, after)
        return len(found)


def line(done: Committed) -> str:
    """As the pipeline names its commits, `[pipeline] {type} {id}: {title}`, with what a program needs besides."""
    facts = {
        "seq": done.seq,
        "at": done.at.astimezone().isoformat(timespec="milliseconds"),
        "event": done.event,
        "repo": done.repo,
        "branch": done.branch,
        "commit": done.commit,
        "base": done.base,
        "item": done.item,
        "kind": done.kind,
        "what": done.what,
        "message": f"[pipeline] {done.kind} {done.item}: {done.title}",
    }
    return json.dumps(facts, ensure_ascii=False)


def last_seq(text: str) -> int:
    """The number of the last whole line of a file's end; 0 where there is none."""
    for candidate in reversed(text.splitlines()):
        try:
            found = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("seq"), int):
            return int(found["seq"])
    return 0
