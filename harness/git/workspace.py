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
from harness.git.adopt import adopt
from harness.git.mutex import held
from harness.git.record import Record, Records
from harness.git.repository import opened, tip
from harness.git.run import Git, readable
from harness.git.snapshot import Snapshot
from harness.model.errors import GitError, HarnessError, Refused
from harness.model.work import check_id
from harness.ports import Autosave, Clock, RepositoryRef, Seal, Workspace, WorkspaceState

FILE_BYTES = 25 << 20
LAST_FILE_BYTES = 512 << 20
DOCUMENT_BYTES = 1 << 20
BASE_FILE_BYTES = 1 << 20
MOST_COMMITS = 1000


class GitWorkspaces:
    """`root` holds a folder an item and, in `.meta`, what we know about each; `under` bounds every deletion.

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
        self._records = Records(root / ".meta")
        self._clock = clock or SystemClock()
        self._file_bytes = file_bytes

    async def prepare(
        self, repo: RepositoryRef, item: str, *, branch: str | None = None, wip_ref: str | None = None
    ) -> Workspace:
        """A clean workspace at the tip of `branch`, or where `wip_ref` left off.

        Work that was saved on an older base goes on from there: laid over a newer one it would undo what came
        between. Raises GitError, NotFound.
        """
        check_id(item)
        git = opened(repo)
        async with held(self._records.lock(item)):
            await self._replace_existing(item)
            record = await self._plan(git, repo, item, await tip(repo, branch or repo.branch), wip_ref)
            self._records.store(record)
            content = await _commit(git, wip_ref) if wip_ref else None
            excluded = f"/{seal.DOCUMENT}\n"
            workspace = record.workspace(self._root)
            await checkout.create(workspace.path, git, record.head, content=content, excluded=excluded)
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

    async def state(self, workspace: Workspace) -> WorkspaceState:
        """What the agent left. `head` is None if its `.git` cannot be read; then `dirty` is all that is not base.

        A history that does not begin at the base is a problem, and counts as no commits.
        """
        async with held(self._records.lock(workspace.item)):
            if not foreign.is_folder(workspace.path):
                return WorkspaceState(None, (), (), None, problem=f"the workspace {workspace.path} is gone")
            git, record, problem = await self._adopted(workspace)
            now = await snapshot.take(git, limit_bytes=self._file_bytes)
        head = record.head
        commits, stat, changed = await asyncio.gather(
            git.line("rev-list", "--reverse", f"--max-count={MOST_COMMITS}", f"{workspace.base}..{head}"),
            git.line("diff-tree", "--stat=100", "--no-ext-diff", "--no-renames", workspace.base, now.tree),
            _paths(git, head, now.tree),
        )
        dirty = [name for name in (*changed, *now.skipped) if name != seal.DOCUMENT]
        document = workspace.path / seal.DOCUMENT if self._document(workspace) is not None else None
        problem, at = problem or await _aside(git, workspace.base, head), None if problem else head
        return WorkspaceState(at, () if problem else tuple(commits.split()), tuple(dirty), document, stat, problem)

    async def autosave(self, workspace: Workspace, session: str) -> Autosave | None:
        """Save the workspace as it is, with the agent's commits, under refs/harness/<session>/wip/<n>.

        None if it equals this session's last save, or the base, or is gone. What cannot be read, and commits that do
        not hold together, are named in `skipped`; the rest is saved all the same. Raises GitError.
        """
        async with held(self._records.lock(workspace.item)):
            return await self._save(workspace, session)

    async def commit(self, workspace: Workspace, message: str, person: str) -> str:
        """Commit everything that stands there, in the name of a person. Raises GitError; Refused for files that are
        too large or cannot be read.
        """
        async with held(self._records.lock(workspace.item)):
            git, record, problem = await self._adopted(workspace)
            if problem:
                raise GitError(f"{workspace.path} cannot be committed: {problem}", hint="commit there by hand")
            now = await snapshot.take(git, limit_bytes=LAST_FILE_BYTES)
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
            git, record, _ = await self._adopted(workspace)
        at = await tip(workspace.repo, branch)
        parted = await git.run("merge-base", at, record.head, accept=(0, 1))
        return replace(workspace, base=parted.text) if parted.code == 0 else workspace

    async def seal(self, workspace: Workspace, trailers: Sequence[tuple[str, str]]) -> Seal:
        """Take the agent's commits over, rewrite them, keep them under refs/harness/<item>/sealed.

        The agent's own head is kept under refs/harness/<item>/head first. Raises GitError if there is no commit or
        the history does not begin at the base.
        """
        async with held(self._records.lock(workspace.item)):
            git, record, problem = await self._adopted(workspace)
            if problem:
                raise GitError(f"the work of {workspace.item} cannot be sealed: {problem}")
            await git.run("update-ref", f"refs/harness/{workspace.item}/head", record.head)
            if aside := await _aside(git, workspace.base, record.head):
                raise GitError(aside)
            commits = await seal.rewrite(git, workspace.base, record.head, trailers)
            await git.run("update-ref", f"refs/harness/{workspace.item}/sealed", commits[-1])
            self._records.store(replace(record, sealed=record.head))
        return Seal(commits[-1], workspace.base, commits, await _paths(git, workspace.base, commits[-1]))

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
                await self._check_kept(workspace)
            await self._discard(workspace.item)

    async def prune(self, is_wanted: Callable[[str], Awaitable[bool]]) -> Sequence[Path]:
        """Save and remove the workspaces of items that are not wanted, and benches nobody uses; what was removed.

        An item is asked for under the lock of its workspace: whoever leases it later finds the folder gone, not going.
        Raises GitError after the round, naming those that could not be saved: they are still there.
        """
        removed = await bench.sweep(self._benches, under=self._under)
        problems: list[str] = []
        for path in sorted(self._root.iterdir()) if self._root.is_dir() else ():
            if path.name.startswith("."):
                continue
            try:
                async with held(self._records.lock(path.name)):
                    if await is_wanted(path.name):
                        continue
                    await self._replace_existing(path.name)
                removed.append(path)
            except HarnessError as exc:
                problems.append(f"{path}: {exc.message}")
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
            parent = f"{await _commit(git, wip_ref)}^"
            found = await git.run("merge-base", at, parent, accept=(0, 1, 128))
            if found.code == 0:
                base, head = found.text, await git.line("rev-parse", "--verify", parent)
        tree = await git.line("rev-parse", "--verify", f"{base}^{{tree}}")
        created = self._clock.now().isoformat()
        return Record(item, repo.name, str(repo.path), repo.branch, base, tree, head, created)

    async def _replace_existing(self, item: str) -> None:
        """Save what stands where the item's workspace goes, then discard it. The caller holds the item's lock."""
        path, record = self._root / item, self._records.load(item)
        if foreign.is_folder(path) and (record is None or record.ready):
            if record is None:
                raise Refused(f"{path} is no workspace of ours", hint="move it away")
            workspace = record.workspace(self._root)
            saved = await self._save(workspace, item, last=True)
            if saved and saved.skipped:
                snapshot.make_readable(path, saved.skipped)
                await self._save(workspace, item, last=True)
            await self._check_kept(workspace)
        await self._discard(item)

    async def _save(self, workspace: Workspace, session: str, *, last: bool = False) -> Autosave | None:
        if not foreign.is_folder(workspace.path):
            return None
        git, record, problem = await self._adopted(workspace)
        limit = LAST_FILE_BYTES if last else self._file_bytes
        now = await snapshot.take(git, limit_bytes=limit, everything=last)
        if (now.tree, record.head) == (record.base_tree, record.base):
            return None
        if record.saver == session and await _is_saved(git, record, now):
            return None
        ref = await _next_ref(git, session)
        message = f"Autosave of {workspace.item}\n\nHarness-Item: {workspace.item}\nHarness-Session: {session}\n"
        commit = await git.line("commit-tree", now.tree, "-p", record.head, feed=message.encode())
        await git.run("update-ref", ref, commit, "0" * len(commit))
        saved = replace(record, saver=session, saved=commit, saved_tree=now.tree, saved_head=record.head, saved_ref=ref)
        self._records.store(saved)
        return Autosave(ref, commit, now.tree, (*now.skipped, *([f".git: {problem}"] if problem else [])))

    async def _adopted(self, workspace: Workspace) -> tuple[Git, Record, str]:
        """Our git, the record with every commit of the agent taken over, and what stood in the way of that."""
        record = self._records.load(workspace.item)
        if record is None:
            raise GitError(f"nothing is known about the workspace {workspace.path}", hint="./loop queue retry ITEM")
        git = replace(opened(workspace.repo), work_tree=workspace.path, index=self._records.index(workspace.item))
        head, objects = foreign.head(workspace.path), foreign.objects(workspace.path)
        if head is None or objects is None:
            return git, record, "its .git is missing or cannot be read"
        if head == record.head:
            return git, record, ""
        try:
            plain = replace(git, work_tree=None, index=None)
            await adopt(plain, objects, head, record.base, self._records.scratch(workspace.item))
        except GitError as exc:
            return git, record, exc.message
        await snapshot.align(git, head)
        record = replace(record, head=head)
        self._records.store(record)
        return git, record, ""

    async def _check_kept(self, workspace: Workspace) -> None:
        """Raises Refused unless a ref holds what stands in the folder now."""
        git, record, problem = await self._adopted(workspace)
        now = await snapshot.take(git, limit_bytes=LAST_FILE_BYTES, everything=True)
        if now.skipped or not await self._kept(git, record, now):
            what = f"files that are nowhere else: {', '.join(now.skipped[:5])}" if now.skipped else "unsaved work"
            raise Refused(
                f"{workspace.path} holds {what}",
                hint="save what is needed there, then move the folder away",
                cause=problem,
            )

    async def _kept(self, git: Git, record: Record, now: Snapshot) -> bool:
        if (now.tree, record.head) == (record.base_tree, record.base) or await _is_saved(git, record, now):
            return True
        if record.sealed != record.head or not await _holds(git, f"refs/harness/{record.item}/head", record.head):
            return False
        return set(await _paths(git, record.head, now.tree)) <= {seal.DOCUMENT}

    async def _discard(self, item: str) -> None:
        await asyncio.to_thread(fs.discard, self._root / item, under=self._under)
        self._records.forget(item)

    def _document(self, workspace: Workspace) -> bytes | None:
        return foreign.read(workspace.path, seal.DOCUMENT, limit=DOCUMENT_BYTES)


async def _paths(git: Git, before: str, after: str) -> tuple[str, ...]:
    """The files that differ between two commits or trees."""
    listed = await git.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", before, after)
    return tuple(map(readable, listed.names))


async def _is_saved(git: Git, record: Record, now: Snapshot) -> bool:
    """Whether the last autosave is of what stands there now, and still under its ref: anybody can delete a ref."""
    same = (record.saved_tree, record.saved_head) == (now.tree, record.head)
    return same and await _holds(git, record.saved_ref, record.saved)


async def _holds(git: Git, ref: str, commit: str) -> bool:
    found = await git.run("show-ref", "--verify", "--hash", "--end-of-options", ref, accept=(0, 128))
    return found.code == 0 and found.text == commit


async def _aside(git: Git, base: str, head: str) -> str:
    """Why the commits up to `head` are no work on top of `base`; empty if they are."""
    if await git.holds("merge-base", "--is-ancestor", base, head):
        return ""
    at = f"{head[:12]} does not descend from its base {base[:12]}"
    return f"{at}: the history was rewritten or another branch checked out"


async def _commit(git: Git, ref: str) -> str:
    found = await git.run("show-ref", "--verify", "--hash", "--end-of-options", ref, accept=(0, 128))
    if found.code:
        raise GitError(f"there is no {ref} in {git.git_dir}", hint="./loop wip list")
    return found.text


async def _next_ref(git: Git, session: str) -> str:
    folder = f"refs/harness/{session}/wip"
    listed = await git.run("for-each-ref", "--format=%(refname)", f"{folder}/")
    numbers = [int(name.rsplit("/", 1)[1]) for name in listed.text.splitlines() if name.rsplit("/", 1)[1].isdigit()]
    return f"{folder}/{max(numbers, default=0) + 1}"
