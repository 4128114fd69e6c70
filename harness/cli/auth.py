"""`./loop auth status`, `login`."""

from __future__ import annotations

from collections.abc import Iterable

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.output import Screen, facts
from harness.ops import auth
from harness.ops.answers import Document, jsonable


def _lines(answer: Document, where: Screen) -> Iterable[str]:
    whole = dict(answer.facts)
    ways = whole.pop("ways")
    account = whole.pop("account") or {}
    yield from facts(jsonable({**whole, **account}))
    if not whole["credentials"]:
        yield where.style("no credentials; any of these will do:", "red")
        yield from (f"  {way}" for way in ways)


@command(examples=("./loop auth status", "./loop auth status --jq .credentials"), text=_lines)
def status(call: Invocation) -> Document:
    """Which CLI, its version, which kinds of credentials, which account. Exit 77 without any. Never a secret."""
    return auth.status(call.home, call.environ)


@command(examples=("./loop auth login",))
def login(call: Invocation) -> int:
    """Log in with the CLI's own login; it is kept in state/claude and used by agents only."""
    return auth.login(call.home, call.environ, interactive=call.interactive)
