"""`queue import`: what people have elsewhere becomes items, all or none, and the same again changes nothing (H6, H25)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.model.errors import HarnessError, Usage
from harness.ops.trackers import TRACKERS, output_of
from harness.proc.ask import ask
from tests.kit.command import Caller, home_at

BEADS = Path(__file__).parents[1] / "data" / "trackers" / "bd-ready.json"


@pytest.fixture
def loop(tmp_path: Path) -> Caller:
    return Caller(home_at(tmp_path / "home"))


def queue(loop: Caller) -> dict[str, dict[str, object]]:
    rows = loop("queue", "show", "--all", "--json").json["rows"]
    return {row["id"]: row for row in rows}


def program(folder: Path, text: str, name: str = "tracker") -> Path:
    """A program of the user's on no path."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_beads_by_name_become_items_and_ten_times_is_once(loop: Caller, tmp_path: Path) -> None:
    program(tmp_path, f'test "$*" = "ready --json --limit 100000" && cat "{BEADS}"', "bd")
    loop.environ = {**loop.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    said = loop("queue", "import", "--from", "bd")
    assert (said.code, said.out) == (0, "3 added, 0 left as they are\n"), said
    for _ in range(9):
        assert loop("queue", "import", "--from", "bd").code == 1
    found = queue(loop)
    assert {name: (row["kind"], row["priority"], row["assigned"]) for name, row in found.items()} == {
        "app-a3f8": ("bug-fix", "critical", None),
        "app-b7c2": ("feature", "medium", "ada"),
        "app-c001.2": ("default", 95, None),
    }
    item = loop("queue", "show", "app-a3f8", "--json").json["item"]
    assert item["description"].endswith("\n\nAcceptance criteria:\nThe added test is green.")
    assert (item["labels"], item["external_ref"], item["source"]) == (["parser", "data-loss"], "gh-41", "command:bd")


def test_a_commands_output_goes_through_an_expression_and_the_command_sees_few_variables(
    loop: Caller, tmp_path: Path
) -> None:
    tracker = program(tmp_path, 'printf \'{"list": [{"n": 7, "t": "%s"}]}\' "$BD_RIG/$SECRET/$1"')
    loop.environ = {**loop.environ, "BD_ACTOR": "me", "BD_RIG": "app", "SECRET": "hidden"}
    said = loop(
        "queue", "import", "--command", f"{tracker} 'two words;'", "--items", '.list[] | {id: "n-\\(.n)", title: .t}'
    )
    assert said.code == 0, said
    assert queue(loop)["n-7"]["title"] == "app//two words;"


@pytest.mark.parametrize(
    ("command", "expression", "told"),
    [
        ("sh -c 'echo [1; echo no network >&2; exit 3'", ".[]", ("ended with 3", "no network")),
        ("no-such-program-anywhere", ".", ("cannot be started",)),
        ("'unfinished", ".", ("No closing quotation",)),
        ('echo \'[1, {"title": "x"}]\'', ".[", ("--items '.['",)),
        ('echo \'[1, {"title": "x"}]\'', ".[]", ("result 1: an item is an object, not 1", "nothing was imported")),
        ('echo \'[{"title": "x"}]\'', ".[].title", ("result 1 is no object: x",)),
        ("echo nothing", ".", ("--items '.'",)),
    ],
)
def test_what_is_wrong_with_a_command_is_said_and_nothing_is_added(
    loop: Caller, command: str, expression: str, told: tuple[str, ...]
) -> None:
    said = loop("queue", "import", "--command", command, "--items", expression)
    assert said.code in (1, 2), said
    assert all(text in said.err for text in told), said.err
    assert "Traceback" not in said.err
    assert queue(loop) == {}


def test_a_command_that_never_ends_or_never_stops_talking_is_killed(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"longer than 0\.3 s"):
        output_of("sh -c 'sleep 600 & sleep 600'", tmp_path, {"PATH": "/usr/bin:/bin"}, seconds=0.3)
    much = ask(["yes"], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, seconds=20, most_bytes=1 << 16)
    assert (much.too_long, len(much.out) < 1 << 18) == ("size", True)


def test_a_page_of_tasks_becomes_items_once(loop: Caller) -> None:
    (loop.home.root / "tasks").mkdir()
    page = loop.home.root / "tasks" / "backlog.md"
    page.write_text(
        "# Backlog\n\n### [task-001] Mend it\n- **type**: bug-fix\n- **priority**: high\n- **assigned**: unassigned\n"
        "- **description**: It is broken.\n- **branch**: mend-it\n\n### [task-002] Old\n- **completed**: 2026-01-01\n\n"
        "## Small\n- [ ] Write the page\n- [x] Rest\n"
    )
    assert loop("queue", "import", "tasks/backlog.md", "--dry-run").out.startswith("2 would be added")
    assert loop("queue", "import", "tasks/backlog.md").out == "2 added, 0 left as they are\n"
    assert loop("queue", "import", "tasks/backlog.md").code == 1
    found = queue(loop)
    assert (found["task-001"]["kind"], found["task-001"]["priority"]) == ("bug-fix", "high")
    assert [row["title"] for row in found.values()] == ["Mend it", "Write the page"]
    item = loop("queue", "show", "task-001", "--json").json["item"]
    assert (item["branch"], item["task_branch"]) == (None, "mend-it")


def test_every_wrong_record_is_named_with_its_place(loop: Caller) -> None:
    lines = ['{"title": "good"}', "", '{"title": ""}', '{"id": "../x", "title": "bad"}']
    said = loop("queue", "import", "-", stdin="\n".join(lines))
    assert said.code == 2
    assert "line 3: " in said.err
    assert "1 more are wrong" in said.err
    assert "line 4 (../x): " in said.err
    assert loop("queue", "import", "-", stdin='{"title": "a"}\n{"title": ').err.startswith("error: line 2: ")
    page = "### [a b] Not an id\n"
    assert "line 1 (a b): " in loop("queue", "import", "-", stdin=page).err
    assert "no task and is no JSON" in loop("queue", "import", "-", stdin="hello\n").err
    assert queue(loop) == {}


def test_items_come_from_one_place(loop: Caller) -> None:
    for words in ([], ["x.json", "--from", "bd"], ["--command", "x", "--from", "bd"]):
        said = loop("queue", "import", *words)
        assert (said.code, "one place" in said.err) == (2, True)


def test_an_expression_also_chooses_from_a_file(loop: Caller) -> None:
    (loop.home.root / "issues.json").write_text(json.dumps({"issues": [{"key": "X-1", "summary": "do it"}]}))
    expression = ".issues[] | {id: .key, title: .summary}"
    assert loop("queue", "import", "issues.json", "--items", expression).code == 0
    assert queue(loop)["X-1"]["title"] == "do it"


def test_the_known_trackers_are_commands_and_expressions() -> None:
    assert {name: tracker.command.split()[0] for name, tracker in TRACKERS.items()} == {"bd": "bd"}
    with pytest.raises(Usage, match="empty"):
        output_of(" ", Path(), {})
