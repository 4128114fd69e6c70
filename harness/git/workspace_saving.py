"""Saving what stands in a workspace, taking the agent's commits over, and letting a folder go once refs hold it all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from harness import fs
from harness.git import foreign, seal, snapshot
from harness.git.adopt import adopt
from harness.git.index_file import clear_stale_lock, is_whole
from harness.git.record import Record, Records
from harness.git.repository import opened
from harness.git.run import Git
from harness.git.snapshot import Snapshot
from harness.git.workspace_refs import changed_paths, holds, is_saved, next_ref
from harness.model.errors import GitError, Refused
from harness.model.home import CACHES
from harness.ports import Autosave, Workspace

FILE_BYTES = 25 << 20
LAST_FILE_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Saver:
    """On the folders of `root`, with what `records` say of each. The caller of every method holds the item's lock.

    `under` bounds deletions; files over `file_bytes` are left out of autosaves.
    """

    root: Path
    under: Path
    records: Records
    file_bytes: int = FILE_BYTES

    async def replace_existing(self, item: str) -> None:
        """Save what stands where the item's workspace goes, then discard it."""
        path, record = self.root / item, self.records.load(item)
        if foreign.is_folder(path) and (record is None or record.ready):
            if record is None:
                raise Refused(f"{path} is no workspace of ours", hint="move it away")
            workspace = record.workspace(self.root)
            saved = await self.save(workspace, item, last=True)
            if saved and saved.skipped:
                snapshot.make_readable(path, saved.skipped)
                await self.save(workspace, item, last=True)
            await self.check_kept(workspace)
        await self.discard(item)

    async def save(self, workspace: Workspace, session: str, *, last: bool = False) -> Autosave | None:
        """As `GitWorkspaces.autosave`; `last`: the folder is about to go, so larger files are taken too."""
        if not foreign.is_folder(workspace.path):
            return None
        git, record, problem = await self.adopted(workspace)
        limit = LAST_FILE_BYTES if last else self.file_bytes
        now = await snapshot.take(git, limit_bytes=limit, everything=last, without=record.included)
        if (now.tree, record.head) == (record.base_tree, record.base):
            return None
        if record.saver == session and await is_saved(git, record, now):
            return None
        ref = await next_ref(git, session)
        message = f"Autosave of {workspace.item}\n\nHarness-Item: {workspace.item}\nHarness-Session: {session}\n"
        commit = await git.line("commit-tree", now.tree, "-p", record.head, feed=message.encode())
        await git.run("update-ref", ref, commit, "0" * len(commit))
        saved = replace(record, saver=session, saved=commit, saved_tree=now.tree, saved_head=record.head, saved_ref=ref)
        self.records.store(saved)
        return Autosave(ref, commit, now.tree, (*now.skipped, *([f".git: {problem}"] if problem else [])))

    async def adopted(self, workspace: Workspace) -> tuple[Git, Record, str]:
        """Our git, the record with every commit of the agent taken over, and what stood in the way of that."""
        record = self.records.load(workspace.item)
        if record is None:
            raise GitError(f"nothing is known about the workspace {workspace.path}", hint="./loop queue retry ITEM")
        git = replace(opened(workspace.repo), work_tree=workspace.path, index=self.records.index(workspace.item))
        await self._with_whole_index(git, record)
        head, objects = foreign.head(workspace.path), foreign.objects(workspace.path)
        if head is None or objects is None:
            return git, record, "its .git is missing or cannot be read"
        if head == record.head:
            return git, record, ""
        try:
            plain = replace(git, work_tree=None, index=None)
            await adopt(plain, objects, head, record.base, self.records.scratch(workspace.item))
        except GitError as exc:
            return git, record, exc.message
        await snapshot.align(git, head)
        record = replace(record, head=head)
        self.records.store(record)
        return git, record, ""

    async def _with_whole_index(self, git: Git, record: Record) -> None:
        """Our own index anew if a killed git left half of one, or its lock."""
        index = self.records.index(record.item)
        clear_stale_lock(index)
        if not index.is_file() or not is_whole(await asyncio.to_thread(index.read_bytes)):
            index.unlink(missing_ok=True)
            await git.run("read-tree", record.head)

    async def check_kept(self, workspace: Workspace) -> None:
        """Raises Refused unless a ref holds what stands in the folder now."""
        git, record, problem = await self.adopted(workspace)
        now = await snapshot.take(git, limit_bytes=LAST_FILE_BYTES, everything=True, without=record.included)
        if now.skipped or not await self._kept(git, record, now):
            what = f"files that are nowhere else: {', '.join(now.skipped[:5])}" if now.skipped else "unsaved work"
            raise Refused(
                f"{workspace.path} holds {what}",
                hint="save what is needed there, then move the folder away",
                cause=problem,
            )

    async def _kept(self, git: Git, record: Record, now: Snapshot) -> bool:
        if (now.tree, record.head) == (record.base_tree, record.base) or await is_saved(git, record, now):
            return True
        if record.sealed != record.head or not await holds(git, f"refs/harness/{record.item}/head", record.head):
            return False
        return set(await changed_paths(git, record.head, now.tree)) <= {seal.DOCUMENT}

    async def discard(self, item: str) -> None:
        """Remove the folder and forget it, whatever is in it."""
        await asyncio.to_thread(fs.discard, self.root / item, under=self.under)
        self.records.forget(item)

    async def discard_caches(self, item: str) -> None:
        """The cache folders too: nobody goes on in this workspace. One that is only made anew keeps them."""
        await asyncio.to_thread(fs.discard, self.root / CACHES / item, under=self.under)
