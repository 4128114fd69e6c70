"""Versions of everything that answers for a result, without importing any of it."""

from __future__ import annotations

import importlib.util
import platform
import re
import sqlite3
from pathlib import Path

from harness import __version__
from harness.ops.answers import Document
from harness.store.schema import VERSION as SCHEMA

_ASSIGNED = re.compile(r"^__\w*version__\s*=\s*[\"']([^\"']+)", re.MULTILINE)


def version() -> Document:
    facts = {
        "program": __version__,
        "python": platform.python_version(),
        "claude_cli": _of_sdk("_cli_version.py"),
        "claude_sdk": _of_sdk("_version.py"),
        "sqlite": sqlite3.sqlite_version,
        "schema_version": SCHEMA,
    }
    return Document("loop.version/1", facts)


def _of_sdk(file: str) -> str | None:
    """A version that the SDK's folder states; importing the SDK would cost 1-2 s. None if it is not installed."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    path = Path(spec.origin).parent / file if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        return None
    found = _ASSIGNED.search(path.read_text(encoding="utf-8"))
    return found[1] if found else None
