"""Work that is begun is finished, whoever calls its task off meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> tuple[T, asyncio.CancelledError | None]:
    """Finish `work` however often this task is cancelled meanwhile: its result, and the cancellation to let through.

    The start of a process needs it: called off half-way, asyncio kills the process but not its children, and then waits
    for whoever still holds its pipes (Python 3.11 to 3.13).
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as exc:
            cancelled = exc
    return task.result(), cancelled
