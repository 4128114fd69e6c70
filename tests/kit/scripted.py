"""Real `./loop` processes whose agent plays the `script` of each item: no CLI, no model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.model.journal import Entry
from harness.rehearsal.stage import Rehearsal
from tests.kit.loop import Yard, make_home, make_repository, sessions

WRITE = {"write": {"path": "work.txt", "content": "done\n"}}
COMMIT = {"commit": "add work.txt"}
CLAIM = {"complete": "all of it"}
HANG = {"hang": True}
MARKED = {"run": ["touch", "begun"]}


@contextmanager
def scripted(folder: Path, *, gate: str = "test -f work.txt", **more: Any) -> Iterator[Yard]:
    """A yard that needs no right to run the CLI."""
    with Rehearsal(sessions()) as api:
        place = Yard(folder, api, prepared=True)
        agents = {"default": {"type": "scripted"}}
        make_home(place.home.root, make_repository(place.repository), gate=gate, agents=agents, **more)
        try:
            yield place
        finally:
            place.clear()


def told(place: Yard, kind: str) -> list[Entry]:
    """The journal's entries of a kind, oldest first."""
    with place.store() as store:
        return [entry for entry in store.journal(limit=10_000) if entry.kind == kind]
