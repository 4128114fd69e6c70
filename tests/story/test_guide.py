"""The harness guide, step by step: its configuration, its bootstrap template and its command blocks (A12, H31, H49).

The model is a scripted agent; everything else is the program as the guide's operator would run it.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.command import ROOT, home_at

HARNESS = """\
harness:
  # Loop control
  max_iterations: 0                    # 0 = infinite (production)
  iteration_delay: 5                   # seconds between iterations
  interrupt_check_interval: 30         # seconds between checks

  # Agent spawning
  agent_type: claude-sonnet            # Model to use
  session_timeout: 3600                # 1 hour max per session

  # Monitoring
  stall_threshold: 300                 # 5 minutes no progress = stalled
  max_consecutive_failures: 5          # Failures before interrupt

  # Interrupts
  interrupts:
    quality_gate_failure: true         # Interrupt on test failures
    blocked_work: true                 # Interrupt when blocked
    approval_required: true            # Interrupt needing approval
    session_timeout: true              # Interrupt on timeout
"""
OURS = """
agents:
  default:
    type: scripted
    script:
      - say: I look at the state.
      - run: [sh, -c, "echo good >> state.txt"]
      - commit: Mend the state
      - complete: the state is good
repositories:
  - {name: aardwolf_snd, path: app, gates: [{name: tests, run: grep -q good state.txt}]}
"""
BOOTSTRAP = """\
# Claude Harness Agent Bootstrap

Session: {{SESSION_ID}}
Iteration: {{ITERATION}}
Work Item: {{WORK_ITEM}}
Rig: {{RIG}}

## Your Role

You are an autonomous agent in the Claude Automation Harness...

[Customize agent instructions here]
"""
JQ = """\
#!{python} -I
# For machines without jq: the same library behind the same two ways of calling it.
import json, sys
import jq
words = [word for word in sys.argv[1:] if word != "-r"]
text = open(words[1]).read() if len(words) > 1 else sys.stdin.read()
for each in jq.compile(words[0] if words else ".").input_text(text):
    print(each if isinstance(each, str) and "-r" in sys.argv else json.dumps(each, indent=2))
"""
STEP_SECONDS = 60


@dataclass(frozen=True)
class Step:
    title: str
    code: int
    script: str
    says: tuple[str, ...]


def _steps():
    for part in (Path(__file__).parent / "guide.sh").read_text().split("\n## ")[1:]:
        head, _, body = part.partition("\n")
        title, _, code = head.partition("#=")
        lines = [line.removeprefix("#! ") for line in body.splitlines() if not line.startswith("#>")]
        says = tuple(line.removeprefix("#> ") for line in body.splitlines() if line.startswith("#>"))
        yield Step(title.strip(), int(code or 0), "\n".join(lines), says)


@pytest.fixture
def harness(tmp_path):
    """`~/gt/harness` as the guide has it, on the launcher of this checkout."""
    home = home_at(tmp_path / "gt" / "harness", HARNESS + OURS)
    (home.root / "scripts").mkdir()
    for name in ("loop", "loop.sh", *(f"scripts/{file.name}" for file in (ROOT / "scripts").glob("*.sh"))):
        (home.root / name).symlink_to(ROOT / name)
    home.prompts.mkdir()
    (home.prompts / "bootstrap.md").write_text(BOOTSTRAP)
    home.state.mkdir()
    tools = tmp_path / "bin"
    tools.mkdir()
    if shutil.which("jq") is None:
        (tools / "jq").write_text(JQ.format(python=sys.executable))
        (tools / "jq").chmod(0o755)
    yield (
        home,
        {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "LANG": "C.UTF-8",
            "IS_SANDBOX": "1",
            "GT_ROOT": str(home.root),
            # The guide waits 30 s between looks into an empty queue.
            "INTERRUPT_CHECK_INTERVAL": "1",
        },
    )
    _end(home)


def _end(home):
    """A step that failed may have left its loop behind."""
    pid = re.fullmatch(r"\d+", home.pid_file.read_text().strip()) if home.pid_file.exists() else None
    if pid is not None:
        os.kill(int(pid[0]), signal.SIGKILL)


@pytest.mark.process
@pytest.mark.slow
def test_the_guide_works_as_it_is_written(harness):
    home, environ = harness
    for step in _steps():
        done = subprocess.run(
            ["bash", "-c", step.script],
            cwd=home.root,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )
        assert done.returncode == step.code, f"{step.title}: exit {done.returncode}\n{done.stdout}"
        for text in step.says:
            assert text in done.stdout, f"{step.title}: {text!r} is not in\n{done.stdout}"
    log = subprocess.run(
        ["git", "log", "--format=%s"], cwd=home.root / "app", capture_output=True, text=True, check=True
    )
    assert log.stdout.splitlines() == ["Mend the state", "Mend the state", "First"]


def test_the_guides_template_and_configuration_are_what_an_agent_gets(harness):
    home, environ = harness
    queue = ["./loop", "queue", "add", '{"id": "test-001", "title": "Phase 2 validation test"}']
    subprocess.run(queue, cwd=home.root, env=environ, check=True, capture_output=True)
    shown = subprocess.run(
        ["./loop", "prompt", "render", "test-001"],
        cwd=home.root,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    for line in ("Session: ses_000000000000", "Iteration: 1", "Work Item: test-001", "Rig: aardwolf_snd"):
        assert line in shown.stdout
    assert "Phase 2 validation test" in shown.stdout
