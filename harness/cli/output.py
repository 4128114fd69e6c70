"""What is printed: tables and lines for people, envelopes for programs (contract 3). Data on stdout, nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harness.cli.invocation import Invocation
from harness.model.text import one_line, plain
from harness.ops.answers import Answer, Change, Document, Rows, Stream, jsonable

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
PIPED_WIDTH = 0
"""No limit: what is piped is cut by nobody but its reader."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where lines for people go: is it a terminal, may it be coloured, how wide is it (0 = no limit)."""

    terminal: bool = False
    colour: bool = False
    width: int = PIPED_WIDTH

    def style(self, text: str, *styles: str) -> str:
        if not self.colour or not styles:
            return text
        return f"\x1b[{';'.join(STYLES[style] for style in styles)}m{text}\x1b[0m"


def screen(call: Invocation) -> Screen:
    if not call.terminal:
        return Screen()
    import shutil  # noqa: PLC0415 - loads three kinds of compression, which nobody who reads through a pipe needs

    return Screen(True, call.colour, shutil.get_terminal_size().columns)


def show(call: Invocation, answer: Answer, text: Callable[[Any, Screen], Iterable[str]] | None = None) -> int:
    """Print the answer as it was asked for; its exit code."""
    if isinstance(answer, Stream):
        return _stream(call, answer, text)
    if call.as_json:
        _json(call, envelope(answer))
    else:
        _lines((text or _plainly)(answer, screen(call)))
    for note in answer.notes:
        sys.stderr.write(f"note: {plain(note)}\n")
    return answer.exit_code


def envelope(answer: Document | Rows | Change) -> Mapping[str, Any]:
    """The four shapes of contract 3, without the error (see `errors`)."""
    match answer:
        case Document():
            return {"schema": answer.schema, **jsonable(answer.facts)}
        case Rows():
            head = {"schema": answer.schema, "as_of": jsonable(answer.as_of)}
            return {**head, "rows": jsonable(answer.rows), "truncated": answer.truncated}
        case Change():
            facts = {"target": answer.target, "applied": answer.applied}
            return {**facts, "dry_run": answer.dry_run, "detail": answer.detail}


def _stream(call: Invocation, answer: Stream, text: Callable[[Any, Screen], Iterable[str]] | None) -> int:
    for row in answer.rows:
        if call.as_json:
            _json(call, {"schema": answer.schema, **jsonable(row)})
        else:
            _lines((text or _plainly)(row, screen(call)))
        sys.stdout.flush()
    return 0


def _json(call: Invocation, document: Mapping[str, Any]) -> None:
    line = json.dumps(document, ensure_ascii=False)
    if call.jq is not None:
        from harness.cli.jq import filtered  # noqa: PLC0415 - a process of its own, only for those who ask

        sys.stdout.write(filtered(line, call.jq))
        return
    sys.stdout.write(line + "\n")


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")


def _plainly(answer: Any, where: Screen) -> Iterable[str]:
    match answer:
        case Rows():
            return table(answer, where)
        case Change():
            return plain(answer.detail).splitlines()
        case Document():
            return facts(jsonable(answer.facts))
        case _:
            return facts(jsonable(answer))


def table(answer: Rows, where: Screen) -> list[str]:
    """Aligned columns; on a terminal with a head and cut to its width, else the same columns bare of both."""
    columns = answer.columns or tuple(answer.rows[0] if answer.rows else ())
    if not answer.rows:
        return [answer.empty] if where.terminal else []
    cells = [[cell(row.get(column)) for column in columns] for row in answer.rows]
    head = [column.replace("_", " ").upper() for column in columns]
    widths = [max(len(row[n]) for row in [*cells, *([head] if where.terminal else [])]) for n in range(len(columns))]
    lines = [
        _cut("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)), where) for row in cells
    ]
    if where.terminal:
        title = "  ".join(text.ljust(width) for text, width in zip(head, widths, strict=True))
        lines.insert(0, where.style(_cut(title, where), "bold"))
    return [*lines, "… there are more (--limit N)"] if answer.truncated and where.terminal else lines


def _cut(line: str, where: Screen) -> str:
    line = line.rstrip()
    return line if not where.width or len(line) <= where.width else f"{line[: where.width - 1]}…"


def cell(value: Any) -> str:
    """One value on one line, as people read it; a minus for nothing."""
    match value:
        case None | "" | () | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.1f}"
        case datetime():
            return local(value)
        case list() | tuple():
            return one_line(", ".join(cell(each) for each in value))
        case Mapping():
            return one_line(json.dumps(jsonable(value), ensure_ascii=False))
        case _:
            return one_line(str(value))


def facts(document: Mapping[str, Any]) -> list[str]:
    """`name  value`, aligned; what is nested stands below its name."""
    width = max((len(str(name)) for name in document), default=0)
    lines: list[str] = []
    for name, value in document.items():
        if isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(v, Mapping) for v in value):
            lines.append(name)
            lines += [f"  {'  '.join(f'{key}={cell(each)}' for key, each in row.items())}" for row in value]
        else:
            lines.append(f"{name:<{width}}  {cell(value)}")
    return lines


def local(at: datetime) -> str:
    """Local time with offset, as in iteration.log."""
    return at.astimezone().isoformat(timespec="seconds")


def ago(seconds: float) -> str:
    """A span for people: 4s, 12m, 3h05m, 2d4h."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, second = divmod(rest, 60)
    if days:
        return f"{days}d{hours}h"
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m" if minutes else f"{second}s"
