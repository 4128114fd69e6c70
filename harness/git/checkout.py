"""A folder with a git directory of its own that borrows the registered repository's objects (`clone --shared`).

Laid out by hand: no template, no hook, no remote to push to, and a few milliseconds less than `git clone`.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from harness.git.run import Git

CONFIG = """\
[core]
\trepositoryformatversion = {version}
\tbare = false
\tlogAllRefUpdates = true
[gc]
\tauto = 0
[maintenance]
\tauto = false
[advice]
\tdetachedHead = false
"""
SHA256 = "[extensions]\n\tobjectFormat = sha256\n"


async def create(folder: Path, source: Git, commit: str, *, content: str | None = None, excluded: str = "") -> None:
    """Make `folder` (which must not exist) a repository detached at `commit`, its files those of `content`.

    `content` defaults to `commit`; another one leaves its difference uncommitted. `excluded` are ignore patterns for
    the one who works there. Branches of the source appear as `origin/…`, tags as they are. Raises GitError.
    """
    git = await _laid_out(folder, source, commit, excluded)
    await git.run("read-tree", "-u", "--reset", content or commit)
    if content:
        await git.run("read-tree", "-m", commit)


async def renew(folder: Path, source: Git, commit: str, *, excluded: str = "") -> None:
    """A git directory as `create` makes it, for a folder that has lost its own; no other file of it is touched."""
    await (await _laid_out(folder, source, commit, excluded)).run("read-tree", commit)


async def _laid_out(folder: Path, source: Git, commit: str, excluded: str) -> Git:
    refs = await source.run("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
    packed = refs.out.replace(b" refs/heads/", b" refs/remotes/origin/")
    await asyncio.to_thread(_lay_out, folder, source.git_dir, commit, packed, excluded)
    return Git(folder / ".git", work_tree=folder, durable=False)


def _lay_out(folder: Path, source: Path, commit: str, packed_refs: bytes, excluded: str) -> None:
    own = folder / ".git"
    for part in ("objects/info", "objects/pack", "refs/heads", "info"):
        (own / part).mkdir(parents=True)
    sha256 = len(commit) == 64
    (own / "config").write_text(CONFIG.format(version=int(sha256)) + (SHA256 if sha256 else ""), encoding="utf-8")
    (own / "objects/info/alternates").write_text(f"{source / 'objects'}\n", encoding="utf-8")
    (own / "packed-refs").write_bytes(packed_refs)
    (own / "info/exclude").write_text(excluded, encoding="utf-8")
    (own / "HEAD").write_text(f"{commit}\n", encoding="utf-8")
    if (source / "shallow").is_file():
        shutil.copyfile(source / "shallow", own / "shallow")
