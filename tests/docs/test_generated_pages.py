"""Pages made from tables say what the tables say."""

from __future__ import annotations

import pytest

from harness.model.outcome import ENDINGS
from harness.model.reference import PAGES
from harness.model.work import TRANSITIONS
from tests.docs.pages import ROOT


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str):
    path = ROOT / "docs" / "reference" / f"{name}.md"
    made = f".venv/bin/python -m harness.model.reference {name} > docs/reference/{name}.md"
    assert path.read_text(encoding="utf-8") == PAGES[name](), made


def test_every_ending_has_one_row():
    rows = [line.split("`")[1] for line in PAGES["endings"]().splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(ENDINGS)


def test_only_the_section_of_the_agent_is_counted():
    sections = PAGES["endings"]().split("\n## Cause ")[1:]
    assert [s.split("\n")[0] for s in sections if "Not counted." not in s] == ["agent"]


def test_the_state_diagram_has_every_legal_move_and_no_other():
    drawn = {tuple(line.split(" --> ")) for line in PAGES["states"]().splitlines() if " --> " in line}
    legal = {(str(old), str(new)) for old, targets in TRANSITIONS.items() for new in targets}
    assert {(old.strip(), new) for old, new in drawn} == legal | {("[*]", "ready")}
