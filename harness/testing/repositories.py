"""Git as the engine knows it, in memory: workspaces, seals, merges, and a target branch that may refuse."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from random import Random

from harness.model.errors import Conflict, GitError, NotFastForward, NotFound, Refused
from harness.ports import Autosave, Combined, RepositoryRef, Seal, Try, Ways, Workspace, WorkspaceState

FILES = tuple(f"f{number}" for number in range(200))
TROUBLE = 0.002


class Violation(Exception):
    """Something happened that must never happen."""


@dataclass(frozen=True, slots=True)
class Commit:
    id: str
    parents: tuple[str, ...]
    paths: frozenset[str]
    height: int
    item: str = ""


@dataclass(slots=True)
class Folder:
    """One workspace as the agent sees it."""

    base: str
    commits: list[str] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    dirty: set[str] = field(default_factory=set)
    document: bool = False
    saved: tuple[object, ...] | None = None
    sealed: int = 0

    @property
    def content(self) -> tuple[object, ...]:
        return (tuple(self.commits), tuple(sorted(self.dirty)), self.document)


class Repository:
    """Commits, one target branch that only moves forward, and refs of ours."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.commits: dict[str, Commit] = {}
        self.refs: dict[str, str] = {}
        self.checkout_dirty: frozenset[str] = frozenset()
        self.landed: defaultdict[str, list[str]] = defaultdict(list)
        self.tip = self.commit((), frozenset(), "root").id
        self.inside = {self.tip}

    def commit(self, parents: tuple[str, ...], paths: frozenset[str], item: str) -> Commit:
        """The same commit for the same content, as git would."""
        mark = f"{self.name} {item} {parents} {sorted(paths)} {len(self.commits) if len(parents) < 2 else ''}"
        height = 1 + max((self.commits[p].height for p in parents), default=0)
        made = Commit(blake2b(mark.encode(), digest_size=20).hexdigest(), parents, paths, height, item)
        self.commits[made.id] = made
        return made

    def since(self, commit: str, base: str) -> set[str]:
        """Ancestors of `commit`, itself included, down to the height of `base`."""
        floor, found, todo = self.commits[base].height, set[str](), [commit]
        while todo:
            here = todo.pop()
            if here not in found and self.commits[here].height >= floor:
                found.add(here)
                todo.extend(self.commits[here].parents)
        return found

    def has(self, commit: str, ancestor: str) -> bool:
        return ancestor in self.since(commit, ancestor)

    def forward(self, commit: str) -> None:
        """Move the branch. Raises Violation if that is not forward, or takes the same work in a second time."""
        if not self.has(commit, self.tip):
            raise Violation(f"{self.name}: the branch would move from {self.tip[:8]} to {commit[:8]}, which lacks it")
        new, todo = list[str](), [commit]
        while todo:
            here = todo.pop()
            if here not in self.inside and here not in new:
                new.append(here)
                todo.extend(self.commits[here].parents)
        for each in new:
            again = [p for p in self.commits[each].parents[1:] if p in self.inside]
            if again:
                raise Violation(f"{self.name}: the work {again[0][:8]} of {self.commits[each].item} landed twice")
        self.inside.update(new)
        self.tip = commit
        self.landed[self.commits[commit].item].append(commit)

    def outside(self, random: Random) -> None:
        """Somebody else pushed."""
        self.forward(self.commit((self.tip,), frozenset(random.sample(FILES, 2)), "somebody").id)


class SimulatedGit:
    """Implements ports.Workspaces and ports.Merger over all repositories of a world."""

    def __init__(self, names: Sequence[str], random: Random) -> None:
        self.repositories = {name: Repository(name) for name in names}
        self.folders: dict[str, Folder] = {}
        self.violations: list[str] = []
        self._random = random
        self._saves = 0

    def _of(self, repo: RepositoryRef) -> Repository:
        found = self.repositories.get(repo.name)
        if found is None:
            raise NotFound(f"no repository {repo.name}")
        return found

    async def _work(self) -> None:
        """Git takes its time, and now and then it fails."""
        await asyncio.sleep(0.02)
        if self._random.random() < TROUBLE:
            raise GitError("index.lock: File exists")

    # --- workspaces ---------------------------------------------------------------------------------------------------

    def folder(self, workspace: Workspace) -> Folder:
        found = self.folders.get(workspace.item)
        if found is None:
            raise GitError(f"the workspace {workspace.path} is gone")
        return found

    def seen(self, item: str) -> Folder:
        """As the agent of the item sees it: one that has outlived its loop writes where nobody looks any more."""
        return self.folders.get(item) or Folder("")

    async def prepare(
        self, repo: RepositoryRef, item: str, *, branch: str | None = None, wip_ref: str | None = None
    ) -> Workspace:
        del branch, wip_ref
        await self._work()
        base = self._of(repo).tip
        self.folders[item] = Folder(base)
        return Workspace(Path("/simulated") / item, repo, base, item)

    async def reopen(self, repo: RepositoryRef, item: str, base: str) -> Workspace | None:
        await self._work()
        folder = self.folders.get(item)
        if folder is None or folder.base != base or self._random.random() < TROUBLE:
            return None
        return Workspace(Path("/simulated") / item, repo, base, item)

    async def state(self, workspace: Workspace) -> WorkspaceState:
        await self._work()
        folder = self.folder(workspace)
        document = workspace.path / "result.md" if folder.document else None
        head = folder.commits[-1] if folder.commits else folder.base
        return WorkspaceState(head, tuple(folder.commits), tuple(sorted(folder.dirty)), document)

    async def autosave(self, workspace: Workspace, session: str) -> Autosave | None:
        await self._work()
        folder = self.folder(workspace)
        if folder.content in (folder.saved, ((), (), False)):
            return None
        self._saves += 1
        folder.saved = folder.content
        ref = f"refs/harness/{session}/wip/{self._saves}"
        return Autosave(ref, f"{self._saves:040x}", f"{self._saves:040x}")

    async def seal(self, workspace: Workspace, trailers: Sequence[tuple[str, str]], prefix: str = "") -> Seal:
        del trailers, prefix
        await self._work()
        folder, repository = self.folder(workspace), self._of(workspace.repo)
        if not folder.commits:
            raise GitError(f"{workspace.item}: there is no commit to seal")
        sealed = repository.commit((folder.base,), frozenset(folder.paths), workspace.item).id
        folder.sealed = len(folder.commits)
        repository.refs[f"{workspace.item}/sealed"] = sealed
        return Seal(sealed, folder.base, (sealed,), tuple(sorted(folder.paths)))

    async def document(self, workspace: Workspace, target: Path) -> Path | None:
        await self._work()
        return target if self.folder(workspace).document else None

    async def remove(self, workspace: Workspace) -> None:
        await self._work()
        folder = self.folders.get(workspace.item)
        if folder is not None and folder.dirty and folder.saved != folder.content:
            raise Refused(f"{workspace.path} holds unsaved work")
        self.folders.pop(workspace.item, None)

    async def prune(self, is_wanted: Callable[[str], Awaitable[bool]]) -> Sequence[Path]:
        del is_wanted
        return ()

    async def base_file(self, repo: RepositoryRef, commit: str, path: str) -> str | None:
        del repo, commit, path
        return None

    # --- the way to the branch ----------------------------------------------------------------------------------------

    async def tip(self, repo: RepositoryRef, branch: str) -> str:
        del branch
        await self._work()
        return self._of(repo).tip

    async def merge(self, repo: RepositoryRef, seal: Seal, onto: str) -> str:
        await self._work()
        repository = self._of(repo)
        if repository.has(seal.commit, onto):
            return seal.commit
        work = repository.commits[seal.commit]
        # Height stands for the merge base: what came after the work began may be in its way.
        for new in repository.since(onto, work.parents[0]) - repository.since(seal.commit, work.parents[0]):
            both = repository.commits[new].paths & work.paths
            if both:
                raise Conflict("both changed", paths=tuple(sorted(both)))
        return repository.commit((onto, seal.commit), work.paths, work.item).id

    async def combine(self, repo: RepositoryRef, seal: Seal, onto: str, ways: Ways) -> Combined:
        try:
            return Combined(await self.merge(repo, seal, onto))
        except Conflict as exc:
            return Combined(None, (Try(ways.order[0], exc.paths),), exc.paths)

    async def has(self, repo: RepositoryRef, commit: str, ancestor: str) -> bool:
        await self._work()
        return self._of(repo).has(commit, ancestor)

    def bench(self, repo: RepositoryRef, commit: str) -> AbstractAsyncContextManager[Path]:
        raise NotImplementedError(f"{repo.name} {commit}: gates are simulated as a whole")

    async def advance(self, repo: RepositoryRef, branch: str, commit: str, expected: str) -> None:
        await self._work()
        repository = self._of(repo)
        if repository.tip == commit:
            return
        if repository.tip != expected:
            raise NotFastForward(f"{branch} has moved from {expected[:8]} to {repository.tip[:8]}")
        changed = frozenset[str]().union(*(repository.commits[c].paths for c in repository.since(commit, expected)))
        if in_the_way := repository.checkout_dirty & changed:
            raise NotFastForward("local changes are in the way", paths=tuple(sorted(in_the_way)))
        try:
            repository.forward(commit)
        except Violation as exc:
            self.violations.append(str(exc))
            raise
        await asyncio.sleep(0.02)

    async def keep(self, repo: RepositoryRef, item: str, name: str, commit: str) -> str:
        await self._work()
        self._of(repo).refs[f"{item}/{name}"] = commit
        return f"refs/harness/{item}/{name}"

    async def kept(self, repo: RepositoryRef, item: str, name: str) -> str | None:
        return self._of(repo).refs.get(f"{item}/{name}")

    async def contains(self, repo: RepositoryRef, branch: str, commit: str) -> bool:
        del branch
        await self._work()
        return commit in self._of(repo).inside

    async def describe(self, repo: RepositoryRef, base: str, commit: str) -> Sequence[str]:
        del repo, base, commit
        return ()
