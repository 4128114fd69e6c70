"""Workspaces under state/worktrees: made, saved, sealed and removed without ever trusting what stands in them.

Every git here runs with the registered repository's git directory and an index of ours (architecture 6); the agent's
own `.git` is read as plain files (`foreign`) and its objects are copied in by content (`adopt`).
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness import fs
from harness.clock import SystemClock
from harness.git import bench, by_hand, checkout, foreign, seal, snapshot
from harness.git import workspace_outfit as outfit
from harness.git.mutex import held
from harness.git.record import META, Record, Records
from harness.git.repository import opened, tip
from harness.git.run import Git, readable
from harness.git.workspace_health import Found, look, names
from harness.git.workspace_refs import astray, changed_paths, commit_of
from harness.git.workspace_repair import Repaired, repair
from harness.git.workspace_saving import FILE_BYTES, LAST_FILE_BYTES, Saver
from harness.model.errors import GitError, HarnessError, Refused
from harness.model.work import check_id
from harness.ports import Autosave, Clock, RepositoryRef, Seal, Workspace, WorkspaceState

DOCUMENT_BYTES = 1 << 20
BASE_FILE_BYTES = 1 << 20
MOST_COMMITS = 1000
EXCLUDED = f"/{seal.DOCUMENT}\n"


class GitWorkspaces:
    """`root` holds a folder an item and, in `META`, what we know about each; `under` bounds every deletion.

    Files over `file_bytes` are left out of autosaves; before a folder is removed they are saved up to
    LAST_FILE_BYTES.
    """

    def __init__(
        self,
        root: Path,
        *,
        under: Path,
        benches: Path | None = None,
        clock: Clock | None = None,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        self._root = root
        self._under = under
        self._benches = benches or root / ".benches"
        self._records = Records(root / META)
        self._clock = clock or SystemClock()
        self._file_bytes = file_bytes
        self._saver = Saver(root, under, self._records, file_bytes)

    async def prepare(
        self,
        repo: RepositoryRef,
        item: str,
        *,
        branch: str | None = None,
        wip_ref: str | None = None,
        commit: str | None = None,
    ) -> Workspace:
        """A clean workspace at the tip of `branch`, at `commit`, or where `wip_ref` left off.

        Work that was saved on an older base goes on from there: laid over a newer one it would undo what came
        between. Raises GitError, NotFound.
        """
        check_id(item)
        git = opened(repo)
        async with held(self._records.lock(item)):
            await self._saver.replace_existing(item)
            at = commit or await tip(repo, branch or repo.branch)
            record = await self._plan(git, repo, item, at, wip_ref)
            self._records.store(record)
            content = await commit_of(git, wip_ref) if wip_ref else None
            workspace = record.workspace(self._root)
            await checkout.create(workspace.path, git, record.head, content=content, excluded=EXCLUDED)
            shutil.copy2(workspace.path / ".git" / "index", self._records.index(item))
            self._records.store(replace(record, ready=True))
        return workspace

    async def reopen(self, repo: RepositoryRef, item: str, base: str) -> Workspace | None:
        """The item's workspace as it was left, None if it is gone, broken or of another repository or base."""
        async with held(self._records.lock(item)):
            record = self._records.load(item)
            if not record or not record.ready or (record.path, record.base) != (str(repo.path), base):
                return None
            path = self._root / item
            usable = foreign.is_folder(path) and foreign.head(path) and self._records.index(item).is_file()
        return Workspace(path, repo, base, item) if usable else None

    async def equip(self, workspace: Workspace, include: Sequence[str]) -> None:
        """Bring files of the registered checkout that its commits do not have; they are in no save and no commit.

        Raises Refused for one that is absent, too large, or leads out of the checkout.
        """
        async with held(self._records.lock(workspace.item)):
            record = self._records.load(workspace.item)
            if record is None or (not include and not record.included):
                return
            names = await outfit.include(workspace.repo, workspace.path, record.base, include)
            await asyncio.to_thread(outfit.excluding, workspace.path, names, EXCLUDED)
            self._records.store(replace(record, included=names))

    async def setup_due(self, workspace: Workspace, commands: Sequence[str], inputs: Sequence[str]) -> bool:
        """Whether the commands or a file that `inputs` cover differ from those of the last set-up here."""
        async with held(self._records.lock(workspace.item)):
            git, record, _ = await self._saver.adopted(workspace)
            return record.setup != await outfit.setup_mark(git, record, commands, inputs)

    async def setup_done(self, workspace: Workspace, commands: Sequence[str], inputs: Sequence[str]) -> None:
        """Remember what the set-up that has just ended well was made of."""
        async with held(self._records.lock(workspace.item)):
            git, record, _ = await self._saver.adopted(workspace)
            self._records.store(replace(record, setup=await outfit.setup_mark(git, record, commands, inputs)))

    async def state(self, workspace: Workspace) -> WorkspaceState:
        """What the agent left. `head` is None if its `.git` cannot be read; then `dirty` is all that is not base.

        A history that does not begin at the base is a problem, and counts as no commits.
        """
        async with held(self._records.lock(workspace.item)):
            if not foreign.is_folder(workspace.path):
                return WorkspaceState(None, (), (), None, problem=f"the workspace {workspace.path} is gone")
            git, record, problem = await self._saver.adopted(workspace)
            now = await snapshot.take(git, limit_bytes=self._file_bytes, without=record.included)
        head = record.head
        commits, stat, changed = await asyncio.gather(
            git.settled("rev-list", "--reverse", f"--max-count={MOST_COMMITS}", f"{workspace.base}..{head}"),
            git.settled("diff-tree", "--stat=100", "--no-ext-diff", "--no-renames", workspace.base, now.tree),
            changed_paths(git, head, now.tree),
        )
        dirty = [name for name in (*changed, *now.skipped) if name != seal.DOCUMENT]
        document = workspace.path / seal.DOCUMENT if self._document(workspace) is not None else None
        at = None if problem else head
        problem = problem or await astray(git, workspace.base, head) or await outfit.committed(git, record)
        return WorkspaceState(
            at, () if problem else tuple(commits.text.split()), tuple(dirty), document, stat.text, problem
        )

    async def autosave(self, workspace: Workspace, session: str) -> Autosave | None:
        """Save the workspace as it is, with the agent's commits, under refs/harness/<session>/wip/<n>.

        None if it equals this session's last save, or the base, or is gone. What cannot be read, and commits that do
        not hold together, are named in `skipped`; the rest is saved all the same. Raises GitError.
        """
        async with held(self._records.lock(workspace.item)):
            return await self._saver.save(workspace, session)

    async def commit(self, workspace: Workspace, message: str, person: str) -> str:
        """Commit everything that stands there, in the name of a person. Raises GitError; Refused for files that are
        too large or cannot be read.
        """
        async with held(self._records.lock(workspace.item)):
            git, record, problem = await self._saver.adopted(workspace)
            if problem:
                raise GitError(f"{workspace.path} cannot be committed: {problem}", hint="commit there by hand")
            now = await snapshot.take(git, limit_bytes=LAST_FILE_BYTES, without=record.included)
            if now.skipped:
                raise Refused(f"not to be committed: {', '.join(now.skipped[:10])}", hint="remove or ignore them")
            commit = await by_hand.committed(git, workspace.path, now.tree, record.head, message, person)
            self._records.store(replace(record, head=commit))
        return commit

    async def caught_up(self, workspace: Workspace, branch: str) -> Workspace:
        """As one that begins where its commits and `branch` part: a person may have merged the branch or rebased on it.

        Raises GitError, NotFound without the branch.
        """
        async with held(self._records.lock(workspace.item)):
            git, record, _ = await self._saver.adopted(workspace)
        at = await tip(workspace.repo, branch)
        parted = await git.run("merge-base", at, record.head, accept=(0, 1))
        return replace(workspace, base=parted.text) if parted.code == 0 else workspace

    async def seal(self, workspace: Workspace, trailers: Sequence[tuple[str, str]], prefix: str = "") -> Seal:
        """Take the agent's commits over, rewrite them, keep them under refs/harness/<item>/sealed.

        The agent's own head is kept under refs/harness/<item>/head first. Raises GitError if there is no commit or
        the history does not begin at the base.
        """
        async with held(self._records.lock(workspace.item)):
            git, record, problem = await self._saver.adopted(workspace)
            if problem := problem or await outfit.committed(git, record):
                raise GitError(f"the work of {workspace.item} cannot be sealed: {problem}")
            await git.run("update-ref", f"refs/harness/{workspace.item}/head", record.head)
            if aside := await astray(git, workspace.base, record.head):
                raise GitError(aside)
            commits = await seal.rewrite(git, workspace.base, record.head, trailers, prefix)
            await git.run("update-ref", f"refs/harness/{workspace.item}/sealed", commits[-1])
            self._records.store(replace(record, sealed=record.head))
        return Seal(commits[-1], workspace.base, commits, await changed_paths(git, workspace.base, commits[-1]))

    async def document(self, workspace: Workspace, target: Path) -> Path | None:
        """Copy `result.md` to `target`; None if there is none that is a regular file of at most 1 MiB."""
        content = self._document(workspace)
        if content is None:
            return None
        fs.replace(target, content)
        return target

    async def remove(self, workspace: Workspace) -> None:
        """Discard the folder. Raises Refused unless refs of ours hold its content."""
        async with held(self._records.lock(workspace.item)):
            if foreign.is_folder(workspace.path):
                await self._saver.check_kept(workspace)
            await self._saver.discard(workspace.item)
            await self._saver.discard_caches(workspace.item)

    async def survey(self) -> Sequence[Found]:
        """Every workspace, and what is wrong with it. Nothing is locked and nothing changed."""
        return [await look(self._root, self._records, item) for item in names(self._root, self._records)]

    async def repair(self, item: str) -> Repaired:
        """Save what is left of a broken workspace, then make anew what is broken; its files stay as they are.

        Raises Refused, with the next step, for what cannot be mended; GitError if what is left cannot be saved.
        """
        async with held(self._records.lock(check_id(item))):
            return await repair(self._saver, item, excluded=EXCLUDED)

    async def put_away(self, item: str, is_wanted: Callable[[str], Awaitable[bool]]) -> bool:
        """Save what the workspace of an item holds, then remove it, unless it is wanted; whether it went.

        The item is asked for under the lock of its workspace: whoever leases it later finds the folder gone, not going.
        Raises Refused if something cannot be saved; then nothing is removed.
        """
        async with held(self._records.lock(item)):
            if await is_wanted(item):
                return False
            await self._saver.replace_existing(item)
            await self._saver.discard_caches(item)
        return True

    async def prune(self, is_wanted: Callable[[str], Awaitable[bool]]) -> Sequence[Path]:
        """Put away all that is not wanted, and remove benches that nobody uses; what was removed.

        Raises GitError after the round, naming those that could not be saved: they are still there.
        """
        removed = await bench.sweep(self._benches, under=self._under)
        problems: list[str] = []
        for name in names(self._root, self._records):
            try:
                removed += [self._root / name] if await self.put_away(name, is_wanted) else []
            except HarnessError as exc:
                problems.append(f"{self._root / name}: {exc.message}")
        if problems:
            raise GitError(f"{len(problems)} workspaces could not be saved and stay", cause="\n".join(problems))
        return removed

    async def base_file(self, repo: RepositoryRef, commit: str, path: str) -> str | None:
        """A text file of a commit, links inside the commit followed; None if absent. Raises GitError if it is huge."""
        request = f"{commit}:{path}"
        if "\n" in request:
            return None
        checked = await opened(repo).run("cat-file", "--batch", "--follow-symlinks", feed=f"{request}\n".encode())
        head, _, content = checked.out.partition(b"\n")
        fields = head.rsplit(b" ", 2)
        if len(fields) != 3 or fields[1] != b"blob":
            return None
        if int(fields[2]) > BASE_FILE_BYTES:
            raise GitError(f"{path} of {commit[:12]} has {int(fields[2])} bytes", hint="at most 1 MiB reaches a prompt")
        return readable(content[: int(fields[2])])

    async def _plan(self, git: Git, repo: RepositoryRef, item: str, at: str, wip_ref: str | None) -> Record:
        base, head = at, at
        if wip_ref:
            parent = f"{await commit_of(git, wip_ref)}^"
            found = await git.run("merge-base", at, parent, accept=(0, 1, 128))
            if found.code == 0:
                base, head = found.text, await git.line("rev-parse", "--verify", parent)
        tree = await git.line("rev-parse", "--verify", f"{base}^{{tree}}")
        created = self._clock.now().isoformat()
        return Record(item, repo.name, str(repo.path), repo.branch, base, tree, head, created)

    def _document(self, workspace: Workspace) -> bytes | None:
        return foreign.read(workspace.path, seal.DOCUMENT, limit=DOCUMENT_BYTES)
