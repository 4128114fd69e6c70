"""Contract 2 and 8: a command's exit status is the verdict, its output is kept, nothing it starts lives on."""

import asyncio
import hashlib
import os
import secrets
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.gates.command import CommandGate
from harness.gates.shell import MOST_TAIL
from harness.model.errors import DiskFull, HarnessError
from harness.model.work import WorkItem
from harness.ports import GateCase
from harness.proc.run import run_contained

pytestmark = pytest.mark.process
MARK = "GATE_TEST_MARK"


@pytest.fixture
def mark():
    return secrets.token_hex(8)


@pytest.fixture
def case(tmp_path, mark):
    folder = tmp_path / "bench with space"
    folder.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), MARK: mark}
    return GateCase(
        WorkItem("a", "t"), folder, "c0ffee", environment, tmp_path / "logs" / "g.log", tmp_path / "scratch"
    )


def gate(run, *, seconds=20.0, runner=run_contained):
    return CommandGate("tests", runner, run=run, timeout_seconds=seconds)


def living(mark):
    """Processes whose environment or arguments carry the mark, zombies left out."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                told = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in told:
                found.append(int(folder.name))
    return found


async def test_the_search_for_survivors_finds_one(mark):
    survivor = await asyncio.create_subprocess_exec("sleep", "60", env={"PATH": os.environ["PATH"], MARK: mark})
    assert living(mark) == [survivor.pid]
    survivor.kill()
    await survivor.wait()


@pytest.mark.parametrize(
    ("run", "verdict"),
    [
        ("true", "passed"),
        ("exit 1", "failed"),
        ("exit 125", "failed"),
        ("kill -9 $$", "failed"),
        ("no-such-program-at-all", "broken"),
        ("./not-executable", "broken"),
        ("exit 126", "broken"),
    ],
)
async def test_the_exit_status_is_the_verdict(case, run, verdict):
    (case.folder / "not-executable").write_text("#!/bin/sh\n")
    found = await gate(run).judge(case)
    assert (found.gate, found.verdict, found.commit) == ("tests", verdict, "c0ffee")


async def test_the_output_is_kept_and_its_end_told(case):
    found = await gate("echo first; seq 20000; echo \033[31mlast >&2; exit 3").judge(case)
    kept = Path(found.log).read_text()
    assert kept.startswith("first\n1\n2\n")
    assert found.log == str(case.log)
    assert found.tail.endswith("last\n[exit 3]")
    assert len(found.tail) < MOST_TAIL + 60


async def test_the_run_is_told_with_the_hash_of_its_whole_output(case):
    (run,) = (await gate("seq 20000; exit 3").judge(case)).runs
    assert (run.on, run.commit, run.exit_code, run.timed_out) == ("head", "c0ffee", 3, False)
    assert run.sha256 == hashlib.sha256(case.log.read_bytes()).hexdigest()


async def test_the_log_is_of_one_run_only(case):
    await gate("echo the first").judge(case)
    found = await gate("echo the second").judge(case)
    assert Path(found.log).read_text() == "the second\n"


async def test_it_runs_in_the_bench_with_its_own_environment_only(case, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    found = await gate('pwd; env; test -z "$ANTHROPIC_API_KEY" && test -z "$HARNESS_DOCUMENT"').judge(case)
    assert found.verdict == "passed"
    assert found.tail.startswith(str(case.folder))
    assert "sk-secret" not in found.tail


async def test_a_document_is_named_to_the_gate(case, tmp_path):
    document = tmp_path / "result.md"
    document.write_text("## Findings\n")
    found = await gate('grep -q "^## Findings" "$HARNESS_DOCUMENT"').judge(replace(case, document=document))
    assert found.verdict == "passed"


@pytest.mark.parametrize(
    "hang",
    [
        "sleep 600",
        "trap '' TERM INT HUP; while :; do sleep 600; done",
        "(setsid sleep 600 &) ; sleep 600",
        "kill -STOP $$",
    ],
)
async def test_a_hanging_gate_has_failed_and_is_gone(case, mark, hang):
    found = await gate(hang, seconds=0.5).judge(case)
    assert found.verdict == "failed"
    assert "not finished after 0.5 s" in found.tail
    assert living(mark) == []


@pytest.mark.parametrize(
    "leave",
    [
        "sleep 600 &",
        "nohup sleep 600 >/dev/null 2>&1 &",
        "setsid sleep 600 >/dev/null 2>&1 &",
        f"{shlex.quote(sys.executable)} -c 'import os,time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); time.sleep(600)'",
        "for n in 1 2 3 4 5 6 7 8; do (while :; do sleep 0.01 & wait; done) & done",
    ],
)
async def test_what_a_gate_leaves_behind_is_ended(case, mark, leave):
    found = await gate(f"{leave}\nexit 0").judge(case)
    assert found.verdict == "passed"
    assert living(mark) == []


async def test_a_cancelled_gate_leaves_nothing(case, mark):
    begun = case.folder / "begun"
    os.mkfifo(begun)
    running = asyncio.create_task(gate("echo > begun; sleep 600").judge(case))
    async with asyncio.timeout(10):
        await asyncio.to_thread(begun.read_text)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert living(mark) == []


async def test_a_gate_that_cannot_be_run_at_all_is_broken(case):
    async def refuses(argv, **_):
        raise HarnessError("there is no agent-init")

    found = await gate("true", runner=refuses).judge(case)
    assert (found.verdict, found.tail) == ("broken", "there is no agent-init")


async def test_a_missing_bench_is_broken_not_passed(case):
    case.folder.rmdir()
    assert (await gate("true").judge(case)).verdict == "broken"


async def test_a_full_disk_is_no_verdict(case):
    async def full(argv, **_):
        raise DiskFull("no space left")

    with pytest.raises(DiskFull):
        await gate("true", runner=full).judge(case)
