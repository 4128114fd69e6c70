"""Virtual time: an event loop that never waits, and processes that can be killed or frozen at any await.

When nothing is ready, the loop's time jumps to its next timer. Everything happens in one thread and in the order of the
seed, so a run is repeated exactly: also the order of sets of tasks, which asyncio would take from addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
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


class _Jumping(selectors.SelectSelector):
    """Instead of waiting, moves the time on."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set")
        self.seconds += max(0.0, timeout)
        return []


class NumberedTask(asyncio.Task[T]):
    """Hashed by its number, so that a set of tasks has the same order in every run."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; threads are called at once, in place."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        self._numbers = count(1)
        super().__init__(self._jumping)
        make: Any = self._make_task  # typeshed knows no task factory that takes a context
        self.set_task_factory(make)

    def time(self) -> float:
        return self._jumping.seconds

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
        number = next(self._numbers)
        task = NumberedTask(coro, loop=loop, name=f"task-{number}", **options)
        task.number = number
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
        return EPOCH + timedelta(seconds=self.monotonic() + self.offset_seconds)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


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
        await asyncio.sleep(0)
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
        await self.breathe()
        await asyncio.sleep(seconds)
        await self.breathe()


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
