"""Virtual time: an event loop that never waits, and processes that can be killed or frozen at any await.

When nothing is ready, the loop's time jumps to its next timer. Everything happens in one thread and in the order of the
seed, so a run is repeated exactly: also the order of sets of tasks, which asyncio would take from addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
MOST_CANCELS = 50


class Deadlock(Exception):
    """Nothing is ready and no timer is set: nothing would ever happen again."""


class Killed(BaseException):  # no part of the code under test may mistake it for an error it could handle
    """The process ended here by SIGKILL."""


class NumberedTask(asyncio.Task[T]):
    """Hashed by its number, so that a set of tasks has the same order in every run."""

    def __init__(self, coro: Coroutine[Any, Any, T], number: int, **options: Any) -> None:
        # before anything else: the first thing a task does is to be put into a set of all tasks
        self.number = number
        super().__init__(coro, name=f"task-{number}", **options)

    def __hash__(self) -> int:
        return self.number


class _Turn(asyncio.Handle):
    """A callback to be run next, as asyncio.Handle has it, without what is for debugging."""

    __slots__ = ()

    def __init__(
        self, callback: Callable[..., object], args: Sequence[Any], loop: VirtualLoop, context: Context | None
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; threads are called at once, in place.

    It asks the system for nothing, and of asyncio's own steps it takes those that a simulation needs: half of a
    simulated night is waiting. Timers of the same moment are due in the order in which they were set.
    """

    _ready: deque[asyncio.Handle]

    def __init__(self) -> None:
        self._seconds = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count(1)
        super().__init__()
        make: Any = self._make_task  # typeshed knows no task factory that takes a context
        self.set_task_factory(make)

    def time(self) -> float:
        return self._seconds

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        turn = _Turn(callback, args, self, context)
        self._ready.append(turn)
        return turn

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def get_debug(self) -> bool:
        return False

    def _run_once(self) -> None:
        """One round: what is due now, or else the time jumps to the next timer. Raises Deadlock if there is none."""
        timers, ready = self._timers, self._ready
        while timers and timers[0][2].cancelled():
            heappop(timers)
        if not ready:
            if not timers:
                raise Deadlock("nothing is ready and no timer is set")
            self._seconds = max(self._seconds, timers[0][0])
        while timers and timers[0][0] <= self._seconds:
            ready.append(heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:  # noqa: SLF001 - half a million times a story
                handle._run()  # noqa: SLF001 - there is no other way to run one

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:  # noqa: ARG002 - there are no threads here
        done: asyncio.Future[T] = self.create_future()
        process = PROCESS.get()
        if process is not None and not process.alive:
            raise Killed
        try:
            done.set_result(func(*args))
        except Exception as exc:
            done.set_exception(exc)
        return done

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T], **options: Any
    ) -> asyncio.Task[T]:
        task = NumberedTask(coro, next(self._numbers), loop=loop, **options)
        process = PROCESS.get()
        if process is not None:
            process.adopt(task)
        return task


class Timeline:
    """The wall clock of the simulated machine, which may be set, beside its monotonic time, which may not."""

    def __init__(self, offset_seconds: float = 0.0) -> None:
        self.offset_seconds = offset_seconds
        self.slept_seconds = 0.0
        self.sets = 0
        self._told = 0.0, EPOCH

    def set(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.offset_seconds += seconds
        self.sets += 1

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: monotonic time knows nothing of it."""
        self.set(seconds)
        self.slept_seconds += seconds

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        seconds = self.monotonic() + self.offset_seconds
        if seconds != self._told[0]:
            self._told = seconds, EPOCH + timedelta(seconds=seconds)
        return self._told[1]

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@types.coroutine
def others() -> Generator[None, None, None]:
    """Everybody else who is ready has a turn."""
    yield


class Process:
    """Tasks that die together. Every port call breathes: there a kill or a freeze takes effect."""

    def __init__(self, name: str, timeline: Timeline) -> None:
        self.name = name
        self.alive = True
        self.stale = False
        self.fuse = 0
        self.on_kill: Callable[[], None] = lambda: None
        self._timeline = timeline
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._thawed = asyncio.Event()
        self._thawed.set()

    def start(self, main: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        with self._inside():
            return asyncio.ensure_future(main)

    def adopt(self, task: NumberedTask[Any]) -> None:
        self._tasks[task.number] = task
        task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(hash(task), None)
        if not task.cancelled():
            task.exception()

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        token = PROCESS.set(self)
        try:
            yield
        finally:
            PROCESS.reset(token)

    async def reach(self) -> None:
        """The process may be dead or frozen here, or die because its fuse has burnt down. Raises Killed."""
        self._burn()
        if not self._thawed.is_set():
            await self._thawed.wait()
            self._check()

    async def breathe(self) -> None:
        """The same, and others run meanwhile. Raises Killed."""
        self._burn()
        await others()
        if not self._thawed.is_set():
            await self._thawed.wait()
        self._check()

    def _burn(self) -> None:
        self._check()
        if self.fuse:
            self.fuse -= 1
            if self.fuse == 0:
                self.kill()
                raise Killed

    def _check(self) -> None:
        if not self.alive:
            raise Killed

    def freeze(self) -> None:
        """Stop it as a suspended machine would; others will think it dead, and it may come back as `stale`."""
        self.stale = True
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    def kill(self) -> None:
        """SIGKILL: no cleanup has any effect from here on, because every port refuses."""
        if self.alive:
            self.on_kill()
            self.alive = False
            self._cancel()
            self._thawed.set()

    def _cancel(self) -> None:
        for task in tuple(self._tasks.values()):
            task.cancel()

    async def gone(self) -> None:
        """Once no task of a killed process is left. Raises RuntimeError for one that will not die."""
        for _ in range(MOST_CANCELS):
            if not self._tasks:
                return
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self._cancel()
        raise RuntimeError(f"{self.name}: {len(self._tasks)} tasks outlive their process: {self._tasks}")

    # the clock of this process (harness.ports.Clock)

    def now(self) -> datetime:
        return self._timeline.now()

    def monotonic(self) -> float:
        return self._timeline.monotonic()

    async def sleep(self, seconds: float) -> None:
        """It may die or freeze before and after; others run meanwhile anyway."""
        await self.reach()
        await asyncio.sleep(seconds)
        await self.reach()


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class Boundary:
    """A port of one process: it may die before the effect of each call, and after it."""

    def __init__(self, process: Process, target: Any) -> None:
        self._process = process
        self._target = target

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        method = getattr(self._target, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._process.reach()
            result = await method(*args, **kwargs)
            await self._process.breathe()
            return result

        return call
