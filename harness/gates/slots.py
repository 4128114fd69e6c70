"""How many gates run at a time, and what only one of them may use (R15)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Resources:
    """Exclusive resources by name, shared by all proofs of a loop; each is given in the order it was asked for.

    `turns` reach over processes; without them they are those of this object.
    """

    def __init__(self, turns: Callable[[str], AbstractAsyncContextManager[object]] | None = None) -> None:
        here: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._turn = turns or here.__getitem__

    @asynccontextmanager
    async def hold(self, names: Iterable[str]) -> AsyncIterator[None]:
        """All of `names` at once; taken in one order everywhere, so that nobody waits in a circle."""
        async with AsyncExitStack() as held:
            for name in sorted(set(names)):
                await held.enter_async_context(self._turn(name))
            yield


class Slots:
    """The places of one proof: at most `most` gates run at a time."""

    def __init__(self, resources: Resources, most: int) -> None:
        self._resources = resources
        self._places = asyncio.Semaphore(most)

    @asynccontextmanager
    async def hold(self, resources: Iterable[str]) -> AsyncIterator[None]:
        """Resources first: who waits for one takes no place meanwhile."""
        async with self._resources.hold(resources), self._places:
            yield


async def side_by_side(jobs: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in the order of `jobs`. What one raises is raised at once; the others are cancelled and awaited."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    if not tasks:
        return []
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        return [task.result() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
