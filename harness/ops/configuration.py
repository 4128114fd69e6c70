"""config.yaml for people: what is in force and where it comes from, what is wrong, what is allowed (H3, H34)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from harness.config.load import FILE, examine, load
from harness.config.show import schema_json
from harness.config.show import show as rows_of
from harness.model.errors import ConfigError
from harness.model.home import Home
from harness.ops.answers import Document, Rows

BAD = ConfigError.status


def show(home: Home, environ: Mapping[str, str], now: datetime, *, origin: bool = False) -> Rows:
    """Every value in force, secrets masked. Raises ConfigError."""
    rows = [{"key": row.key, "value": row.value, "origin": row.origin} for row in rows_of(load(home.root, environ))]
    return Rows("loop.config/1", rows, now, ("key", "value", "origin") if origin else ("key", "value"))


def check(home: Home, environ: Mapping[str, str]) -> Document:
    """Every mistake at once; exit 78 if there is one. Raises ConfigError if there is no file."""
    problems = examine(home.root, environ)
    listed = [{"place": each.place, "key": each.key, "message": each.message} for each in problems]
    facts = {"file": home.root / FILE, "valid": not problems, "problems": listed}
    return Document("loop.config-check/1", facts, exit_code=BAD if problems else 0)


def schema() -> Document:
    return Document("loop.config-schema/1", schema_json())
