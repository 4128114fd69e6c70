"""`./loop run --once "objective"`: one piece of work in any repository, without init (contract 3)."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from harness import fs
from harness.app.build import open_store
from harness.config.edit import add_repository
from harness.config.load import load
from harness.model.errors import GitError, Usage
from harness.model.home import Home
from harness.model.itemform import parse_item
from harness.ops.forms import form_of

FOLDER = ".loop"


@dataclass(frozen=True, slots=True)
class Adhoc:
    """Where the item lives: a home of its own inside the repository, and the repository's folder."""

    home: Home
    repository: Path
    item: str


def adhoc(here: Path, objective: str) -> Adhoc:
    """Add `objective` as an item to the home under `.loop/` of the repository around `here`, made on first use.

    Raises GitError if `here` is in no git repository, Usage for an empty objective.
    """
    title = objective.strip().splitlines()[0][:200] if objective.strip() else ""
    if not title:
        raise Usage("the objective is empty", hint='./loop run --once "what to do"')
    root = Path(_git(here, "rev-parse", "--show-toplevel"))
    branch = _branch(root)
    home = Home(root / FOLDER)
    _exclude(root)
    if not home.config.exists():
        home.root.mkdir(mode=0o700, exist_ok=True)
        add_repository(home.root, _name(root), str(root), branch, None)
    loaded = load(home.root, {})
    once = replace(form_of(loaded, "adhoc"), max_attempts=1)
    now = datetime.now(UTC)
    item = parse_item({"title": title, "description": objective.strip(), "branch": branch}, once, now)
    store = open_store(home)
    try:
        store.add([item], actor=loaded.actor, now=now)
    finally:
        store.close()
    return Adhoc(home, root, item.id)


def _exclude(root: Path) -> None:
    """The home is nobody's business but ours: excluded in .git/info, so that no file of the repository changes."""
    path = Path(_git(root, "rev-parse", "--git-path", "info/exclude"))
    path = path if path.is_absolute() else root / path
    known = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if f"/{FOLDER}/" not in known:
        fs.append(path, f"/{FOLDER}/", mode=0o644)


def _branch(root: Path) -> str:
    return _git(root, "symbolic-ref", "--short", "HEAD")


def _name(root: Path) -> str:
    kept = "".join(c if c.isalnum() or c in "._-" else "-" for c in root.name).strip(".-_")
    return kept[:64] or "repository"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GitError(
            f"git {arguments[0]} failed in {folder}",
            cause=done.stderr.strip()[-500:],
            hint="go into a git repository with a branch checked out, or use ./loop init",
        )
    return done.stdout.strip()
