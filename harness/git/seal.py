"""An agent's commits rewritten with our trailers: what gates judge and what is published.

Author, dates, message and the shape of the history stay; `result.md` goes, because a document is never in the commit
(contract 2). The same commits and trailers always give the same seal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.git.run import Git
from harness.model.errors import GitError

DOCUMENT = "result.md"
MOST_COMMITS = 1000
OURS = b"Harness-"
TRAILER = re.compile(rb"[A-Za-z0-9-]+: \S.*")
SIGNATURES = (b"gpgsig ", b"gpgsig-sha256 ")


async def rewrite(
    git: Git, base: str, head: str, trailers: Sequence[tuple[str, str]], prefix: str = ""
) -> tuple[str, ...]:
    """The new commits for `base..head`, oldest first; the last stands for `head`. `prefix` is put before each subject
    that does not begin with it. Raises GitError if there are none.
    """
    listed = await git.run(
        "rev-list", "--reverse", "--topo-order", f"--max-count={MOST_COMMITS + 1}", f"{base}..{head}"
    )
    commits = listed.text.split()
    if not commits:
        raise GitError("the agent made no commit", hint="see what it left: ./loop wip list")
    if len(commits) > MOST_COMMITS:
        raise GitError(f"more than {MOST_COMMITS} commits in one piece of work")
    trees = await _trees(git, base, commits)
    lines = [f"{key}: {value}".encode() for key, value in trailers]
    renewed: dict[str, str] = {}
    for commit, raw in zip(commits, await _raw(git, commits), strict=True):
        feed = renew(_prefixed(raw, prefix.encode()), trees.get(commit), renewed, lines)
        renewed[commit] = await git.line("hash-object", "-t", "commit", "-w", "--stdin", feed=feed)
    return tuple(renewed[commit] for commit in commits)


def renew(raw: bytes, tree: str | None, renewed: Mapping[str, str], trailers: Sequence[bytes] | None) -> bytes:
    """A commit object with another tree, its parents replaced as in `renewed`, without signature, with trailers; None
    leaves the message as it is.
    """
    header, _, message = raw.partition(b"\n\n")
    lines: list[bytes] = []
    for entry in re.split(rb"\n(?! )", header):
        key, _, value = entry.partition(b" ")
        if entry.startswith(SIGNATURES):
            continue
        if key == b"tree" and tree:
            lines.append(b"tree " + tree.encode())
        elif key == b"parent":
            lines.append(b"parent " + renewed.get(value.decode(), value.decode()).encode())
        else:
            lines.append(entry)
    return b"\n".join(lines) + b"\n\n" + (message if trailers is None else with_trailers(message, trailers))


def _prefixed(raw: bytes, prefix: bytes) -> bytes:
    header, gap, message = raw.partition(b"\n\n")
    message = message.lstrip(b"\r\n")
    return raw if message.startswith(prefix) else header + gap + prefix + message


def with_trailers(message: bytes, trailers: Sequence[bytes]) -> bytes:
    """`message` ending in `trailers`, each once; trailers of ours that the agent wrote itself are dropped."""
    text = message.replace(b"\r\n", b"\n").strip(b"\n") or b"(no message)"
    body, gap, last = text.rpartition(b"\n\n")
    block = last.split(b"\n")
    if not gap or not all(TRAILER.fullmatch(line) for line in block):
        body, block = text, []
    kept = [line for line in block if not line.startswith(OURS) and line not in trailers]
    return b"\n\n".join((body, b"\n".join((*kept, *dict.fromkeys(trailers))))).rstrip(b"\n") + b"\n"


async def _raw(git: Git, commits: Sequence[str]) -> list[bytes]:
    """The commit objects themselves, in one process."""
    out = (await git.run("cat-file", "--batch", feed="\n".join(commits).encode() + b"\n")).out
    objects: list[bytes] = []
    for _ in commits:
        head, _, rest = out.partition(b"\n")
        size = int(head.split()[2])
        objects.append(rest[:size])
        out = rest[size + 1 :]
    return objects


async def _trees(git: Git, base: str, commits: Sequence[str]) -> dict[str, str]:
    """New trees for the commits whose document is not the base's."""
    names = "".join(f"{commit}:{DOCUMENT}\n" for commit in (base, *commits))
    checked = await git.run("cat-file", "--batch-check=%(objectname)", feed=names.encode())
    before, *after = [None if b" missing" in line else line for line in checked.out.splitlines()]
    changed = [commit for commit, found in zip(commits, after, strict=True) if found != before]
    original = (await git.run("ls-tree", "-z", base, "--", DOCUMENT)).out if changed else b""
    return {commit: await _without_document(git, commit, original) for commit in changed}


async def _without_document(git: Git, commit: str, original: bytes) -> str:
    entries = (await git.run("ls-tree", "-z", commit)).out.split(b"\0")
    kept = [entry for entry in entries if entry and not entry.endswith(b"\t" + DOCUMENT.encode())]
    feed = b"".join(entry + b"\0" for entry in kept) + original
    return await git.line("mktree", "-z", feed=feed)
