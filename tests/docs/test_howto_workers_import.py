"""The pages about workers and imports do what they say: their commands run in their order."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.kit.command import Caller, home_at
from tests.kit.scripted import CLAIM, COMMIT, WRITE, scripted

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(name: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / "docs" / "howto" / name).read_text(encoding="utf-8"))


def commands(name: str) -> list[list[str]]:
    return [shlex.split(line) for kind, text in blocks(name) if not kind for line in text.splitlines()]


@pytest.mark.process
def test_the_page_about_imports_can_be_followed(tmp_path: Path) -> None:
    loop = Caller(home_at(tmp_path / "home"))
    texts = dict(blocks("import.md"))
    (loop.home.root / "items.json").write_text(texts["json"])
    (loop.home.root / "tasks.md").write_text(texts["markdown"])
    (loop.home.root / "tracker.json").write_text('{"issues": [{"key": "X-1", "summary": "from a program"}]}')
    lines = commands("import.md")
    assert len(lines) == 4
    for program, *words in lines:
        said = loop(*words)
        assert (program, said.code) == ("./loop", 0), (words, said)
    rows = loop("queue", "show", "--json").json["rows"]
    titles = {row["title"] for row in rows}
    assert titles == {
        *("Mend the parser", "Describe the parser", "from a program"),
        *("Say which file a warning is about", "Rename the flag"),
    }
    assert next(row for row in rows if row["id"] == "task-017")["priority"] == "low"


@pytest.mark.process
def test_the_page_about_workers_can_be_followed(tmp_path: Path) -> None:
    with scripted(tmp_path) as place:
        place.add("one", script=[WRITE, COMMIT, CLAIM])
        first, *rest = commands("workers.md")
        assert first == ["./loop", "worker", "--workers", "2"]
        assert [words[1] for words in rest] == ["worker", "queue", "status", "audit"]
        for _program, *words in rest:
            status, said = place.run(*words)
            assert status == (3 if words == ["status"] else 0), said
        assert place.item("one").outcome == "verified"
        assert json.loads(place.home.current_session.read_text())["status"] == "completed"
