"""Which pieces of work would conflict, before anybody merges them: read-only, in memory (`git merge-tree`)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.git.repository import opened
from harness.git.trees import merged
from harness.git.wip import saves
from harness.model.errors import GitError
from harness.ports import RepositoryRef

KEPT = ("verified", "claimed", "sealed")
MOST_HEADS = 24


@dataclass(frozen=True, slots=True)
class Clash:
    """Two pieces of work (`other` may be the branch) that cannot both stand as they are, and the files."""

    one: str
    other: str
    paths: tuple[str, ...]


async def kept(repo: RepositoryRef, branch: str) -> Mapping[str, tuple[str, str]]:
    """Work under refs of ours that the branch does not have, by item: its ref's name (verified, …) and commit."""
    git = opened(repo)
    patterns = [f"refs/harness/*/{name}" for name in KEPT]
    fields = "--format=%(refname) %(objectname)"
    listed = await git.run("for-each-ref", fields, f"--no-merged=refs/heads/{branch}", *patterns)
    found: dict[str, tuple[str, str]] = {}
    for line in listed.text.splitlines():
        ref, _, commit = line.partition(" ")
        _, _, item, name = ref.split("/")
        if item not in found or KEPT.index(name) < KEPT.index(found[item][0]):
            found[item] = (name, commit)
    return found


async def live(repo: RepositoryRef, items: Sequence[str]) -> Mapping[str, str]:
    """The newest autosave of each of these items: what is being worked on, a minute old at most."""
    newest: dict[str, str] = {}
    for save in sorted(await saves(repo), key=lambda each: each.saved_at):
        if save.item in items:
            newest[save.item] = save.commit
    return newest


async def clashes(repo: RepositoryRef, branch: str, heads: Mapping[str, str]) -> Sequence[Clash]:
    """Each of `heads` (commit by item) against the branch and against each other, the first MOST_HEADS of them."""
    git = opened(repo)
    looked_at = dict(itertools.islice(heads.items(), MOST_HEADS))
    pairs = [*((branch, item) for item in looked_at), *itertools.combinations(looked_at, 2)]
    commits = {**looked_at, branch: f"refs/heads/{branch}"}
    found = []
    for one, other in pairs:
        try:
            paths = (await merged(git, commits[one], commits[other])).paths
        except GitError as exc:
            paths = (f"(cannot be told: {exc.message})",)
        if paths:
            found.append(Clash(one, other, paths))
    return found
