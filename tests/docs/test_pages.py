"""Pages are true as far as a program can tell: links lead somewhere, commands exist, what is not built is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import HEADS, LINK, PATHS, ROOT, commands, named, pages, prose

UNBUILT_TITLE = "## Not built yet"
README = ROOT / "README.md"


@pytest.mark.parametrize("page", pages(), ids=named)
def test_links_lead_to_files(page: Path):
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    broken = [t for t in targets if t.partition("#")[0] and not (page.parent / t.partition("#")[0]).exists()]
    assert broken == []


@pytest.mark.parametrize("page", [p for p in pages() if p.parent.name != "reference"], ids=named)
def test_prose_has_at_most_120_characters_a_line(page: Path):
    assert [(number, line) for number, line in prose(page.read_text(encoding="utf-8")) if len(line) > 120] == []


@pytest.mark.parametrize("page", pages(), ids=named)
def test_commands_that_a_page_names_exist(page: Path):
    unknown = [c for c in commands(page.read_text(encoding="utf-8")) if c and c not in PATHS and c not in HEADS]
    assert unknown == []


def _recommends(page: Path) -> bool:
    return page.name not in {"CHANGELOG.md", "endings.md", "seed-commands.md"}


@pytest.mark.parametrize("page", [p for p in pages() if _recommends(p)], ids=named)
def test_commands_that_a_page_recommends_are_built(page: Path):
    text = page.read_text(encoding="utf-8").partition(UNBUILT_TITLE)[0]
    assert [c for c in commands(text) if c in PATHS and not PATHS[c].built] == []


def _listed_as_unbuilt() -> set[str]:
    section = README.read_text(encoding="utf-8").partition(UNBUILT_TITLE)[2].partition("\n## ")[0]
    bullets = section.partition("\n- flags")[0]
    found: set[str] = set()
    for token in re.findall(r"`([^`]+)`", bullets):
        head, _, rest = token.partition(" ")
        found |= {f"{head} {word}" for word in rest.split("|")} if rest else {head}
    return found


def test_the_readme_names_exactly_what_is_not_built():
    """A word alone stands for a command, or for a group of which nothing is built."""
    listed = _listed_as_unbuilt()
    unbuilt = {path for path, entry in PATHS.items() if not entry.built}
    half = {path.split()[0] for path, entry in PATHS.items() if entry.built and " " in path}
    wanted = {path if path.split()[0] in half else path.split()[0] for path in unbuilt}
    assert listed == wanted


def test_the_readme_begins_with_the_two_commands():
    text = README.read_text(encoding="utf-8")
    assert 0 < text.index("./loop demo ") < text.index("./scripts/test ") < text.index("./loop init")
    assert len(text.splitlines()) <= 90


def test_the_guide_for_contributors_is_short():
    assert len((ROOT / "AGENTS.md").read_text(encoding="utf-8").splitlines()) <= 80


def test_each_change_is_one_short_sentence():
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    changes = [line[2:] for line in lines if line.startswith("- ")]
    assert changes
    assert [c for c in changes if len(c.split()) > 25 or not c.endswith(".")] == []


def test_every_decision_is_listed_and_has_its_five_parts():
    folder = ROOT / "docs" / "decisions"
    records = sorted(p for p in folder.glob("[0-9]*.md"))
    assert [int(p.name[:4]) for p in records] == list(range(1, len(records) + 1))
    index = (folder / "README.md").read_text(encoding="utf-8")
    parts = ("Status", "Context", "Decision", "Alternatives", "Consequences")
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert record.name in index
        assert [part for part in parts if f"**{part}**" not in text] == [], record.name
