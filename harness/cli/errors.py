"""Errors as people and programs read them (contract 3): what happened, cause, next. Never a traceback."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime

import click

from harness import fs
from harness.cli.invocation import Invocation
from harness.model.errors import HarnessError, Usage
from harness.model.home import Home
from harness.model.text import plain
from harness.ops.answers import jsonable

LOG = "cli.log"
MOST_LOG_BYTES = 5 * 1024 * 1024
PROMPTED = "error"


class Fault(HarnessError):
    """The program's own fault, as opposed to everything an operator can mend."""

    code = "internal"


def say(call: Invocation, error: HarnessError) -> int:
    """Tell the error in the shape that was asked for; its exit code. JSON is data: it goes to stdout."""
    if call.as_json:
        sys.stdout.write(json.dumps({"error": jsonable(described(error))}, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write("".join(f"{line}\n" for line in lines(error)))
    return error.status


def described(error: HarnessError) -> dict[str, object]:
    """`kind` is one of a closed set (docs/reference/json.md), `code` the same for people who search."""
    return {
        "code": f"E-{error.code.upper().replace('_', '-')}",
        "kind": error.code,
        "message": plain(error.message),
        "cause": plain(error.cause),
        "next": plain(error.hint),
        "status": error.status,
    }


def lines(error: HarnessError) -> list[str]:
    """Up to three parts; a part of several lines is indented below its name."""
    said = [f"{PROMPTED}: {plain(error.message)}"]
    for name, text in (("cause", error.cause), ("next", error.hint)):
        if text:
            first, *rest = plain(text).splitlines() or [""]
            said += [f"  {name + ':':<6} {first}", *(f"         {line}" for line in rest)]
    return said


def of_click(exc: click.ClickException) -> Usage:
    """A mistake on the command line in our own shape."""
    context = getattr(exc, "ctx", None)
    where = context.command_path if context is not None else "./loop"
    return Usage(exc.format_message().rstrip("."), hint=f"{where} --help")


def unexpected(call: Invocation, exc: Exception, argv: list[str]) -> HarnessError:
    """What a fault of ours looks like: one line with an id; the traceback lies in state/logs/cli.log under it."""
    import traceback  # noqa: PLC0415 - dear, and only for faults

    number = os.urandom(4).hex()
    text = "".join(traceback.format_exception(exc))
    if call.environ.get("DEBUG"):
        sys.stderr.write(text)
    kept = _keep(call, f"{datetime.now(UTC).isoformat(timespec='seconds')} {number} {argv!r}\n{text}")
    return Fault(
        f"unexpected {type(exc).__name__}: {exc} (error id {number})",
        cause=kept,
        hint="this is a fault of the program: please report it with the lines of that id; DEBUG=1 shows them here",
    )


def _keep(call: Invocation, entry: str) -> str:
    try:
        home: Home = call.home
        if not home.state.is_dir():
            return "nothing was written: there is no state folder here"
        path = home.state / "logs" / LOG
        if path.exists() and path.stat().st_size > MOST_LOG_BYTES:
            path.replace(path.with_name(f"{LOG}.1"))
        fs.append(path, entry)
    except (HarnessError, OSError) as exc:
        return f"it could not be logged: {exc}"
    return f"traceback in {path}"
