"""Is everything here that a session needs? Each finding: what was found, what is expected, how to mend (H1, H2)."""

from __future__ import annotations

import asyncio
import os
import platform
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.agents.claude import cli as claude
from harness.config.load import Loaded, examine, load
from harness.config.schema import ClaudeAgentSection
from harness.git.repository import check_version, git_dir, probe
from harness.git.run import Git
from harness.model.environment import agents_share
from harness.model.errors import HarnessError
from harness.model.home import Home
from harness.ops.answers import Document
from harness.ops.books import running
from harness.ops.initialise import SHIPPED_PROMPTS
from harness.ops.isolation import examine as examine_isolation
from harness.ops.snapshot import loop_pid
from harness.ports import Finding
from harness.proc.resources import disk, memory
from harness.prompting.render import TemplatePrompts
from harness.registry import find

OLDEST_PYTHON = (3, 11)
ENDURING_TEMPLATES = ("continue", "retry", "conflict")
GIB = 1 << 30
MINIMA = {"memory": (8, 16), "disk": (20, 50), "cores": (2, 4)}
"""Minimum and recommended: GiB, GiB, number (H41)."""
SHELL_WORDS = frozenset({"cd", "test", "[", "true", "false", "exit", "set", "export", ":", "if", "for", "!", "("})
WAL_RESET_FIXED = (3, 51, 3)
SHOWN_FILES = 5
FILES = ("loop", "loop.sh", "scripts/parse-session-events", "scripts/manage-queue", "scripts/report-status")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is examined; `loaded` is None if the configuration cannot be loaded."""

    home: Home
    environ: Mapping[str, str]
    launcher: Path | None
    loaded: Loaded | None


def diagnose(home: Home, environ: Mapping[str, str], launcher: Path | None) -> Document:
    """Exit 1 if anything stands in the way of sessions."""
    configuration, loaded = _configuration(home, environ)
    around = Surroundings(home, environ, launcher, loaded)
    findings = [*_python(around), *_files(around), *_tools(around), *configuration]
    for examined in (_agents, _repositories, _gates, _prompts):
        findings += _guarded(examined, around)
    findings += [*_machine(around), *_store(around), *_lock(around)]
    failed = any(finding.level == "fail" for finding in findings)
    return Document("loop.doctor/1", {"ready": not failed, "findings": findings}, exit_code=1 if failed else 0)


def _guarded(examined: Callable[[Surroundings], Iterable[Finding]], around: Surroundings) -> list[Finding]:
    """What needs the configuration, if there is one; an error of ours is a finding as well."""
    name = examined.__name__.strip("_")
    if around.loaded is None:
        return [Finding(name, "warn", "not examined: the configuration cannot be loaded", mend="./loop config check")]
    try:
        return list(examined(around))
    except HarnessError as exc:
        return [Finding(name, "fail", exc.message, mend=exc.hint)]


def _python(_around: Surroundings) -> Iterator[Finding]:
    found = f"{platform.python_version()} at {sys.executable}"
    level = "ok" if sys.version_info >= OLDEST_PYTHON else "fail"
    yield Finding("python", level, found, "3.11 or newer", "install python3.11 and remove .venv")


def _files(around: Surroundings) -> Iterator[Finding]:
    if around.launcher is None:
        return
    files = [around.launcher / name for name in FILES]
    missing = [str(file) for file in files if not file.is_file()]
    idle = [str(file) for file in files if file.is_file() and not os.access(file, os.X_OK)]
    if missing or idle:
        found = "; ".join(
            [*(f"{name} is missing" for name in missing), *(f"{name} is not executable" for name in idle)]
        )
        yield Finding("files", "fail", found, "all scripts, executable", f"git checkout; chmod +x {' '.join(idle)}")
    else:
        yield Finding("files", "ok", f"{len(files)} scripts below {around.launcher}")


def _tools(around: Surroundings) -> Iterator[Finding]:
    try:
        major, minor = asyncio.run(check_version())
        yield Finding("git", "ok", f"{major}.{minor} at {shutil.which('git')}", "2.38 or newer")
    except HarnessError as exc:
        yield Finding("git", "fail", exc.message, "2.38 or newer", exc.hint)
    path = shutil.which("tmux", path=around.environ.get("PATH"))
    yield Finding("tmux", "ok", path or "not found (optional: run --tmux)")


def _configuration(home: Home, environ: Mapping[str, str]) -> tuple[list[Finding], Loaded | None]:
    try:
        if problems := examine(home.root, environ):
            first = [str(problem) for problem in problems]
            return [Finding("config", "fail", each, mend="./loop config check") for each in first], None
        loaded = load(home.root, environ)
        loaded.environment()
    except HarnessError as exc:
        return [Finding("config", "fail", exc.message, mend=exc.hint)], None
    return [Finding("config", "ok", f"{home.config} is right")], loaded


def _agents(around: Surroundings) -> Iterator[Finding]:
    loaded = around.loaded
    assert loaded is not None
    reached, found = examine_isolation(loaded, around.home, around.environ)
    yield from found
    held = {"IS_SANDBOX": "1"} if reached.level == "outer" else {}
    environ = agents_share(around.environ, loaded.environment()) | held
    for name, section in loaded.config.agents.items():
        if isinstance(section, ClaudeAgentSection):
            path = claude.find_cli(section.cli, environ.get("PATH", os.defpath))
            yield from claude.doctor(path, environ, around.home.claude)
        else:
            find("agents", section.type)
            yield Finding(f"agent {name}", "ok", f"type {section.type}")


def _repositories(around: Surroundings) -> Iterator[Finding]:
    loaded = around.loaded
    assert loaded is not None
    if not loaded.config.repositories:
        yield Finding("repositories", "fail", "config.yaml names none", "at least one", "./loop init --repo PATH")
    for section in loaded.config.repositories:
        name = f"repository {section.name}"
        try:
            yield asyncio.run(_repository(name, loaded.path(section), section.branch))
        except HarnessError as exc:
            yield Finding(name, "fail", exc.message, mend=exc.hint)


async def _repository(name: str, path: Path, branch: str) -> Finding:
    repo = await probe(path, branch)
    if not (path / ".git").exists():
        return Finding(name, "ok", f"{path}, bare, branch {repo.branch}")
    state = await Git(git_dir(path), work_tree=path, users=True).run("status", "--porcelain", "-z", "-uno")
    changed = [entry[3:].decode(errors="replace") for entry in state.names]
    if not changed:
        return Finding(name, "ok", f"{path}, branch {repo.branch}, clean")
    shown = ", ".join(changed[:SHOWN_FILES]) + (" …" if len(changed) > SHOWN_FILES else "")
    found = f"{path}, branch {repo.branch}, {len(changed)} local change(s): {shown}"
    return Finding(name, "warn", found, "clean", "commit them: work on the same files waits for it")


def _gates(around: Surroundings) -> Iterator[Finding]:
    loaded = around.loaded
    assert loaded is not None
    for section in loaded.config.repositories:
        for gate in section.gates:
            word = _first_word(getattr(gate, "run", ""))
            there = not word or _runs(word, loaded.path(section), around.environ)
            level, found = ("ok", word or gate.type) if there else ("warn", f"{word} is not on PATH")
            mend = f"install {word}, or name its path" if not there else ""
            yield Finding(f"gate {section.name}.{gate.name}", level, found, mend=mend)


def _first_word(command: str) -> str:
    """The program a shell command begins with, past assignments; empty where that cannot be told."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    return next((word for word in words if "=" not in word), "")


def _runs(word: str, folder: Path, environ: Mapping[str, str]) -> bool:
    if word in SHELL_WORDS or ("/" in word and (folder / word).exists()):
        return True
    return shutil.which(word, path=environ.get("PATH")) is not None


def _prompts(around: Surroundings) -> Iterator[Finding]:
    loaded = around.loaded
    assert loaded is not None
    names = sorted({kind.template for kind in loaded.config.kinds.values()} | set(ENDURING_TEMPLATES))
    TemplatePrompts([around.home.prompts, SHIPPED_PROMPTS]).check(names)
    yield Finding("prompts", "ok", f"{len(names)} templates compile")


def _machine(around: Surroundings) -> Iterator[Finding]:
    volume, ram = disk(around.home.state), memory()
    amounts: dict[str, tuple[float, str]] = {"disk": (volume.free / GIB, f"{volume.free / GIB:.1f} GiB free")}
    if ram is not None:
        amounts["memory"] = (ram.total / GIB, f"{ram.total / GIB:.1f} GiB, {ram.available / GIB:.1f} available")
    amounts["cores"] = (float(os.cpu_count() or 1), str(os.cpu_count()))
    for name, (amount, found) in amounts.items():
        least, better = MINIMA[name]
        # A machine of nominal size always shows a little less.
        level = "ok" if amount >= least * 0.9 else "warn"
        yield Finding(name, level, found, f"{least}, better {better}", "" if level == "ok" else f"give it more {name}")


def _store(around: Surroundings) -> Iterator[Finding]:
    version = ".".join(map(str, sqlite3.sqlite_version_info))
    note = "" if sqlite3.sqlite_version_info >= WAL_RESET_FIXED else "; its WAL-reset bug is kept out by our write gate"
    where = str(around.home.database) if around.home.database.exists() else "no database yet"
    yield Finding("store", "ok", f"SQLite {version}{note}; {where}")


def _lock(around: Surroundings) -> Iterator[Finding]:
    if running(around.home):
        yield Finding("loop", "ok", f"running, pid {loop_pid(around.home) or 'unknown'}")
    else:
        yield Finding("loop", "ok", "not running; the lock is free")
