"""Templates for people: which there are, and which kinds of work begin with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from harness.config.load import load
from harness.model.home import Home
from harness.ops.answers import Rows
from harness.ops.initialise import SHIPPED_PROMPTS

SUFFIXES = (".md.j2", ".md")
COLUMNS = ("name", "kinds", "path")


def list_(home: Home, environ: Mapping[str, str], now: datetime) -> Rows:
    """The home's own templates win over the shipped ones of the same name. Raises ConfigError."""
    kinds = load(home.root, environ).config.kinds
    found = dict(_templates(SHIPPED_PROMPTS)) | dict(_templates(home.prompts))
    rows = [
        {"name": name, "kinds": [kind for kind, section in kinds.items() if section.template == name], "path": path}
        for name, path in sorted(found.items())
    ]
    return Rows("loop.prompts/1", rows, now, COLUMNS, empty="no templates")


def _templates(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and file; of two files of one name the `.md.j2` one, which is found first."""
    for suffix in reversed(SUFFIXES):
        for path in sorted(folder.glob(f"*{suffix}")):
            # What begins with an underscore is a part of others.
            if not path.name.startswith("_"):
                yield path.name.removesuffix(suffix), path
