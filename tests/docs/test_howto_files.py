"""The pages about questions, the queue file and tasks can be followed, line by line, in their order."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.config.load import load
from harness.model.decision import Deadline
from harness.model.outcome import Asked, Disposition
from harness.model.work import WorkItem, WorkState
from harness.ports import LeaseRules, Settlement
from tests.docs.pages import ROOT
from tests.kit.command import ENVIRON, SCRIPTED, Caller, Said, home_at
from tests.kit.stores import NOW

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, kind: str = "") -> list[str]:
    text = (ROOT / "docs" / "howto" / page).read_text(encoding="utf-8")
    return [body for found, body in BLOCK.findall(text) if found == kind]


def follow(loop: Caller, lines: str) -> Iterator[tuple[str, Said]]:
    """Each command, as a person types it in the home; what is no command of ours is the shell's."""
    for line in lines.splitlines():
        program, *words = shlex.split(line)
        if program == "./loop":
            yield line, loop(*words)
        else:
            done = subprocess.run(
                ["sh", "-c", line], cwd=loop.home.root, env=ENVIRON, capture_output=True, text=True, check=False
            )
            yield line, Said(done.returncode, done.stdout, done.stderr)


def followed(loop: Caller, lines: str) -> list[Said]:
    said = list(follow(loop, lines))
    assert [(line, each) for line, each in said if each.code != 0] == []
    return [each for _, each in said]


def asking(loop: Caller, *names: str) -> None:
    """Items whose agents have asked."""
    store = loop.store()
    question = ("Which colour?", ("red", "blue"))
    for name in names:
        store.add([WorkItem(name, f"Paint the {name}")], actor="test", now=NOW)
        held = store.lease("test", LeaseRules("test", {}), NOW)
        assert held is not None
        waits = Disposition(WorkState.WAITING, "needs a person: Which colour?")
        asked = Settlement(Asked(*question), waits, question=question, deadline=Deadline())
        store.settle(held, asked, NOW)
    store.close()


def test_the_page_about_questions(tmp_path: Path) -> None:
    (config,) = blocks("decisions.md", "yaml")
    loop = Caller(home_at(tmp_path / "home", SCRIPTED + config))
    assert load(loop.home.root, ENVIRON).config.kind("review").decisions.on_timeout == "hold"
    asking(loop, "paint", "door")
    commands, by_file = blocks("decisions.md")
    assert "paint: red, but not too dark" in followed(loop, commands)[2].out
    *_, shown, closed = followed(loop, by_file)
    assert "ready" in shown.out
    assert "answer: blue" in closed.out
    assert "(file)" in closed.out
    assert loop("decision", "list", "--json").json["rows"] == []


def test_the_page_about_the_queue_file(tmp_path: Path) -> None:
    loop = Caller(home_at(tmp_path / "home"))
    (lines,) = blocks("queue-file.md")
    _, _, first, _, shown, _, last = followed(loop, lines)
    assert "updated: one" in first.out
    assert "critical" in shown.out
    assert "Second thing" in shown.out
    assert "queue: 2 cancelled" in last.out


def test_the_page_about_task_files(tmp_path: Path) -> None:
    loop = Caller(home_at(tmp_path / "home"))
    (task,) = blocks("task-files.md", "markdown")
    begin, use = blocks("task-files.md")
    followed(loop, begin)
    backlog = loop.home.pages / "backlog.md"
    backlog.write_text(backlog.read_text() + task)
    listed, *_, everything = followed(loop, use)
    assert "task-001  backlog  ready  high" in listed.out
    assert "completed  done" in everything.out
    log = (loop.home.pages / "completed.md").read_text()
    assert "### [task-001] Mend the parser" in log
    assert "- **summary**: completed by operator: mended in another repository" in log
