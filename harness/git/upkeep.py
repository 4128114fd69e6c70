"""Workspaces and refs over time: how much there is, whose refs are old, and that `git gc` takes nothing we borrow."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from harness.git.record import META, Records
from harness.git.repository import opened
from harness.git.run import Git, readable
from harness.git.wip import SUBJECT
from harness.git.workspace_health import names
from harness.model.home import CACHES
from harness.ports import RepositoryRef

KEPT = frozenset({"claimed", "verified"})
_FIELDS = "%(refname)%00%(objectname)%00%(contents:subject)"


@dataclass(frozen=True, slots=True)
class _Ref:
    name: str
    commit: str
    item: str

    @property
    def last(self) -> str:
        return self.name.rpartition("/")[2]


class GitUpkeep:
    """Implements ports.Upkeep on the workspaces of `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._records = Records(root / META)

    async def names(self) -> Sequence[str]:
        return await asyncio.to_thread(names, self._root, self._records)

    async def sizes(self) -> Mapping[str, int]:
        found = await self.names()
        folders = {name: (self._root / name, self._root / CACHES / name) for name in found}
        return {name: await asyncio.to_thread(_bytes_in, *pair) for name, pair in folders.items()}

    async def drop_old_refs(self, repo: RepositoryRef, is_old: Callable[[str], Awaitable[bool]]) -> Sequence[str]:
        return await drop_old_refs(opened(repo), is_old)

    async def keep_bases(self, repo: RepositoryRef) -> None:
        found = [self._records.load(name) for name in self._records.items()]
        ours = {record.item: record.base for record in found if record is not None and record.path == str(repo.path)}
        await keep_bases(opened(repo), f"{crc32(str(self._root).encode()):08x}", ours)


def _bytes_in(*folders: Path) -> int:
    """What is on the disk, hard links once; what goes away meanwhile does not count."""
    seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        for parent, _, files in os.walk(folder):
            for name in files:
                with contextlib.suppress(FileNotFoundError):
                    found = (Path(parent) / name).lstat()
                    seen[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(seen.values())


async def drop_old_refs(git: Git, is_old: Callable[[str], Awaitable[bool]]) -> Sequence[str]:
    """Delete the refs of items that are old, autosaves of their sessions among them; what was deleted.

    An item's refs stay, all of them, while its proved or claimed work is on no branch. A ref that has moved meanwhile
    stays as well. Raises GitError.
    """
    going: list[_Ref] = []
    for item, refs in (await _by_item(git)).items():
        if await is_old(item) and await _on_branches(git, refs):
            going += refs
    if going:
        feed = "".join(f"delete {ref.name} {ref.commit}\n" for ref in going)
        await git.run("update-ref", "--stdin", feed=feed.encode())
    return [ref.name for ref in going]


async def _by_item(git: Git) -> Mapping[str, list[_Ref]]:
    listed = await git.run("for-each-ref", f"--format={_FIELDS}", "refs/harness/")
    found: defaultdict[str, list[_Ref]] = defaultdict(list)
    for line in readable(listed.out).splitlines():
        name, commit, subject = line.split("\0", 2)
        parts = name.split("/")
        if len(parts) == 5 and parts[3] == "wip" and subject.startswith(SUBJECT):
            found[subject.removeprefix(SUBJECT)].append(_Ref(name, commit, parts[2]))
        elif len(parts) == 4:
            found[parts[2]].append(_Ref(name, commit, parts[2]))
    return found


async def _on_branches(git: Git, refs: Sequence[_Ref]) -> bool:
    """Whether all work that was kept for its branch is on one."""
    for ref in refs:
        if ref.last in KEPT:
            asked = ("for-each-ref", "--count=1", f"--contains={ref.commit}", "--format=%(refname)", "refs/heads")
            if not await git.line(*asked):
                return False
    return True


async def keep_bases(git: Git, home: str, bases: Mapping[str, str]) -> None:
    """Let `refs/harness-bases/<home>/<item>` be exactly `bases`: a rewritten branch and `git gc` then take no object
    from a workspace that borrows it. Two homes on one repository do not meet. Raises GitError.
    """
    folder = f"refs/harness-bases/{home}"
    listed = await git.run("for-each-ref", "--format=%(refname) %(objectname)", f"{folder}/")
    before = dict(line.split(" ") for line in listed.text.splitlines())
    after = {f"{folder}/{item}": base for item, base in bases.items()}
    lines = [f"update {ref} {base}\n" for ref, base in after.items() if before.get(ref) != base]
    lines += [f"delete {ref}\n" for ref in before if ref not in after]
    if lines:
        await git.run("update-ref", "--stdin", feed="".join(lines).encode())
