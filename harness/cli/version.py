"""`./loop version`."""

from __future__ import annotations

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.ops import versions
from harness.ops.answers import Document


@command(examples=("./loop version", "./loop version --jq .program"))
def version(_call: Invocation) -> Document:
    """Versions of program, Python, Claude CLI and SDK, SQLite, database schema."""
    return versions.version()
