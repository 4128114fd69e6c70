"""One command, and nothing of it afterwards (architecture 6: gates; issue A5)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from harness.model.errors import Busy, HarnessError
from harness.proc.contain import Record, read_record
from harness.proc.identity import identify
from harness.proc.run import LOG_BYTES, run_contained
from harness.proc.tree import descendants, end_marked, marked
from tests.lifecycle.zoo.den import Den, wait_until

pytestmark = pytest.mark.process


@pytest.fixture
def run(tmp_path):
    def start(*argv: str, timeout_seconds: float = 30, **options: Any):
        settings = {
            "cwd": tmp_path, "env": {"PATH": os.environ["PATH"]}, "log": tmp_path / "gate.log",
            "session": f"gate_{tmp_path.name}",  # others run at the same time, and leftovers are killed by this name
            "folder": tmp_path / "run", "grace_seconds": 0.2,
        }  # fmt: skip
        return run_contained(argv, timeout_seconds=timeout_seconds, **settings | options)

    return start


@pytest.fixture
def den(tmp_path):
    den = Den(tmp_path)
    den.spec = replace(den.spec, lock=tmp_path / "run" / "gate.lock")
    yield den
    den.clear()


async def test_both_outputs_and_the_exit_code_come_back(run, tmp_path):
    done = await run("sh", "-c", "echo out; echo err >&2; pwd; exit 3")
    assert (done.code, done.signal, done.timed_out, done.contained) == (3, None, False, "exact")
    assert done.tail == f"out\nerr\n{tmp_path}\n"
    assert done.seconds < 10


async def test_tail_is_the_end_of_the_output_even_beyond_the_limit_of_the_log(run):
    done = await run(sys.executable, "-c", "print('é' * 40_000_000); print('the end')")
    assert done.tail.endswith("é\nthe end\n")
    assert len(done.tail.encode()) <= 4096 + 2


async def test_a_log_is_bounded_and_has_the_beginning_the_end_and_a_word_between(run, tmp_path):
    await run(sys.executable, "-c", "print('the beginning'); print('x' * (12 << 20)); print('the end')")
    kept = (tmp_path / "gate.log").read_bytes()
    assert 5_000_000 < len(kept) <= LOG_BYTES
    assert (kept[:14], kept[-8:]) == (b"the beginning\n", b"the end\n")
    assert kept.count(b"[log limit reached: the rest is left out, except its end]") == 1


async def test_environment_is_only_what_was_given(run):
    done = await run("env")
    names = {line.partition("=")[0] for line in done.tail.splitlines()}
    assert names - {"PWD", "SHLVL", "_"} == {"PATH", "HARNESS_SESSION", "LC_CTYPE"}


async def test_timeout_ends_the_whole_tree(run, den):
    done = await run(sys.executable, *den.zoo("then-ignore"), timeout_seconds=1.5)
    assert (done.timed_out, done.code, done.contained, den.living()) == (True, 137, "exact", [])
    assert "ready" in done.tail


async def test_cancellation_ends_the_whole_tree_first(run, den, tmp_path):
    task = asyncio.ensure_future(run(sys.executable, *den.zoo("then-ignore")))
    log = tmp_path / "gate.log"
    await asyncio.to_thread(wait_until, lambda: log.exists() and b"ready" in log.read_bytes())
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert den.living() == []


async def test_cancellation_while_it_is_being_started_ends_the_whole_tree_too(run, den, tmp_path, monkeypatch):
    start, log, begun = asyncio.create_subprocess_exec, tmp_path / "gate.log", asyncio.Event()

    async def slowly(*argv: str, **options: Any) -> asyncio.subprocess.Process:
        process = await start(*argv, **options)
        await asyncio.to_thread(wait_until, lambda: log.exists() and b"ready" in log.read_bytes())
        begun.set()
        await asyncio.sleep(0.1)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", slowly)
    task = asyncio.ensure_future(run(sys.executable, *den.zoo("then-ignore", "plain", "daemon")))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert den.living() == []


@pytest.mark.parametrize(("argv", "code"), [(["/no/such"], 127), (["/etc/passwd"], 126), (["sh", "-c", "nosuch"], 127)])
async def test_command_that_cannot_start_is_told_apart(run, argv, code):
    done = await run(*argv)
    assert (done.code, done.could_not_start) == (code, True)


async def test_missing_folder_is_named(run, tmp_path):
    with pytest.raises(HarnessError, match="gone"):
        await run("true", cwd=tmp_path / "gone")


async def test_same_command_twice_at_once_is_busy(run, tmp_path):
    first = asyncio.ensure_future(run("sleep", "60"))
    await asyncio.to_thread(wait_until, lambda: read_record(tmp_path / "run" / "gate.record"))
    with pytest.raises(Busy, match="agent-init"):
        await run("true")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_killed_agent_init_leaves_nobody_and_is_not_called_exact(run, den, tmp_path):
    task = asyncio.ensure_future(run(sys.executable, *den.zoo("then-ignore", "setsid", "daemon", "gale")))
    log = tmp_path / "gate.log"
    await asyncio.to_thread(wait_until, lambda: log.exists() and b"ready" in log.read_bytes())
    os.kill(read_record(tmp_path / "run" / "gate.record").pid, 9)
    done = await task
    assert (done.code, done.contained, den.living()) == (137, "best_effort", [])


def test_record_is_read_whatever_later_versions_add(tmp_path):
    path = tmp_path / "record"
    assert read_record(path) is None
    path.write_text(json.dumps({"pid": 1, "start": 2, "boot": "b", "from_the_future": True}))
    assert read_record(path) == Record(1, 2, "b")
    path.write_text("[]")
    with pytest.raises(HarnessError, match="no record"):
        read_record(path)


def test_marked_leftovers_are_ended_and_others_spared(tmp_path):
    # the shell does not end by itself when its children are killed before it
    code = ["sh", "-c", "sleep 60 & setsid nohup sleep 60 & echo; while :; do wait; sleep 60; done"]
    ours, other = (
        subprocess.Popen(code, env={"PATH": os.environ["PATH"], "HARNESS_SESSION": session}, stdout=subprocess.PIPE)
        for session in ("ses_ours", "ses_ours_not")
    )
    for process in (ours, other):
        process.stdout.readline()
    spared = {each.pid for each in marked({"ses_ours_not"})}
    ended = end_marked({"ses_ours"})
    assert ours.pid in {each.pid for each in ended}
    assert marked({"ses_ours"}) == []
    assert {each.pid for each in marked({"ses_ours_not"})} >= spared >= {other.pid}
    end_marked({"ses_ours_not"})
    for process in (ours, other):
        process.communicate(timeout=5)


def test_sweep_spares_the_process_that_sweeps_and_those_above_it():
    code = (
        "import os, subprocess, sys\nfrom harness.proc.tree import end_marked\n"
        "child = subprocess.Popen(['sleep', '60'])\nprint(len(end_marked({'ses_nested'})))\nprint(child.wait())"
    )
    env = {**os.environ, "HARNESS_SESSION": "ses_nested"}
    shell = ["sh", "-c", '"$0" -c "$1"; echo alive', sys.executable, code]
    out = subprocess.run(shell, env=env, capture_output=True, text=True, check=True, timeout=20).stdout
    assert out.split() == ["1", "-9", "alive"]


def test_descendants_are_found_through_generations(den):
    den.prepare()
    process = den.start(*den.zoo("then-stay", "plain", "daemon"))
    process.stdout.readline()
    assert {each.pid for each in descendants(process.pid)} == set(den.living()) - {0, process.pid}
    assert identify(process.pid) not in descendants(process.pid)
    process.terminate()
    process.communicate(timeout=10)


REAPER = """
import os, subprocess, sys
from harness.proc.tree import Reaper, become_subreaper
assert become_subreaper()
orphan = "import os\\nif os.fork(): os._exit(0)\\nos.setsid()\\nprint(os.getpid(), flush=True)"
ours = subprocess.Popen(["sh", "-c", "exit 7"])
pid = int(subprocess.run([sys.executable, "-c", orphan], stdout=subprocess.PIPE).stdout)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
os.waitid(os.P_PID, ours.pid, os.WEXITED | os.WNOWAIT)
reaper = Reaper()
print(reaper.reap(), reaper.reap(), reaper.reap(), os.path.exists(f"/proc/{pid}"), ours.wait())
"""


def test_orphans_are_reaped_and_the_statuses_of_others_are_left():
    out = subprocess.run([sys.executable, "-c", REAPER], capture_output=True, text=True, check=True, timeout=20).stdout
    assert out.split() == ["0", "1", "0", "False", "7"]
