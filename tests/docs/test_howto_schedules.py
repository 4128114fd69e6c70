"""The page about schedules does what it says: its configuration loads, its commands run in their order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.kit.command import Caller, home_at

PAGE = ROOT / "docs" / "howto" / "schedules.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEAD = "isolation: {level: none}\nagents: {default: {type: scripted}}\nrepositories: [{name: app, path: app}]\n"


@pytest.mark.process
def test_the_page_can_be_followed(tmp_path: Path) -> None:
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    (config,) = (text for kind, text in blocks if kind == "yaml")
    commands = [line for kind, text in blocks if not kind for line in text.splitlines()]
    loop = Caller(home_at(tmp_path / "home", HEAD + config))
    assert len(commands) == 5
    for line in commands:
        program, *words = shlex.split(line)
        said = loop(*words)
        assert (program, said.code) == ("./loop", 0), (line, said)
    states = {row["name"]: row["state"] for row in said.json["rows"]}
    assert states == {"weekly-review": "added", "index": "done", "simplify": None}
    assert (loop.home.kept("index") / "runs.txt").read_text().count("\n") == 1
    assert (loop.home.command_logs / "schedule-index.log").exists()
