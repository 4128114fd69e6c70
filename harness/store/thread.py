"""The one thread that talks to the store (architecture 2): calls in order, none ever cut short."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from harness.model.journal import Entry
from harness.ports import Store

T = TypeVar("T")


class StoreThread:
    """`await store(lambda s: s.lease(...))` runs the call on the store's thread and returns what it returned.

    `on_entries` gets what each call committed, in order, in the event loop's thread, before the caller goes on; also
    when the call raised or its caller was cancelled.
    """

    def __init__(self, store: Store, on_entries: Callable[[Sequence[Entry]], None]) -> None:
        self._store = store
        self._on_entries = on_entries
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._closed = False

    async def __call__(self, call: Callable[[Store], T]) -> T:
        """Run one call. Cancelled while it waits its turn, it does not happen; once begun, it is seen through."""
        loop = asyncio.get_running_loop()
        job = self._thread.submit(self._perform, call, loop)
        done = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            if not job.cancel():
                await _end_of(done)
            raise

    def _perform(self, call: Callable[[Store], T], loop: asyncio.AbstractEventLoop) -> T:
        try:
            return call(self._store)
        finally:
            if entries := self._store.written():
                loop.call_soon_threadsafe(self._on_entries, entries)

    async def close(self) -> None:
        """After the calls that were begun or wait; then the store is closed. Idempotent."""
        if not self._closed:
            self._closed = True
            await asyncio.wrap_future(self._thread.submit(self._store.close))
            self._thread.shutdown()


async def _end_of(done: asyncio.Future[T]) -> None:
    """Wait for a call that cannot be stopped, however often the waiting task is cancelled meanwhile."""
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError:
            continue
    # Taken here, else asyncio reports an error of the call as never retrieved.
    if not done.cancelled():
        done.exception()
