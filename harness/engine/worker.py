"""Leases items and starts attempts. A slot is a session: proving and integrating go on beside the next session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from harness.engine.attempt import Attempt
from harness.engine.seams import Door
from harness.engine.state import LoopState
from harness.model.journal import Entry, Pause
from harness.model.outcome import Disposition, Interrupted, Outcome
from harness.model.work import Lease, Phase, WorkState
from harness.ports import Books, Clock, LeaseRules, Settlement

RESCAN_SECONDS = 30.0
RESUMABLE = frozenset({WorkState.READY, WorkState.DELAYED, WorkState.BLOCKED})


@dataclass(frozen=True, slots=True)
class Course:
    """How long to go on. `max_iterations` 0 = no end; `once` at most one item; `drain` until nothing is left to do.

    `until` is a time on the clock, `seconds` a span that no setting of the clock makes longer; None = no end.
    """

    max_iterations: int = 0
    once: bool = False
    drain: bool = False
    until: datetime | None = None
    seconds: float | None = None
    workers: int = 1
    iteration_delay_seconds: float = 5.0
    pass_seconds: float = 30.0

    @property
    def waits(self) -> bool:
        """Whether this course ever waits for new work, or for a pause to end."""
        return not (self.once or self.drain)


@dataclass(slots=True)
class WorkerTools:
    books: Books
    clock: Clock
    state: LoopState
    rules: LeaseRules
    attempt: Callable[[Lease, int, Callable[[], None]], Attempt]
    doors: Sequence[Door] = ()


class Worker:
    """N slots over one queue. `run` returns when its course is at an end; what was leased is settled then."""

    name = "worker"

    def __init__(self, tools: WorkerTools, course: Course) -> None:
        self._tools = tools
        self._course = course
        self._slots = [0.0] * course.workers
        self._attempts: dict[asyncio.Task[None], Attempt] = {}
        self._given_up: set[asyncio.Task[None]] = set()
        self._open: set[str] = set()
        self._open_iterations: dict[str, int] = {}
        self._said_idle = False
        self._said_pause: int | None = None
        self._idle_since: float | None = None
        self._began = 0.0
        self.failed: BaseException | None = None

    async def run(self) -> None:
        state = self._tools.state
        self._began = self._tools.clock.monotonic()
        while self.failed is None:
            ticket = state.bell.ticket()
            if state.stopping or state.leaving or self._over_time():
                break
            if not await self._step(ticket):
                break
        await self._wind_up()

    async def _step(self, ticket: int) -> bool:
        """One look at the queue; False when the course is at an end."""
        state = self._tools.state
        state.pauses = tuple(await self._tools.books(lambda s: s.pauses()))
        pause = state.pause(self._tools.clock.now())
        if pause is not None:
            await self._say_pause(pause)
            if state.wanted_stop():
                self._give_up(Phase.PREPARING)
            if not self._course.waits and not self._attempts:
                return False
            return await self._wait(ticket, await self._until_something())
        if self._slots and self._may_begin():
            rest = max(min(self._slots) - self._tools.clock.monotonic(), *(d.rest() for d in self._tools.doors), 0.0)
            if rest > 0:
                return await self._wait(ticket, rest)
            lease = await self._lease()
            if lease is None:
                return await self._nothing_ready(ticket)
            await self._admit(lease)
            return True
        if not self._attempts and not self._may_begin():
            return False
        return await self._wait(ticket, RESCAN_SECONDS)

    def _may_begin(self) -> bool:
        """Whether another attempt is allowed; resuming an interrupted item is the same iteration."""
        return bool(self._open) or not self._is_over()

    def _is_over(self) -> bool:
        """Whether the course has had its iterations: only what it interrupted is still resumed."""
        limit = 1 if self._course.once else self._course.max_iterations
        return limit != 0 and self._tools.state.iterations >= limit

    async def _lease(self) -> Lease | None:
        now = self._tools.clock.now()
        rules = replace(self._tools.rules, only=tuple(sorted(self._open))) if self._is_over() else self._tools.rules
        return await self._tools.books(lambda s: s.lease(self._tools.state.owner, rules, now))

    async def _admit(self, lease: Lease) -> None:
        """Begin, unless a door says no: then a pause or the item's state keeps it from being leased again."""
        for door in self._tools.doors:
            if (refusal := await door.admit(lease)) is not None:
                await self._give_back(lease, refusal)
                return
        self._begin(lease)

    async def _give_back(self, lease: Lease, refusal: Disposition) -> None:
        """Nothing is counted, nothing of it is lost."""
        kept = replace(refusal, continuation=lease.item.continuation)
        settlement = Settlement(Interrupted(refusal.reason, "loop"), kept)
        await self._tools.books(lambda s: s.settle(lease, settlement, self._tools.clock.now()))

    def _begin(self, lease: Lease) -> None:
        state = self._tools.state
        # an item may be leased again before the attempt that gave it back has said so here
        if lease.item.id not in self._open or lease.item.id not in self._open_iterations:
            state.iterations += 1
            self._open_iterations[lease.item.id] = state.iterations
        self._open.discard(lease.item.id)
        self._said_idle = False
        self._idle_since = None
        self._slots.remove(min(self._slots))
        free_slot = self._once_free()
        attempt = self._tools.attempt(lease, self._open_iterations[lease.item.id], free_slot)
        task = asyncio.create_task(self._attempt(lease, attempt, free_slot), name=f"attempt {lease.item.id}")
        self._attempts[task] = attempt
        task.add_done_callback(self._ended)

    def _once_free(self) -> Callable[[], None]:
        freed = False

        def free_slot() -> None:
            nonlocal freed
            if not freed:
                freed = True
                self._slots.append(self._tools.clock.monotonic() + self._course.iteration_delay_seconds)
                self._tools.state.bell.ring()

        return free_slot

    async def _attempt(self, lease: Lease, attempt: Attempt, free_slot: Callable[[], None]) -> None:
        try:
            self._keep_open(lease, await attempt.run())
        finally:
            free_slot()

    def _give_up(self, *phases: Phase) -> None:
        """Cancel attempts that no session would be lost with; once, for what they clean up must not be cut off."""
        for task, attempt in self._attempts.items():
            if attempt.phase in phases and task not in self._given_up:
                self._given_up.add(task)
                task.cancel()

    def _keep_open(self, lease: Lease, outcome: Outcome) -> None:
        """An item that we interrupted is still this loop's iteration; it is resumed before the loop ends."""
        if isinstance(outcome, Interrupted) and not self._tools.state.stopping:
            self._open.add(lease.item.id)
        else:
            self._open_iterations.pop(lease.item.id, None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._attempts.pop(task, None)
        self._given_up.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.failed = self.failed or task.exception()
        self._tools.state.bell.ring()

    async def _nothing_ready(self, ticket: int) -> bool:
        """Nothing may be leased now: say so once, then wait, count a pass, or end."""
        course, state = self._course, self._tools.state
        delayed = 0
        if not self._attempts and (course.drain or not self._said_idle):
            delayed = (await self._tools.books(lambda s: s.counts())).get(WorkState.DELAYED, 0)
            await self._say_idle(delayed)
        if course.once:
            return bool(self._attempts) and await self._wait(ticket, RESCAN_SECONDS)
        if course.drain and not self._attempts and not delayed:
            # what is ready and yet not leased is paused or a person's, and a drain waits for neither
            return False
        await self._forget_taken_away()
        if course.max_iterations and not self._attempts and not self._open and self._pass_is_over():
            state.iterations += 1
            self._idle_since = None
            if state.iterations >= course.max_iterations:
                return False
        return await self._wait(ticket, await self._until_something())

    async def _forget_taken_away(self) -> None:
        """An interrupted item that a person has removed, parked or finished meanwhile is not waited for."""
        if not self._open:
            return
        found = await self._tools.books(lambda s: [s.item(name) for name in self._open])
        left = {item.id for item in found if item is not None and item.state in RESUMABLE}
        for name in self._open - left:
            self._open_iterations.pop(name, None)
        self._open = left

    def _pass_is_over(self) -> bool:
        """A pass without work takes `interrupt_check_interval`; the last one does not wait (contract 2)."""
        state, at = self._tools.state, self._tools.clock.monotonic()
        if state.iterations + 1 >= self._course.max_iterations:
            return True
        self._idle_since = self._idle_since if self._idle_since is not None else at
        return at - self._idle_since >= self._course.pass_seconds

    async def _until_something(self) -> float:
        now = self._tools.clock.now()
        wake = await self._tools.books(lambda s: s.next_wake(now))
        wait = RESCAN_SECONDS if wake is None else max(0.05, (wake - now).total_seconds())
        return min(wait, self._course.pass_seconds if self._course.max_iterations else RESCAN_SECONDS)

    async def _wait(self, ticket: int, seconds: float) -> bool:
        if (left := self._seconds_left()) is not None:
            seconds = min(seconds, max(0.05, left))
        await self._tools.state.bell.after(ticket, seconds)
        return True

    def _over_time(self) -> bool:
        left = self._seconds_left()
        return left is not None and left <= 0

    def _seconds_left(self) -> float | None:
        """Until this course is at its end by time."""
        course, clock, left = self._course, self._tools.clock, []
        if course.until is not None:
            left.append((course.until - clock.now()).total_seconds())
        if course.seconds is not None:
            left.append(self._began + course.seconds - clock.monotonic())
        return min(left, default=None)

    async def _say_idle(self, delayed: int) -> None:
        if not self._said_idle:
            self._said_idle = True
            await self._note("loop.idle", delayed=delayed)

    async def _say_pause(self, pause: Pause) -> None:
        if self._said_pause != pause.id:
            self._said_pause = pause.id
            await self._note("loop.paused", reason=pause.reason, source=pause.source)

    async def _note(self, kind: str, **data: object) -> None:
        entry = Entry(self._tools.clock.now(), kind, self._tools.state.actor, None, None, data)
        await self._tools.books(lambda s: s.note(entry))

    async def _wind_up(self) -> None:
        """Sessions end by their own ladder; what is being prepared or proved is given up and goes on next time."""
        state = self._tools.state
        if self.failed is not None:
            state.stop("the loop ends")
        while self._attempts:
            ticket = state.bell.ticket()
            await asyncio.sleep(0)  # an attempt that was made just now begins, so that it can be given up
            if state.stopping:
                self._give_up(Phase.PREPARING, Phase.PROVING)
            await state.bell.after(ticket, RESCAN_SECONDS)
        if self.failed is not None:
            raise self.failed
