"""Reading the project's own pages: which there are, their links, the commands they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from harness.cli.table import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "AGENTS.md")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^ *```.*?^ *```$|`[^`]+`", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|[\s`(])\./loop((?: +[^\n`;|&#·,()]*)?)")
WITH_VALUE = frozenset({"-C", "--directory", "--jq", "--timeout"})
PATHS = {entry.path: entry for entry in COMMANDS}
HEADS = {path.split()[0] for path in PATHS}


def pages() -> list[Path]:
    """Every page for readers; copies of session files are none."""
    found = [ROOT / name for name in TOP]
    return [*found, *sorted(p for p in (ROOT / "docs").rglob("*.md") if "sessions" not in p.relative_to(ROOT).parts)]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Lines that people wrote as sentences: no tables, no code; numbered from 1."""
    code = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            code = not code
        elif not code and not line.startswith("|"):
            yield number, line


def commands(text: str) -> Iterator[str]:
    """What follows each `./loop` in code: the path of the command, as far as it is one; "" for the loop itself."""
    for found in CODE.finditer(text):
        for words in COMMAND.findall(found[0]):
            yield path_of(words.split())


def path_of(words: list[str]) -> str:
    """The longest command at the beginning of `words`; else its first word, which then is no command."""
    rest = list(words)
    while rest and rest[0].startswith("-"):
        del rest[: 2 if rest[0] in WITH_VALUE else 1]
    plain = list(takewhile(re.compile(r"[a-z][a-z-]*").fullmatch, rest[:2]))
    for length in (2, 1):
        if " ".join(plain[:length]) in PATHS:
            return " ".join(plain[:length])
    return " ".join(plain)
