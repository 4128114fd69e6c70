"""`init`: a home for the loop, made from the shipped files; nothing is committed (contract 2)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from harness.config.edit import add_repository
from harness.model.errors import GitError, NotFound
from harness.ops.answers import Change

SHIPPED_PROMPTS = Path(__file__).resolve().parents[2] / "prompts"
MAIN = "main"


def initialise(
    home: Path,
    cwd: Path,
    repo: str,
    *,
    name: str | None = None,
    branch: str | None = None,
    test: str | None = None,
    yes: bool = False,
) -> Change:
    """Write config.yaml and prompts/ into `home`. Raises NotFound, GitError for what is no repository, Usage."""
    path = (cwd / Path(repo).expanduser()).resolve()
    target = _branch(path, branch)
    called = name or _name(path)
    home.mkdir(parents=True, exist_ok=True)
    file = add_repository(home, called, str(path), target, test, yes=yes)
    copied = _prompts(home)
    gate = f"gate tests: {test}" if test else "no gate: work will end claimed and stay under a ref"
    detail = f"{file}: repository {called} at {path}, branch {target}; {gate}" + (f"; {copied}" if copied else "")
    return Change(called, applied=True, detail=f"{detail}\nnext: ./loop queue add --title … , then ./loop")


def _branch(path: Path, wished: str | None) -> str:
    """The wished branch if it exists, else main, else the one that is checked out."""
    if not path.is_dir():
        raise NotFound(f"there is no folder {path}", hint="./loop init --repo PATH")
    if _git(path, "rev-parse", "--git-dir") is None:
        raise GitError(f"{path} is no git repository", hint=f"git -C {path} init, and a first commit")
    known = (_git(path, "for-each-ref", "--format=%(refname:short)", "refs/heads") or "").split()
    if not known:
        raise GitError(f"{path} has no commit yet", hint=f"git -C {path} commit")
    if wished is not None:
        if wished not in known:
            raise GitError(f"{path} has no branch {wished}; it has {', '.join(known)}", hint="--branch NAME")
        return wished
    return MAIN if MAIN in known else (_git(path, "symbolic-ref", "--short", "HEAD") or known[0])


def _git(path: Path, *arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], cwd=path, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _name(path: Path) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in path.name).strip(".-_")
    return kept[:64] or "app"


def _prompts(home: Path) -> str:
    target = home / "prompts"
    if target.exists():
        return ""
    shutil.copytree(SHIPPED_PROMPTS, target)
    return f"prompts copied to {target}"
