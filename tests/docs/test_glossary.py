"""The words of the glossary are the words of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "glossary.md"
# harness.testing speaks of asyncio's own tasks.
SOURCES = sorted(p for p in (ROOT / "harness").rglob("*.py") if "testing" not in p.parts)
# Words with another meaning of their own: a program's version, what the API sends, to feed, a thread of the system.
FOREIGN = frozenset({"version", "message", "feed", "thread"})


def _forbidden() -> dict[str, str]:
    """Word that is not used -> the word that is."""
    found: dict[str, str] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 4:
            found |= {word.strip(" |"): cells[0] for word in cells[3].split(",") if word.strip(" |")}
    found.pop("not", None)
    return found


def _public_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            yield node.name


def _words(name: str) -> set[str]:
    parts = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)
    return {part.lower().removesuffix("s") for part in parts}


def test_the_glossary_forbids_something():
    assert {"job", "backlog", "feed", "daemon", "landing"} <= _forbidden().keys()


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_public_name_uses_a_word_that_the_glossary_replaces(path: Path):
    forbidden = _forbidden().keys() - FOREIGN
    assert [name for name in _public_names(path) if _words(name) & forbidden] == []


def test_what_the_glossary_points_to_exists():
    """The third column: a module or a name in one, a path, a key of config.yaml; at least the modules are checked."""
    pointed = re.findall(r"`((?:model|engine|store|git|ports)(?:\.\w+)+)`", PAGE.read_text(encoding="utf-8"))
    assert len(pointed) > 15
    assert [name for name in pointed if not _exists(name.split("."))] == []


def _exists(parts: list[str]) -> bool:
    """`engine.desk` is a module, `model.work.Lease` a name in one, `ports.Agent` one that a package hands on."""
    package = ROOT / "harness" / parts[0] / "__init__.py"
    if parts[1:] and parts[1] in _handed_on(package):
        return True
    for length in range(len(parts), 0, -1):
        file = ROOT.joinpath("harness", *parts[:length]).with_suffix(".py")
        if file.is_file():
            rest = parts[length:]
            return not rest or rest[0] in set(_public_names(file)) | {"ENDINGS"}
    return ROOT.joinpath("harness", *parts).is_dir()


def _handed_on(package: Path) -> set[str]:
    if not package.is_file():
        return set()
    tree = ast.parse(package.read_text(encoding="utf-8"))
    return {name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names}
