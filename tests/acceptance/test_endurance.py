"""Many iterations of the real worker, store, workspaces, gate and integration; only the agent is scripted (H14).

More of them by hand: `make soak`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.app.build import open_store
from harness.app.loop import run_loop
from harness.config.load import load
from harness.engine.worker import Course
from harness.model.home import Home
from harness.model.work import WorkItem
from tests.kit.sampling import Sampler, least, slope
from tests.kit.user import git, repository

pytestmark = [pytest.mark.slow, pytest.mark.night]

ITERATIONS = 200
SETTLED = 50
SLOPE_BYTES = 20 * 1024
THIRD = 50
CONFIG = """\
harness: {{iteration_delay: 0, interrupt_check_interval: 1}}
agents: {{default: {{type: scripted}}}}
repositories:
  - {{name: app, path: {path}, branch: main, gates: [{{name: tests, run: "true"}}]}}
"""


def steps(number: int) -> list[Mapping[str, Any]]:
    return [
        {"say": "I begin."},
        {"write": {"path": f"counted/{number}.txt", "content": f"{number}\n"}},
        {"commit": f"Count to {number}"},
        {"complete": "counted"},
    ]


def test_two_hundred_iterations_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IS_SANDBOX", "1")
    environ = dict(os.environ)
    home = Home(tmp_path / "house")
    home.root.mkdir()
    repo = repository(tmp_path / "app")
    home.config.write_text(CONFIG.format(path=repo))
    store = open_store(home)
    items = [WorkItem(f"n-{n:03}", f"Count to {n}", extra={"script": steps(n)}) for n in range(ITERATIONS)]
    store.add(items, actor="tests", now=datetime.now(UTC))
    store.close()
    sampler = Sampler()
    try:
        ended = run_loop(load(home.root, environ), Course(drain=True, iteration_delay_seconds=0), sampler)
    finally:
        os.environ.update(environ)
    assert sampler.wrong == []
    assert ended.status == 0
    assert ended.outcomes == {"verified": ITERATIONS}
    assert git(repo, "rev-list", "--count", "--first-parent", "main") == str(ITERATIONS + 1)
    late = sampler.samples[SETTLED:]
    spent = (late[-1].at - late[0].at).total_seconds() / (len(late) - 1)
    growth = slope([sample.rss for sample in late])
    figures = f"{spent * 1000:.0f} ms and {growth / 1024:.1f} KiB an iteration, {late[-1].rss >> 20} MiB at the end"
    sys.stdout.write(f"\n{figures}\n")
    assert least(late[-THIRD:], "descriptors") <= least(late[:THIRD], "descriptors")
    assert least(late[-THIRD:], "children") <= least(late[:THIRD], "children")
    assert growth < SLOPE_BYTES, figures
    assert list((home.state / "home").glob("*")) == []
    assert [path for path in home.worktrees.glob("*") if path.name != ".meta"] == []
