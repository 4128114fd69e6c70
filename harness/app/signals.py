"""Signals of a loop or worker: before it listens, while it works, and after it has ended (contract 5)."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from harness.app.build import Parts
from harness.app.reload import Reload


@contextmanager
def courteous() -> Iterator[None]:
    """TERM before the loop listens or after it has ended is a good end too: there is nothing to wind up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, _too_late)


@contextmanager
def called_off() -> Iterator[None]:
    """TERM before the loop listens ends the start where it waits: an exit raised inside a step of the event loop could
    leave somebody waiting for that step for ever.
    """
    loop, start = asyncio.get_running_loop(), asyncio.current_task()
    assert start is not None
    loop.add_signal_handler(signal.SIGTERM, start.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, _too_late)


def _too_late(*_: object) -> None:
    """A handler, for SIG_IGN would be inherited by every program that is started later."""


@contextmanager
def signals(parts: Parts, reload: Reload) -> Iterator[None]:
    """TERM and the first INT wind up; a second INT ends the sessions at once; HUP reads the configuration again."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    def interrupted() -> None:
        parts.state.stop("INT", now=parts.state.stopping is not None)

    def hangup() -> None:
        task = asyncio.ensure_future(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    handlers = {
        signal.SIGTERM: lambda: parts.state.stop("TERM"),
        signal.SIGINT: interrupted,
        signal.SIGHUP: hangup,
    }
    for signum, handler in handlers.items():
        loop.add_signal_handler(signum, handler)
    try:
        yield
    finally:
        for signum in handlers:
            loop.remove_signal_handler(signum)
        signal.signal(signal.SIGTERM, _too_late)
        for task in reloads:
            task.cancel()
