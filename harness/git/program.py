"""The checkout that this program runs from: which commit it is, how it is marked and switched (H52).

It is the operator's own, as a checkout of theirs is: nothing is reset or forced, and git refuses what would be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.git.push import Remote
from harness.git.repository import git_dir, own_git_dir
from harness.git.run import Git
from harness.model.errors import NotFound, Refused
from harness.ports import RepositoryRef

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """`changed` are tracked files with changes that no commit has."""

    commit: str
    changed: tuple[str, ...]


def _git(root: Path) -> Git:
    return replace(Git(own_git_dir(root)), work_tree=root, users=True)


async def standing(root: Path) -> Standing | None:
    """None if `root` is no checkout of its own: the program was installed, then."""
    if not (root / ".git").exists():
        return None
    git = _git(root)
    changed = (await git.run("status", "--porcelain", "--untracked-files=no", "-z")).names
    return Standing(
        await git.line("rev-parse", "--verify", "HEAD"), tuple(name[3:].decode(errors="replace") for name in changed)
    )


async def mark(root: Path, tag: str, commit: str) -> None:
    """Raises Refused if the tag is there for another commit; the same is done already."""
    git = Git(git_dir(root))
    found = await git.run("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}", accept=(0, 1, 128))
    if found.code == 0 and found.text != commit:
        raise Refused(f"the git tag {tag} of {root} is {found.text[:12]} already", hint="give another tag")
    if found.code != 0:
        await git.run("tag", "--no-sign", "--end-of-options", tag, commit)


async def push_tag(root: Path, tag: str, caller: Mapping[str, str]) -> str:
    """The remote's name. Raises PushFailed."""
    return await Remote(RepositoryRef("program", root, "main"), "main", caller).push_tag(tag)


async def check_switch(root: Path, commit: str) -> None:
    """Raises Refused for local changes, NotFound for a commit that is not there."""
    here = await standing(root)
    if here is not None and here.changed:
        more = " …" if len(here.changed) > _SHOWN else ""
        raise Refused(
            f"{root} has local changes: {', '.join(here.changed[:_SHOWN])}{more}",
            hint=f"git -C {root} stash or commit them first",
        )
    if not await _git(root).holds("cat-file", "-e", f"{commit}^{{commit}}"):
        raise NotFound(f"the program's commit {commit[:12]} is not in {root}", hint=f"git -C {root} fetch --tags")


async def switch(root: Path, commit: str) -> None:
    """Check a commit out, on no branch. Raises GitError if git refuses: then nothing has changed."""
    await _git(root).run("checkout", "--quiet", "--detach", commit)
