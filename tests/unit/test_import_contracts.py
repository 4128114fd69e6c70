"""The import contracts of pyproject.toml break for what they forbid: a wildcard that matches nothing would keep for ever."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINTER = Path(sys.executable).with_name("lint-imports")
PACKAGES = ("model", "ports", "store", "git", "engine", "agents", "gates", "ops", "app", "cli", "rehearsal")
MODULES = (
    "model.work",
    "ports.loop",
    "store.sqlite",
    "git.seal",
    "engine.worker",
    "agents.claude",
    "gates.scope",
    "ops.queue",
    "app.root",
    "cli.main",
    "rehearsal.director",
)


def lint(folder: Path, **lines: str) -> subprocess.CompletedProcess[str]:
    """Check a small harness with these lines added to its modules (`agents_claude="import x"`)."""
    for name in ("", *PACKAGES):
        package = folder / "harness" / name
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
    for module in {*MODULES, *(key.replace("__", ".") for key in lines)}:
        (folder / "harness" / (module.replace(".", "/") + ".py")).write_text(lines.get(module.replace(".", "__"), ""))
    config = str(ROOT / "pyproject.toml")
    command = [str(LINTER), "--no-cache", "--no-logo", "--config", config]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=30, check=False
    )


def test_imports_that_point_down_are_kept(tmp_path: Path) -> None:
    ended = lint(
        tmp_path,
        cli__main="import harness.ops.queue",
        app__root="import harness.engine.worker\nimport harness.store.sqlite",
        engine__worker="import harness.ports.loop",
        agents__claude="import claude_agent_sdk",
        rehearsal__director="import harness.rehearsal",
    )
    assert ended.returncode == 0, ended.stdout
    assert "5 kept, 0 broken" in ended.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("model.work", "import harness.ports.loop", "Layers"),
        ("engine.worker", "import harness.gates.scope", "Layers"),
        ("store.sqlite", "import harness.git.seal", "Layers"),
        ("ops.queue", "import harness.app.root", "Layers"),
        ("misc", "", "Layers"),
        ("model.work", "import sqlite3", "The model is"),
        ("model.work", "import pydantic", "The model is"),
        ("engine.worker", "import harness.store.sqlite", "Engine and adapters"),
        ("agents.claude", "import harness.git.seal", "Engine and adapters"),
        ("engine.worker", "import claude_agent_sdk", "Only the Claude adapter"),
        ("cli.main", "from claude_agent_sdk import query", "Only the Claude adapter"),
        ("ops.queue", "import harness.rehearsal.director", "Rehearsal"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(tmp_path: Path, module: str, line: str, contract: str) -> None:
    ended = lint(tmp_path, **{module.replace(".", "__"): line})
    assert ended.returncode == 1, ended.stdout
    broken = ended.stdout.split("Broken contracts", 1)[1]
    assert contract in broken
