"""The pages about order and sameness do what they say: their commands run in their order, their configuration loads."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.docs.pages import ROOT
from tests.kit.command import Caller, home_at

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEAD = "isolation: {level: none}\nagents: {default: {type: scripted}}\n"


def blocks(name: str, kind: str) -> list[str]:
    text = (ROOT / "docs" / "howto" / name).read_text(encoding="utf-8")
    return [body for found, body in BLOCK.findall(text) if found == kind]


def followed(loop: Caller, commands: str) -> dict[str, str]:
    """What each command said, by its line."""
    said = {}
    for line in commands.splitlines():
        program, *words = shlex.split(line)
        answer = loop(*words)
        assert (program, answer.code) == ("./loop", 0), (line, answer)
        said[line] = answer.out
    return said


def test_the_page_about_order_can_be_followed(tmp_path: Path) -> None:
    (config,) = blocks("order.md", "yaml")
    (commands,) = blocks("order.md", "")
    loop = Caller(home_at(tmp_path / "home", HEAD + config))
    said = followed(loop, commands)
    assert "the scopes of schema and index overlap in app" in said["./loop queue check"]
    assert "skipped: depends on schema (parked)" in said["./loop why reader"]
    states = {row["id"]: row["state"] for row in loop("queue", "show", "--all", "--json").json["rows"]}
    assert states == {"schema": "ready", "reader": "cancelled", "report": "ready", "index": "ready"}


def test_the_page_about_sameness_can_be_followed(tmp_path: Path) -> None:
    (feed,) = blocks("sameness.md", "json")
    one, several = blocks("sameness.md", "")
    loop = Caller(home_at(tmp_path / "home", HEAD + "repositories: [{name: app, path: app}]\n"))
    (loop.home.root / "feed.json").write_text(feed)
    said = followed(loop, one)
    assert "found 2 times" in said["./loop why crash"]
    followed(loop, several)
    assert loop("queue", "import", "feed.json").code == 1
    rows = loop("queue", "show", "--json").json["rows"]
    assert [(row["id"], row["priority"]) for row in rows if row["id"] == "crash"] == [("crash", "high")]
    assert len(rows) == 3
