"""`./loop demo`: the main job on a generated repository; everything is real except the model (contract 1)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from harness import fs
from harness.app.build import open_store
from harness.app.loop import run_loop
from harness.config.load import load
from harness.engine.worker import Course
from harness.model.errors import HarnessError, NotFound
from harness.model.home import Home
from harness.model.work import WorkItem
from harness.ports import Journalist

SHIPPED_SCENARIO = Path(__file__).resolve().parents[2] / "examples" / "demo.yaml"
READY_SECONDS = 20.0
KEY = "demo-key-not-a-secret"


@dataclass(frozen=True, slots=True)
class DemoRow:
    """One item of the demo: what became of it, the gate that proved it, its sessions' cost in US dollars."""

    item: str
    title: str
    outcome: str
    gates: tuple[str, ...]
    commit: str
    seconds: float
    cost_usd: str
    why: str


@dataclass(frozen=True, slots=True)
class Demo:
    home: Path
    sample: Path
    rows: tuple[DemoRow, ...]
    seconds: float

    @property
    def verified(self) -> bool:
        return bool(self.rows) and all(row.outcome == "verified" for row in self.rows)


ITEMS = (
    WorkItem(
        "demo-service",
        "Service error: AttributeError in owner_line for account a2",
        kind="service-error",
        lane="tracker",
        priority=20,
        source="service",
        description="The service log shows: AttributeError: 'NoneType' object has no attribute 'strip' (account a2).",
    ),
    WorkItem(
        "demo-sweep",
        "Sweep failure: hash mismatch at L59613004",
        kind="sweep-failure",
        lane="sweep",
        source="sweep",
        description="The sweep over L59613000..L59613009 reports a mismatch at L59613004; the entry itself is intact.",
    ),
    WorkItem(
        "demo-review",
        "Review the ledger package",
        kind="review",
        lane="review",
        description="Read ledger/ and write result.md with the sections Findings, Verification and Risks.",
    ),
    WorkItem(
        "demo-maintenance",
        "Bring docs/modules.md up to date",
        kind="maintenance",
        lane="maintenance",
        description="Every module of the package needs a line in docs/modules.md; tools/check_docs.py tells.",
    ),
)


def run_demo(root: Path, journalist: Callable[[Home], Journalist], scenario: Path | None = None) -> Demo:
    """Make `root`/state/demo anew, work its four items against the scripted model, and tell what became of them.

    Raises NotFound for a missing scenario, HarnessError if the scripted model cannot be started.
    """
    began = time.monotonic()
    script = (scenario or SHIPPED_SCENARIO).absolute()
    if not script.is_file():
        raise NotFound(f"no scenario {script}", hint="./loop demo --scenario FILE")
    state = root / "state"
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    home = Home(state / "demo")
    fs.discard(home.root, under=state)
    home.state.mkdir(parents=True, mode=0o700)
    sample = home.root / "sample"
    _prepare(home, sample)
    with _scripted_model(script, home) as url, _environment(url):
        loaded = load(home.root, os.environ)
        run_loop(loaded, Course(drain=True, workers=2, iteration_delay_seconds=0), journalist(home))
    return Demo(home.root, sample, tuple(_rows(home)), time.monotonic() - began)


def _prepare(home: Home, sample: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-I", "-m", "harness.rehearsal.sample", str(sample)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise HarnessError("the sample repository could not be made", cause=made.stderr.strip(), hint="./loop doctor")
    gates: Mapping[str, str] = json.loads(made.stdout)
    fs.replace(home.config, _config(gates), mode=0o644)
    store = open_store(home)
    try:
        store.add([replace(item, max_attempts=1) for item in ITEMS], actor="demo", now=datetime.now(UTC))
    finally:
        store.close()


def _config(gates: Mapping[str, str]) -> str:
    """The demo's configuration: one gate for each kind of work, one more for the fix's test; one attempt each."""
    kinds = {item.id: item.kind for item in ITEMS}
    lines = "\n".join(
        f"      - {{name: {item.removeprefix('demo-')}-check, kinds: [{kinds[item]}], timeout_seconds: 60, "
        f"run: {json.dumps(command)}}}"
        for item, command in gates.items()
    )
    return f"""\
# Written by ./loop demo, anew each time.
harness: {{iteration_delay: 0, interrupt_check_interval: 2, session_timeout: 120, max_attempts: 1, workers: 2}}
kinds:
  service-error: {{template: fix-bug, lane: tracker}}
  sweep-failure: {{template: fix-bug, lane: sweep}}
  maintenance: {{template: maintenance, lane: maintenance}}
  review: {{template: review, lane: review, expects: document}}
repositories:
  - name: ledger
    path: sample
    branch: main
    gates:
{lines}
      - {{name: regression, type: regression, kinds: [service-error], run: "python3 -m unittest -q {{tests}}"}}
"""


@contextmanager
def _scripted_model(script: Path, home: Home) -> Iterator[str]:
    """The endpoint as a process of its own; it ends with us (its stdin) and is ended here."""
    ready = home.state / "rehearsal.url"
    arguments = ["--scenario", str(script), "--bill", str(home.state / "bill.jsonl"), "--ready", str(ready)]
    with (home.state / "rehearsal.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "harness.rehearsal", *arguments, "--until-eof"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    try:
        yield _url(process, ready, home)
    finally:
        process.terminate()
        process.communicate()


def _url(process: subprocess.Popen[bytes], ready: Path, home: Home) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if ready.exists():
            return ready.read_text(encoding="utf-8").strip()
        time.sleep(0.02)
    said = (home.state / "rehearsal.log").read_text(encoding="utf-8", errors="replace")[-2000:]
    raise HarnessError("the scripted model did not start", cause=said, hint="check the scenario file")


@contextmanager
def _environment(url: str) -> Iterator[None]:
    """Points every agent at the scripted model; IS_SANDBOX is ours to say for our own sample (contract 5)."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", "CLAUDE_CODE_", "AWS_", "GOOGLE_")) or name in _OVERRIDES:
            del os.environ[name]
    os.environ |= {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": KEY, "IS_SANDBOX": "1", "NO_PROXY": "127.0.0.1"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


_OVERRIDES = frozenset(
    {
        *("MAX_ITERATIONS", "SESSION_TIMEOUT", "STALL_THRESHOLD", "MAX_CONSECUTIVE_FAILURES"),
        *("INTERRUPT_CHECK_INTERVAL", "PIPELINE_AUTO_COMMIT", "PIPELINE_AUTO_PUSH", "BD_RIG", "GT_ROOT"),
    }
)


def _rows(home: Home) -> Iterator[DemoRow]:
    store = open_store(home)
    try:
        for wanted in ITEMS:
            item = store.item(wanted.id)
            assert item is not None
            sessions = store.sessions(item=item.id)
            metrics = sessions[0].metrics if sessions else {}
            gates = tuple(g["name"] for g in metrics.get("gates", ()) if g["verdict"] == "passed" and g["proves"])
            commits = metrics.get("commits") or [""]
            yield DemoRow(
                item.id, item.title, item.outcome or item.state, gates, str(commits[-1])[:12],
                float(metrics.get("wall_seconds") or 0), str(metrics.get("cost_usd") or "-"), item.reason,
            )  # fmt: skip
    finally:
        store.close()
