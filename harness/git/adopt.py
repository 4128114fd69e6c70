"""Taking an agent's commits into the registered repository, by content, without running anything of the agent's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.git.run import Git
from harness.model.errors import GitError

UNPACK_BELOW = 100  # as git fetch: few objects go in loose, many as one pack


async def adopt(git: Git, objects: Path, head: str, base: str, scratch: Path) -> None:
    """Copy what `head` needs beyond `base` from the agent's `objects`, every object hashed and checked on the way in.

    Idempotent. Raises GitError if something is missing or malformed; then nothing points to what was copied.
    """
    try:
        borrowing = replace(git, borrowed=objects)
        revisions = f"{head}\n^{base}\n".encode()
        await borrowing.run("pack-objects", "--revs", "--stdout", "--quiet", feed=revisions, sink=scratch)
        if _count(scratch) < UNPACK_BELOW:
            await git.run("unpack-objects", "--strict", "-q", feed=scratch)
        else:
            await git.run("index-pack", "--strict", "--stdin", feed=scratch)
        await git.run("rev-list", "--objects", "--quiet", head, f"^{base}")
    except GitError as exc:
        raise GitError(f"the commits up to {head[:12]} cannot be taken over: {exc.message}", cause=exc.cause) from exc
    finally:
        scratch.unlink(missing_ok=True)


def _count(pack: Path) -> int:
    """The number of objects, bytes 8 to 12 of a pack."""
    with pack.open("rb") as file:
        return int.from_bytes(file.read(12)[8:12], "big")
