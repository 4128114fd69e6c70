"""One event as one line: `2026-11-21T04:05:06+01:00 LEVEL message key=value …` (contract 2, H35)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harness.model.text import one_line
from harness.telemetry.names import Level

MOST_VALUE = 400
_LOUD = re.compile("ERROR|SUCCESS")
_SUCCESS = re.compile(r"completed\s+successfully", re.IGNORECASE)
_BARE = re.compile(r"""[^\s"'=\\]+""")
_COLOURS: Mapping[Level, str] = {Level.SUCCESS: "32", Level.WARN: "33", Level.ERROR: "31", Level.DEBUG: "2"}


@dataclass(frozen=True, slots=True)
class Record:
    """What is logged. `message` is ours or made quiet by whoever made it; `facts` may hold anything."""

    at: datetime
    level: Level
    kind: str
    message: str
    facts: Mapping[str, Any]
    detail: int = 0


def line(record: Record, *, colour: bool = False) -> str:
    """The record as a person reads it, without line end."""
    level = record.level.value
    if colour and record.level in _COLOURS:
        level = f"\x1b[{_COLOURS[record.level]}m{level}\x1b[0m"
    shown = (
        f"{quiet(one_line(str(key), 60))}={_value(fact)}" for key, fact in record.facts.items() if not _nothing(fact)
    )
    return " ".join((local(record.at), level, record.message, *shown))


def local(at: datetime) -> str:
    """Local time with offset, so that `date +%F` finds today's lines."""
    return at.astimezone().isoformat(timespec="seconds")


def quiet(text: str) -> str:
    """Words that scripts count on a line stand there only when we mean them (H35)."""
    return _SUCCESS.sub("completed_successfully", _LOUD.sub(lambda found: found[0].lower(), text))


def _nothing(fact: Any) -> bool:
    return fact is None or (isinstance(fact, str | list | tuple | dict) and not fact)


def _value(fact: Any) -> str:
    text = quiet(one_line(_text(fact), MOST_VALUE))
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _text(fact: Any) -> str:
    match fact:
        case bool():
            return "yes" if fact else "no"
        case float():
            return f"{fact:.3f}".rstrip("0").rstrip(".")
        case datetime():
            return local(fact)
        case list() | tuple() if all(isinstance(part, str | int) for part in fact):
            return ",".join(str(part) for part in fact)
        case list() | tuple() | Mapping():
            return json.dumps(fact, ensure_ascii=False, default=str)
        case _:
            return str(fact)
