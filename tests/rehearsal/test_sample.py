"""The sample repository, and the shipped scenarios played on it by the real CLI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.model.errors import Refused
from harness.rehearsal.sample import FILES, GATES, make_sample
from harness.rehearsal.stage import Rehearsal
from tests.kit.cli import claude
from tests.kit.desk import desk_flags

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SUITE = "python3 -m unittest -q"


def passes(command, folder):
    """Whether a gate's command passes in `folder`."""
    environment = {**os.environ, "HARNESS_DOCUMENT": str(folder / "result.md"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, check=False, timeout=30
    )
    return done.returncode == 0


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def play(scenario, item, folder):
    """One work item as the CLI alone does it, in the sample."""
    make_sample(folder / "work")
    with Rehearsal(EXAMPLES / scenario) as stage:
        prompt = f"Work item {item}: please do it."
        run = claude(prompt, stage.url, folder, *desk_flags(folder), ENABLE_TOOL_SEARCH="false")
    calls = [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]
    return run, calls, stage


def test_the_sample_is_one_commit_that_is_the_same_everywhere(tmp_path):
    for name in ("one", "two"):
        make_sample(tmp_path / name)
    first, second = (git(tmp_path / name, "rev-parse", "main") for name in ("one", "two"))
    assert first == second
    assert git(tmp_path / "one", "status", "--porcelain") == ""
    assert git(tmp_path / "one", "ls-files").splitlines() == sorted(FILES)


def test_the_sample_is_red_by_every_gate(tmp_path):
    make_sample(tmp_path / "sample")
    assert [passes(command, tmp_path / "sample") for command in (SUITE, *GATES.values())] == [False] * 5


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(Refused, match="not empty"):
        make_sample(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.process
def test_another_program_can_make_the_sample_and_learn_its_gates(tmp_path):
    command = [sys.executable, "-m", "harness.rehearsal.sample", str(tmp_path / "sample")]
    done, again = (subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False) for _ in range(2))
    assert (done.returncode, json.loads(done.stdout)) == (0, dict(GATES))
    assert (again.returncode, "not empty" in again.stderr) == (1, True)


@pytest.mark.cli
@pytest.mark.parametrize("item", GATES)
def test_the_demo_does_its_work_in_four_turns(tmp_path, item):
    run, calls, stage = play("demo.yaml", item, tmp_path)
    work = tmp_path / "work"
    assert (run.exit_code, [call["status"] for call in calls]) == (0, ["done"])
    results = [row for event in run.of("user") for row in event["message"]["content"]]
    assert [row["content"] for row in results if row.get("is_error")] == []
    assert len(stage.bill) == 4
    assert passes(GATES[item], work)
    document = item == "demo-review"
    assert int(git(work, "rev-list", "--count", "HEAD")) == (1 if document else 2)
    assert git(work, "status", "--porcelain") == ("?? result.md" if document else "")


@pytest.mark.cli
@pytest.mark.parametrize("item", GATES)
def test_the_liar_says_done_and_no_gate_believes_it(tmp_path, item):
    run, calls, _stage = play("liar.yaml", item, tmp_path)
    assert (run.exit_code, [call["status"] for call in calls]) == (0, ["done"])
    assert not passes(GATES[item], tmp_path / "work")


@pytest.mark.cli
def test_after_both_fixes_the_whole_suite_is_green(tmp_path):
    make_sample(tmp_path / "work")
    with Rehearsal(EXAMPLES / "demo.yaml") as stage:
        for item in ("demo-sweep", "demo-service"):
            assert not passes(SUITE, tmp_path / "work")
            claude(f"Work item {item}", stage.url, tmp_path, *desk_flags(tmp_path), ENABLE_TOOL_SEARCH="false")
    assert passes(SUITE, tmp_path / "work")
