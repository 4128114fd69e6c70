"""Work that is begun is finished, whoever calls its task off meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Finish `work` however often this task is cancelled meanwhile: its result, or the cancellation once it is done."""
    task, cancelled = await _finished(work)
    if cancelled is not None:
        raise cancelled from None if task.cancelled() else task.exception()
    return task.result()


async def seen_through(work: Coroutine[Any, Any, T]) -> tuple[T, asyncio.CancelledError | None]:
    """The same for what must be cleaned up after: the result, and the cancellation to let through then.

    The start of a process needs it: called off half-way, asyncio kills the process but not its children, and then waits
    for whoever still holds its pipes (Python 3.11 to 3.13).
    """
    task, cancelled = await _finished(work)
    return task.result(), cancelled


async def _finished(work: Coroutine[Any, Any, T]) -> tuple[asyncio.Task[T], asyncio.CancelledError | None]:
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as exc:
            cancelled = exc
    return task, cancelled
