"""The SQL of the store, by name. Every statement stands in `queries/*.sql` under its name and a line on its purpose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
_MARK = "-- name: "


def parse(text: str) -> Mapping[str, str]:
    """Statements of one file by name; what stands before the first name is a comment of the file."""
    blocks = text.split(_MARK)[1:]
    return {name.strip(): sql.strip() for name, _, sql in (block.partition("\n") for block in blocks)}


def load(folder: Path) -> Mapping[str, str]:
    """All statements of a folder. Raises ValueError for a name used twice."""
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.sql")):
        statements = parse(file.read_text(encoding="utf-8"))
        if twice := found.keys() & statements.keys():
            raise ValueError(f"{file.name}: {', '.join(sorted(twice))} already exists in another file")
        found.update(statements)
    return found


SQL = load(HERE / "queries")
