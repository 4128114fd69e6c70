"""Runs the commands of schedules (C22), those of different ones side by side, never two of one.

    wanted ──► running ──► done, failed
                │
                ├─ called off in order (the loop ends) ──► wanted
                └─ the loop was killed ──► running, and nobody holds its lock: begun again, MOST_TRIES times at most

Nothing is begun while the loop is paused; what comes meanwhile is the same run.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from harness.engine.followups import reason_of
from harness.engine.state import LoopState
from harness.model.errors import Busy, HarnessError, NotFound, StoreError
from harness.model.schedule import Due, Firing
from harness.ports import Books, Clock

LOOK_SECONDS = 60.0
BETWEEN_SECONDS = 1.0
MOST_TRIES = 3


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended: `reason` for people, `log` its output."""

    ok: bool
    reason: str
    log: str


class Runs(Protocol):
    def turn(self, schedule: str) -> AbstractContextManager[object]:
        """Nobody else runs that schedule's command meanwhile. Raises Busy."""
        ...

    async def run(self, schedule: str) -> Ran:
        """Raises NotFound if there is no such command any more, HarnessError if it could not be run at all."""
        ...


@dataclass(frozen=True, slots=True)
class CommandTools:
    """What a scheduled command is run with, by a loop or by a person."""

    books: Books
    clock: Clock
    runs: Runs

    async def perform(self, firing: Firing) -> None:
        """Run what is open. Raises Busy if it runs already, StoreError."""
        with self.runs.turn(firing.schedule):
            await self._run(firing)

    async def at_once(self, schedule: str, due: Due, actor: str) -> Ran:
        """Run it for a person; a run that waits for its turn is that one. Raises Busy, StoreError, NotFound."""
        with self.runs.turn(schedule):
            await self.books(lambda s: s.fire(schedule, due, None, seq=None, actor=actor, now=self.clock.now()))
            waiting = await self.books(lambda s: s.open_commands())
            ran = await self._run(next(firing for firing in waiting if firing.schedule == schedule))
        if ran is None:
            raise NotFound(f"schedule {schedule} has no command any more", hint="./loop schedule list")
        return ran

    async def _run(self, firing: Firing) -> Ran | None:
        """Run it and write what became of it; None if it is over, or not wanted any more."""
        if not await self.books(lambda s: s.begin_command(firing.id, self.clock.now())):
            return None
        try:
            ran = await self.runs.run(firing.schedule)
        except asyncio.CancelledError:
            # who asked for it is gone, or the loop ends and the next one runs it
            await self.end(firing, "dropped" if firing.by_hand else "wanted", "called off")
            raise
        except NotFound as exc:
            await self.end(firing, "dropped", exc.message)
            return None
        except StoreError:
            raise
        except (HarnessError, OSError) as exc:
            ran = Ran(ok=False, reason=reason_of(exc), log="")
        await self.end(firing, "done" if ran.ok else "failed", ran.reason, ran.log)
        return ran

    async def end(self, firing: Firing, state: str, reason: str, log: str = "") -> None:
        await self.books(lambda s: s.end_command(firing.id, state, reason, self.clock.now(), log or None))


@dataclass(slots=True)
class ScheduledCommands:
    """A component. What it began goes on without it: whoever ends the loop lets it `finish`, and calls off the rest."""

    tools: CommandTools
    state: LoopState
    name: str = "commands"
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> None:
        while True:
            ticket = self.state.bell.ticket()
            await self.tick()
            await self.state.bell.after(ticket, LOOK_SECONDS)
            await self.tools.clock.sleep(BETWEEN_SECONDS)

    async def finish(self) -> None:
        """At the end of a course what is wanted is run to its end, unless the loop is told to stop."""
        await self.tick()
        while not self.state.stopping and (busy := [task for task in self._running.values() if not task.done()]):
            ring = asyncio.create_task(self.state.bell.after(self.state.bell.ticket(), None))
            await asyncio.wait([*busy, ring], return_when=asyncio.FIRST_COMPLETED)
            ring.cancel()

    async def call_off(self) -> None:
        """Nothing runs afterwards; what was at work is wanted again."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._running.clear()

    async def tick(self) -> None:
        """Begin what is wanted. Raises StoreError, also that of a run which has ended since."""
        for name in [name for name, task in self._running.items() if task.done()]:
            self._running.pop(name).result()
        for firing in await self.tools.books(lambda s: s.open_commands()):
            if self.state.stopping or self.state.pause(self.tools.clock.now()) is not None:
                return
            if firing.schedule not in self._running:
                self._running[firing.schedule] = asyncio.create_task(self._perform(firing))

    async def _perform(self, firing: Firing) -> None:
        try:
            if firing.state == "running" and (firing.by_hand or firing.tries >= MOST_TRIES):
                await self._give_up(firing)
            else:
                await self.tools.perform(firing)
        except Busy:
            return  # a person runs it: looked at again in a minute
        self.state.bell.ring()

    async def _give_up(self, firing: Firing) -> None:
        """It was cut off together with whoever ran it, once more than it may. Raises Busy if it is at work."""
        with self.tools.runs.turn(firing.schedule):
            times = "" if firing.by_hand else f" {firing.tries} times"
            await self.tools.end(firing, "failed", f"cut off{times} together with the program that ran it")
