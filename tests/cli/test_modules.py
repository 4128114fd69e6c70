"""What a read command may load, and what it may cost (A11, architecture 3)."""

import json
import resource
import subprocess
import sys

import pytest

from tests.kit.command import ROOT

LIBRARIES = {"click", "harness", "msgspec", "typing_extensions"}
"""The only packages beside the standard library that a read command may load; the last comes with msgspec."""
PARTS = {
    "status": {"cli", "fs", "interrupt_file", "model", "ops", "ports", "proc", "store"},
    "health": {"cli", "fs", "interrupt_file", "model", "ops", "ports", "proc", "store"},
    "version": {"cli", "fs", "model", "ops", "ports", "proc", "store"},
    "queue show": {"cli", "fs", "model", "ops", "ports", "proc", "store"},
    "decision list": {"cli", "fs", "model", "ops", "ports", "proc", "store"},
    "task list": {"cli", "fs", "model", "ops", "ports", "proc", "store"},
    "why test-001": {"analysis", "cli", "fs", "interrupt_file", "model", "ops", "ports", "proc", "store"},
    "why pause": {"analysis", "cli", "fs", "interrupt_file", "model", "ops", "ports", "proc", "store"},
    "session latest": {"analysis", "cli", "fs", "model", "ops", "ports", "proc", "store"},
    "session list": {"analysis", "cli", "fs", "model", "ops", "ports", "proc", "store"},
    "session metrics": {"analysis", "cli", "fs", "model", "ops", "ports", "proc", "store"},
    "session timeline": {"analysis", "cli", "fs", "model", "ops", "ports", "proc", "store"},
}
FORBIDDEN = {"asyncio", "claude_agent_sdk", "pydantic", "structlog", "jinja2", "starlette", "textual", "yaml", "git"}
DEAR = {
    *("bz2", "lzma", "shutil", "tempfile", "ctypes", "subprocess", "decimal", "difflib", "traceback", "textwrap"),
    *("hashlib", "hmac", "random", "secrets", "selectors", "logging", "socket"),
}
"""Of the standard library: each costs a look at the loop 1-7 ms, and none is needed for it."""
ASKED = {"status": set(), "health": set(), "version": set(), "queue show": {"hashlib"}}
"""What people and cron ask all day, and what of DEAR it does need: `queue show` compares `queue.json` by its digest."""
WRITING = {"harness.ports", "harness.model.brief", "harness.model.outcome", "harness.model.verdict"} | {
    f"harness.store.{name}" for name in ("sqlite", "leases", "items", "pauses", "integrations", "hands", "mirror")
}
"""Ours that only those need who change the store, with the records of the model that come along."""
MOST_CPU_SECONDS = 0.25
LOOK = """
import json, sys
before = set(sys.modules)
from harness.cli.main import main
code = main(sys.argv[1:])
sys.stderr.write(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.mark.parametrize("command", PARTS)
def test_a_read_command_loads_only_what_it_may(worked, command):
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOOK, *command.split()],
        cwd=worked.home.root,
        env=worked.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = json.loads(done.stderr)
    tops = {module.partition(".")[0] for module in modules}
    foreign = {top for top in tops - set(sys.stdlib_module_names) if not top.startswith("_")}
    assert foreign <= LIBRARIES
    assert not tops & FORBIDDEN
    parts = {module.split(".")[1] for module in modules if module.startswith("harness.")}
    assert parts <= PARTS[command]
    if command in ASKED:
        assert set(modules) & (DEAR | WRITING) <= ASKED[command]


@pytest.mark.process
def test_status_costs_less_than_a_quarter_second_of_cpu_with_its_launcher(worked):
    costs = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [ROOT / "loop", "-C", worked.home.root, "status"], env=worked.environ, capture_output=True, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 3, done.stderr
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(costs) < MOST_CPU_SECONDS, costs
