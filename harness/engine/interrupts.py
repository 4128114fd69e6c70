"""Pausing: the interrupt file is the truth of its own pause; automatic interrupts write that file (H16, H17, H32)."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness import fs
from harness.engine.state import LoopState
from harness.model.home import Home
from harness.model.journal import Entry
from harness.model.outcome import ENDINGS, Cause, Disposition, Failed, Outcome
from harness.model.work import WorkItem
from harness.ports import Books, Clock

MOST_REASON_BYTES = 64 * 1024
FILE = "interrupt-request.txt"


def read_reason(path: Path) -> str | None:
    """The text of the interrupt file; None if there is none. A link, folder or pipe of that name pauses as well."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    when = datetime.fromtimestamp(found.st_mtime, UTC).astimezone().isoformat(timespec="seconds")
    anonymous = f"no reason given, created {when} by {_user(found.st_uid)}"
    if not stat.S_ISREG(found.st_mode):
        return f"{anonymous} (not a regular file)"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as exc:
        return f"{anonymous} (cannot be read: {exc.strerror})"
    with os.fdopen(handle, "rb") as file:
        text = file.read(MOST_REASON_BYTES).decode(errors="replace").strip()
    return text or anonymous


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def request(path: Path, reason: str) -> bool:
    """Write the interrupt file unless there is one already; True if it was written."""
    if path.is_symlink() or path.exists():
        return False
    fs.replace(path, reason.rstrip() + "\n", mode=0o600)
    return True


@dataclass(slots=True)
class Interrupts:
    """Raises the automatic interrupts. `switches`: condition -> true (the loop), item, or false (contract 2)."""

    books: Books
    clock: Clock
    state: LoopState
    home: Home
    switches: Mapping[str, bool | str]
    max_consecutive_failures: int

    async def after(self, item: WorkItem, outcome: Outcome, disposition: Disposition) -> None:
        if disposition.interrupt is not None:
            await self._automatic(item, disposition.interrupt, disposition)
        if isinstance(outcome, Failed) and ENDINGS[outcome.ending].cause is Cause.AGENT:
            await self._consecutive()

    async def _automatic(self, item: WorkItem, condition: str, disposition: Disposition) -> None:
        switch = self.switches.get(condition, "item")
        if switch is False:
            return
        log = self.home.state / "iteration.log"
        text = (
            f"{condition}: item {item.id} ({item.title}) after {item.attempts + int(disposition.counted)} of "
            f"{item.max_attempts} attempts\nwhy: {disposition.reason}\nmore: ./loop why {item.id}   log: {log}\n"
            "clear: ./loop resume (or remove this file)"
        )
        if switch is True:
            request(self.home.interrupt_file, text)
        kind = "interrupt.raised" if switch is True else "interrupt.item"
        await self._note(kind, item.id, condition=condition, reason=disposition.reason)

    async def _consecutive(self) -> None:
        """Over at least two distinct items, so that one bad item never stops the fleet."""
        limit = self.max_consecutive_failures
        recent = await self.books(lambda s: s.streak(limit))
        if limit <= 0 or len(recent) < limit or len({a.item for a in recent}) < 2:
            return
        rows = "\n".join(f"- {a.item}: {a.ending}: {a.sentence}" for a in recent)
        clear = "clear: ./loop resume (or remove this file)"
        text = f"consecutive_failures: the last {limit} sessions failed\n{rows}\n{clear}"
        if request(self.home.interrupt_file, text):
            await self._note("interrupt.raised", None, condition="consecutive_failures", reason=f"{limit} in a row")

    async def _note(self, kind: str, item: str | None, **data: str) -> None:
        entry = Entry(self.clock.now(), kind, self.state.actor, item, None, data)
        await self.books(lambda s: s.note(entry))


class InterruptWatch:
    """Keeps the stored pause and the shared switches in step with the file, at every ring of the bell."""

    name = "interrupts"

    def __init__(self, books: Books, clock: Clock, state: LoopState, home: Home, check_seconds: float) -> None:
        self._books = books
        self._clock = clock
        self._state = state
        self._home = home
        self._check_seconds = check_seconds

    async def run(self) -> None:
        while True:
            ticket = self._state.bell.ticket()
            await self.tick()
            await self._state.bell.after(ticket, self._check_seconds)

    async def tick(self) -> None:
        reason = read_reason(self._home.interrupt_file)
        pauses = await self._books(lambda s: s.pauses())
        known = next((p for p in pauses if p.scope == "loop" and p.source == FILE), None)
        now = self._clock.now()
        if reason is not None and (known is None or known.reason != reason):
            await self._books(lambda s: s.open_pause("loop", "file", reason, FILE, now))
        elif reason is None and known is not None:
            await self._books(lambda s: s.close_pause("loop", FILE, "the file was removed", now))
        pauses = await self._books(lambda s: s.pauses())
        if tuple(pauses) != self._state.pauses:
            self._state.pauses = tuple(pauses)
            self._state.bell.ring()
