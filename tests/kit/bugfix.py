"""The bug-fix workflow on two versions of a package: the newer one is what the agent makes of the older one."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.app.build import open_store
from harness.model.journal import AttemptRow
from harness.model.verdict import Verdict
from harness.model.work import WorkItem
from tests.kit.loop import Yard, git, yard

PYTEST = f"{shlex.quote(sys.executable)} -m pytest -q -p no:cacheprovider -o addopts="
APPROVE = "verdict: approve\n\n## Verification\n\nRead the change, ran its test.\n"
IGNORED = "__pycache__/\n*.egg-info/\n"


@dataclass(frozen=True)
class Workshop:
    """A yard whose repository holds the older version, judged by its suite and every guard."""

    place: Yard
    repository: Path

    def attempt(self, item: str) -> AttemptRow:
        """The last one."""
        with self.place.store() as store:
            return store.attempts(item)[-1]

    def verdicts(self, item: str) -> Mapping[str, Verdict]:
        """By the name of the gate."""
        read = [Verdict.read(stored) for stored in self.attempt(item).verdicts]
        return {verdict.gate: verdict for verdict in read}

    def runs(self, item: str, gate: str) -> list[tuple[str, bool]]:
        """On what the gate ran, and whether that was green."""
        return [(run.on, run.green) for run in self.verdicts(item)[gate].runs]


@dataclass(frozen=True)
class Fix:
    """An item: the agent replaces all files by those of `tree` and commits. Played in the order of `priority`; `review`
    is what its reviewer writes, each time.
    """

    name: str
    tree: Path
    priority: int = 50
    review: str = APPROVE
    more: Mapping[str, Any] = field(default_factory=dict)

    def item(self) -> WorkItem:
        copy = (
            f"git rm -rq . && cp -a {shlex.quote(str(self.tree))}/. . && git add -A && git commit -qm 'Fix {self.name}'"
        )
        script = [{"run": ["sh", "-c", copy]}, {"complete": "fixed, with a test that shows it"}]
        return WorkItem(
            self.name, f"fix {self.name}", kind="bug-fix", priority=self.priority, max_attempts=1,
            extra={"script": script, "reviews": [self._reviewing()]}, **self.more,
        )  # fmt: skip

    def _reviewing(self) -> list[Mapping[str, Any]]:
        return [{"write": {"path": "result.md", "content": self.review}}, {"complete": "read it"}]


def tree(folder: Path, *layers: Path | Mapping[str, str]) -> Path:
    """A folder of files: trees and texts by path, the later over the earlier."""
    folder.mkdir(parents=True)
    for layer in layers:
        if isinstance(layer, Path):
            shutil.copytree(layer, folder, dirs_exist_ok=True)
            continue
        for name, text in layer.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    (folder / ".gitignore").write_text(IGNORED)
    return folder


@contextmanager
def workshop(folder: Path, old: Path, fixes: Sequence[Fix], *, suite: str = "") -> Iterator[Workshop]:
    """`suite` are the arguments of pytest for the whole suite, run where the work stands. What the gates pass is read by
    a reviewer, whose findings go back once.
    """
    app = folder / "repository"
    shutil.copytree(old, app)
    git(app, "init", "-q", "-b", "main")
    git(app, "add", "-A")
    git(app, "commit", "-qm", "The older version")
    gates = [
        {"name": "suite", "run": f"PYTHONPATH=. {PYTEST} {suite}".strip(), "retry": 0},
        {"name": "regression", "type": "regression", "run": f"PYTHONPATH=. {PYTEST} {{tests}}", "retry": 0},
        {"name": "clean", "type": "clean"},
    ]
    repositories = [{"name": "app", "path": str(app), "branch": "main", "gates": gates}]
    agents = {"default": {"type": "scripted"}}
    kinds = {"bug-fix": {"review": {"rounds": 1}}}
    with yard(folder / "yard", {"sessions": []}, agents=agents, repositories=repositories, kinds=kinds) as place:
        store = open_store(place.home)
        store.add([fix.item() for fix in fixes], actor="tests", now=datetime.now(UTC))
        store.close()
        yield Workshop(place, app)
