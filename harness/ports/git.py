"""Git: workspaces, saved work, and the way to a branch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RepositoryRef:
    """A registered repository: `path` is its working tree (or bare folder), `branch` the target of integration."""

    name: str
    path: Path
    branch: str


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with a git directory of its own, detached at `base` (a full sha of the registered repository)."""

    path: Path
    repo: RepositoryRef
    base: str
    item: str


@dataclass(frozen=True, slots=True)
class Autosave:
    """A dirty workspace as a commit under `ref`; `tree` tells whether anything changed since the last one."""

    ref: str
    commit: str
    tree: str
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkspaceState:
    """What the agent left: its head, the commits on the base, dirty paths (never `result.md`), the document.

    `problem` is why its commits cannot be taken over; then there are none.
    """

    head: str | None
    commits: tuple[str, ...]
    dirty: tuple[str, ...]
    document: Path | None
    diffstat: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Seal:
    """`base..HEAD` rewritten with our trailers, kept under refs/harness/<item>/sealed."""

    commit: str
    base: str
    commits: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ways:
    """How work and a branch that moved on are brought together, in this order (O12): rebase, merge, rerere, union,
    regenerate; agent and person stand for those who are asked when nothing else helps.

    `union` are globs whose files take the lines of both; `regenerate` globs with the command that makes such files.
    """

    order: tuple[str, ...] = ("merge",)
    union: tuple[str, ...] = ()
    regenerate: tuple[tuple[tuple[str, ...], str], ...] = ()

    @property
    def asking(self) -> tuple[str, ...]:
        """Whom to ask when nothing else helps, first to last."""
        return tuple(way for way in self.order if way in ("agent", "person"))

    @property
    def alone(self) -> tuple[str, ...]:
        """What is tried without asking anybody."""
        return tuple(way for way in self.order if way not in self.asking)


@dataclass(frozen=True, slots=True)
class Try:
    """One way that was tried: the files it left in conflict, and what its command said if that failed."""

    way: str
    left: tuple[str, ...] = ()
    said: str = ""


@dataclass(frozen=True, slots=True)
class Combined:
    """`commit` has both, or is None: then `left` are the files in conflict, `theirs` the commits of the branch."""

    commit: str | None
    tries: tuple[Try, ...] = ()
    left: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()


class Workspaces(Protocol):
    """Workspaces under state/worktrees. All git runs with the registered repository's GIT_DIR (architecture 6)."""

    async def prepare(
        self,
        repo: RepositoryRef,
        item: str,
        *,
        branch: str | None = None,
        wip_ref: str | None = None,
        commit: str | None = None,
    ) -> Workspace:
        """A clean workspace at the tip of `branch` (default: the target) or at `commit`, the content of `wip_ref` on
        top if given.

        An existing workspace of the item is saved before it is made anew. Raises GitError; NotFound if the folder of
        the repository is missing or no repository.
        """
        ...

    async def reopen(self, repo: RepositoryRef, item: str, base: str) -> Workspace | None:
        """The item's workspace as it was left, None if it is gone or broken."""
        ...

    async def equip(self, workspace: Workspace, include: Sequence[str]) -> None:
        """Bring files of the registered checkout that no commit has. Raises Refused."""
        ...

    async def setup_due(self, workspace: Workspace, commands: Sequence[str], inputs: Sequence[str]) -> bool:
        """Whether the set-up has to run: its commands or the files that `inputs` cover have changed."""
        ...

    async def setup_done(self, workspace: Workspace, commands: Sequence[str], inputs: Sequence[str]) -> None: ...
    async def state(self, workspace: Workspace) -> WorkspaceState: ...
    async def autosave(self, workspace: Workspace, session: str) -> Autosave | None:
        """Save the workspace as it is under refs/harness/<session>/wip/<n>. None if it equals the last save or base."""
        ...

    async def commit(self, workspace: Workspace, message: str, person: str) -> str:
        """Commit everything that stands there, in the name of a person. Raises GitError, Refused."""
        ...

    async def caught_up(self, workspace: Workspace, branch: str) -> Workspace:
        """As one that begins where its commits and `branch` part: a person may have merged the branch or rebased on it.
        Raises GitError, NotFound.
        """
        ...

    async def seal(self, workspace: Workspace, trailers: Sequence[tuple[str, str]], prefix: str = "") -> Seal:
        """Fetch the agent's commits and rewrite them with trailers, `prefix` before each subject that does not begin
        with it. Raises GitError if there is none.
        """
        ...

    async def document(self, workspace: Workspace, target: Path) -> Path | None:
        """Copy `result.md` (a regular file, at most 1 MiB) to `target`; None if there is none."""
        ...

    async def remove(self, workspace: Workspace) -> None:
        """Discard the folder. Raises Refused unless refs of ours hold its content."""
        ...

    async def put_away(self, item: str, is_wanted: Callable[[str], Awaitable[bool]]) -> bool:
        """Save and remove the workspace of an item, unless it is wanted; whether it went. Raises Refused."""
        ...

    async def prune(self, is_wanted: Callable[[str], Awaitable[bool]]) -> Sequence[Path]:
        """Save and remove the workspaces of items that are not wanted, and benches nobody uses; what was removed.

        An item is asked for while nobody can open its workspace. Raises GitError naming those that stay.
        """
        ...

    async def base_file(self, repo: RepositoryRef, commit: str, path: str) -> str | None:
        """A text file of a commit (CLAUDE.md, AGENTS.md), None if absent."""
        ...


@dataclass(frozen=True, slots=True)
class Footprint:
    """A checkout as it stands: what HEAD says, the tip of the branch, uncommitted paths and workspaces with a mark of
    their content, and how long the reflogs of the branch and of HEAD are, where git keeps them.
    """

    head: str
    tip: str
    files: Mapping[str, str]
    workspaces: Mapping[str, str]
    logs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Move:
    """A branch, or HEAD, came to `new`; `committer` is a mail address, empty if nothing tells."""

    name: str
    new: str
    committer: str = ""
    what: str = ""


class Grounds(Protocol):
    """What sessions must not touch."""

    async def look(self, repo: RepositoryRef, branch: str) -> Footprint:
        """One listing of the checkout. Raises GitError, NotFound."""
        ...

    async def moves(self, repo: RepositoryRef, branch: str, since: Footprint) -> Sequence[Move]:
        """What the reflogs have had besides since then, each commit once."""
        ...


class Upkeep(Protocol):
    """How much room workspaces take, and what their repositories keep of ours."""

    async def names(self) -> Sequence[str]:
        """The workspaces there are: a listing of folders."""
        ...

    async def sizes(self) -> Mapping[str, int]:
        """Bytes on disk by workspace, its caches included: every file is looked at, so not often."""
        ...

    async def drop_old_refs(self, repo: RepositoryRef, is_old: Callable[[str], Awaitable[bool]]) -> Sequence[str]:
        """Delete refs of items that are old, unless their kept work is on no branch; which. Raises GitError."""
        ...

    async def keep_bases(self, repo: RepositoryRef) -> None:
        """Let refs hold the commits that workspaces began at: `git gc` takes no object that one borrows."""
        ...


class Merger(Protocol):
    """Benches and the way to the target branch. Serial per repository: the caller holds the repository's turn."""

    async def tip(self, repo: RepositoryRef, branch: str) -> str: ...
    async def merge(self, repo: RepositoryRef, seal: Seal, onto: str) -> str:
        """The commit that has `onto` and the sealed work; the seal itself where that suffices. Raises Conflict."""
        ...

    async def combine(self, repo: RepositoryRef, seal: Seal, onto: str, ways: Ways) -> Combined:
        """As `merge`, in the ways that the configuration names; what was tried, and who is in the way."""
        ...

    def bench(self, repo: RepositoryRef, commit: str) -> AbstractAsyncContextManager[Path]:
        """A clean loop-owned checkout of `commit` for gates; gone afterwards."""
        ...

    async def advance(self, repo: RepositoryRef, branch: str, commit: str, expected: str) -> None:
        """Move the branch forward from `expected` to `commit`: `merge --ff-only` where it is checked out, else a
        compare-and-swap. Raises NotFastForward with the files in the way, or if the branch moved.
        """
        ...

    async def keep(self, repo: RepositoryRef, item: str, name: str, commit: str) -> str:
        """Point refs/harness/<item>/<name> (sealed, verified, claimed) at a commit; the full ref."""
        ...

    async def kept(self, repo: RepositoryRef, item: str, name: str) -> str | None: ...
    async def contains(self, repo: RepositoryRef, branch: str, commit: str) -> bool: ...
    async def has(self, repo: RepositoryRef, commit: str, ancestor: str) -> bool:
        """Whether `commit` is or comes after `ancestor`."""
        ...

    async def revert(self, repo: RepositoryRef, onto: str, base: str, commit: str, item: str) -> str:
        """A commit on `onto` that takes back what led from `base` to `commit`. Raises Conflict with the files that
        later work changed, Refused if nothing of it is left.
        """
        ...

    async def push(self, repo: RepositoryRef, branch: str, commit: str) -> str:
        """Bring `commit` to the branch of the remote, forward only; the remote's name. Done already is done.
        Raises PushFailed.
        """
        ...

    async def fetch(self, repo: RepositoryRef, branch: str) -> str | None:
        """The commit of the branch at the remote, fetched; None without such a branch. Raises PushFailed."""
        ...

    async def describe(self, repo: RepositoryRef, base: str, commit: str) -> Sequence[str]:
        """One line a commit (`sha subject`), oldest first."""
        ...


class Checkouts(Protocol):
    """Long-lived worktrees and clones of a registered repository, which somebody works or serves in (P4)."""

    async def forward(self, repo: RepositoryRef, branch: str, commit: str, folder: Path) -> str:
        """Fast-forward `folder` to `commit` of `branch`, never forced; where it was, empty if it had it already.

        Raises NotFound if it is no checkout, NotFastForward with the reason why it is left as it is, GitError.
        """
        ...
