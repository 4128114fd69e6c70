"""`python -m harness.rehearsal --scenario FILE`: serve it until TERM, INT or (--until-eof) end of stdin."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from harness import fs
from harness.model.errors import HarnessError
from harness.rehearsal.director import Director
from harness.rehearsal.records import Records
from harness.rehearsal.scenario import load
from harness.rehearsal.server import Server


def main(argv: Sequence[str] | None = None) -> int:
    asked = _arguments().parse_args(argv)
    try:
        server = Server(Director(load(asked.scenario)), Records(asked.bill, asked.requests))
        asyncio.run(_serve(server, asked))
    except HarnessError as exc:
        sys.stderr.write(f"rehearsal: {exc.message}\n  {exc.hint}\n")
        return exc.status
    except OSError as exc:
        sys.stderr.write(f"rehearsal: cannot listen on 127.0.0.1:{asked.port}: {exc.strerror}\n")
        return 1
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harness.rehearsal", description=__doc__)
    parser.add_argument("--scenario", type=Path, required=True, help="what to play (YAML)")
    parser.add_argument("--port", type=int, default=0, help="0 = any free one")
    parser.add_argument("--bill", type=Path, help="append what was billed, one JSON object a line")
    parser.add_argument("--requests", type=Path, help="append what was received, one JSON object a line")
    parser.add_argument("--ready", type=Path, help="write the URL here once it can be used")
    parser.add_argument("--until-eof", action="store_true", help="end when stdin is closed, so with whoever started it")
    return parser


async def _serve(server: Server, asked: argparse.Namespace) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    if asked.until_eof:
        threading.Thread(target=_await_eof, args=(loop, over), daemon=True).start()
    async with server.listening(asked.port) as url:
        if asked.ready:
            fs.replace(asked.ready, url + "\n")
        sys.stdout.write(url + "\n")
        sys.stdout.flush()
        await over.wait()


def _await_eof(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    """Read below Python's buffer, whose lock a thread must not hold when the interpreter ends."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    with contextlib.suppress(RuntimeError):  # a signal was first and the loop is closed
        loop.call_soon_threadsafe(over.set)


if __name__ == "__main__":
    raise SystemExit(main())
