"""`integration:` of a repository: an order that cannot work is refused where it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.config.load import load
from harness.model.errors import ConfigError


def home(folder: Path, integration: str) -> Path:
    (folder / "config.yaml").write_text(
        f"repositories:\n  - {{name: app, path: {folder}, integration: {integration}}}\n"
    )
    return folder


def test_by_default_work_is_merged_then_an_agent_then_a_person(tmp_path: Path) -> None:
    section = load(home(tmp_path, "{}"), {}).config.repositories[0].integration
    assert (section.conflicts, section.batch, section.trailers) == (("merge", "agent", "person"), 1, ())


def test_the_order_is_kept_as_written(tmp_path: Path) -> None:
    text = "{conflicts: [rebase, merge, union, regenerate, person], union: [A.md], regenerate: [{paths: [x], run: y}]}"
    ways = load(home(tmp_path, text), {}).config.repositories[0].integration.ways()
    assert ways.alone == ("rebase", "merge", "union", "regenerate")
    assert (ways.asking, ways.union, ways.regenerate) == (("person",), ("A.md",), ((("x",), "y"),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{conflicts: []}", "begins with rebase or merge"),
        ("{conflicts: [agent]}", "begins with rebase or merge"),
        ("{conflicts: [merge, merge]}", "twice"),
        ("{conflicts: [merge, agent, rerere]}", "agent and person last"),
        ("{conflicts: [rebase, rerere]}", "name merge before them"),
        ("{conflicts: [merge, union]}", "need both"),
        ("{union: [A.md]}", "need both"),
        ("{conflicts: [merge, magic]}", "magic"),
        ("{batch: 0}", "batch"),
        ("{trailers: [no trailer]}", "trailers"),
        ('{prefix: "{kind}: "}', "only {type} and {id}"),
        ('{prefix: "a\\nb"}', "one line"),
        ("{trailers: ['Harness-Item: x']}", "by the loop itself"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(home(tmp_path, text), {})
    assert said in f"{refused.value.message}\n{refused.value.cause}"
