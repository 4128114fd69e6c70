"""The commands of the page about backups do what it says, in its order."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.docs.pages import ROOT
from tests.kit.command import Caller, home_at

PAGE = ROOT / "docs" / "howto" / "backup.md"
ELSEWHERE = ("stop", "run")
"""Of a loop that runs; tests/lifecycle has them."""


def test_the_commands_of_the_page_work(tmp_path: Path) -> None:
    loop = Caller(home_at(tmp_path / "home"), now=datetime(2026, 1, 27, tzinfo=UTC))
    assert loop("queue", "add", '{"id": "a", "title": "a"}').code == 0
    blocks = re.findall(r"^```\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line.partition("#")[0].split() for block in blocks for line in block.splitlines()]
    commands = [words[1:] for words in lines if words[1] not in ELSEWHERE and "--run" not in words]
    assert len(commands) > 7
    for words in commands:
        loop.now = (loop.now or datetime.now(UTC)) + timedelta(minutes=1)
        said = loop(*words)
        assert said.code == 0, (words, said)
