"""The one way this program runs git: argument lists, a built environment, switches that keep foreign code out.

What an agent can write (hooks, `.git/config`, attributes, filters, file system monitors) must never meet a git of ours
(D1, research/reliability-security 0.6): every command names the git directory it works on, and that is one no agent
can write.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.git.foreign import REF, SHA
from harness.model.errors import DiskFull, GitError, HarnessError, ToolMissing
from harness.shielded import seen_through

TIMEOUT_SECONDS = 120.0
CAPTURE_BYTES = 64 << 20
ERROR_BYTES = 64 << 10
ERROR_LINES = 6
NO_SPACE = "No space left on device"
RETRY_DELAYS_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)

SWITCHES: Mapping[str, str] = {
    "advice.detachedHead": "false",
    "core.commitGraph": "false",
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.multiPackIndex": "false",
    "core.quotePath": "false",
    "core.safecrlf": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "merge.autoStash": "false",
    "protocol.ext.allow": "never",
    "safe.directory": "*",
    "submodule.recurse": "false",
}
PRIVATE_SWITCHES: Mapping[str, str] = {
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.sparseCheckout": "false",
    "core.splitIndex": "false",
    "core.untrackedCache": "false",
}
"""For folders of ours; in a user's own checkout their sparse patterns and caches hold."""

DURABLE_SWITCHES: Mapping[str, str] = {"core.fsync": "objects,reference", "core.fsyncMethod": "batch"}
"""Work that was saved survives a power cut: git leaves loose objects to the file system otherwise."""

SETTLED_COMMANDS = frozenset({"diff-tree", "merge-base", "rev-list"})
SETTLED_WORD = re.compile(r"-.*|(?:[0-9a-f]{40}|[0-9a-f]{64})(?:\.\.(?:[0-9a-f]{40}|[0-9a-f]{64}))?")
SETTLED_ENTRIES, SETTLED_BYTES = 512, 64 << 10

LOCKED = re.compile(r"\.lock': File exists|unable to lock|Another git process seems to be running", re.IGNORECASE)
IDENTITY: Mapping[str, str] = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "loop"), ("EMAIL", "loop@localhost"))
}


@dataclass(frozen=True, slots=True)
class Result:
    """What one git command left: exit code, output, and the end of its messages."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return readable(self.out).strip()

    @property
    def names(self) -> tuple[bytes, ...]:
        """The fields of a `-z` output."""
        return tuple(name for name in self.out.split(b"\0") if name)


@dataclass(frozen=True, slots=True)
class Git:
    """git on one git directory. `replace()` gives one with a work tree or an index of its own.

    `borrowed` is an agent's object folder, read besides our own objects. `users` is set for a user's own checkout
    alone: there their global configuration holds too, because filters such as LFS live in it. A folder that can be
    made anew need not be `durable`.
    """

    git_dir: Path
    work_tree: Path | None = None
    index: Path | None = None
    borrowed: Path | None = None
    users: bool = False
    durable: bool = True
    timeout_seconds: float = TIMEOUT_SECONDS

    async def settled(self, *arguments: str, accept: Sequence[int] = (0,)) -> Result:
        """The answer of a command about objects named by their full ids: it never changes, so git is asked once.

        Asked again every time: commands other than `diff-tree`, `merge-base` and `rev-list`, abbreviated ids, and
        shallow repositories, whose history can grow at the old end. Raises GitError as `run` does.
        """
        key = (self.git_dir, arguments)
        known = _ANSWERS.get(key)
        if known is not None and known.code in accept:
            return known
        answer = await self.run(*arguments, accept=accept)
        lasting = arguments[0] in SETTLED_COMMANDS and all(map(SETTLED_WORD.fullmatch, arguments[1:]))
        if lasting and len(answer.out) <= SETTLED_BYTES and not (self.git_dir / "shallow").exists():
            _ANSWERS[key] = answer
            while len(_ANSWERS) > SETTLED_ENTRIES:
                _ANSWERS.popitem(last=False)
        return answer

    async def run(
        self,
        *arguments: str,
        feed: bytes | Path = b"",
        sink: Path | None = None,
        accept: Sequence[int] = (0,),
        environment: Mapping[str, str] | None = None,
    ) -> Result:
        """Run one command to its end; `feed` is its input, `sink` a file for its output.

        Waits a little for locks of other git processes. Raises GitError for an exit code that is not in `accept`, for
        more than CAPTURE_BYTES of output and at the timeout; ToolMissing without git.
        """
        variables = {**self._environment(), **(environment or {})}
        for delay in (*RETRY_DELAYS_SECONDS, None):
            result = await self._once(arguments, feed, sink, variables)
            if result.code in accept:
                return result
            if delay is None or not LOCKED.search(result.err):
                break
            await asyncio.sleep(delay)
        raise failure(arguments, result)

    async def line(self, *arguments: str, feed: bytes | Path = b"") -> str:
        """The output of a command that answers with one line."""
        return (await self.run(*arguments, feed=feed)).text

    async def holds(self, *arguments: str) -> bool:
        """The answer of a command that says yes with exit 0 and no with exit 1."""
        return (await self.run(*arguments, accept=(0, 1))).code == 0

    async def descends(self, commit: str, ancestor: str) -> bool:
        """Whether `ancestor` is `commit` or in its history, by full ids. Raises GitError if one is missing."""
        return (await self.settled("merge-base", "--is-ancestor", ancestor, commit, accept=(0, 1))).code == 0

    async def ref(self, name: str) -> str | None:
        """The object a full ref name points to, None without it.

        A loose ref is a file with the id; anything else (packed, symbolic, another ref store) git itself is asked.
        """
        if REF.fullmatch(name):
            with contextlib.suppress(OSError, ValueError):
                text = (self.git_dir / name).read_text(encoding="ascii").strip()
                if SHA.fullmatch(text):
                    return text
        found = await self.run("show-ref", "--verify", "--hash", "--end-of-options", name, accept=(0, 128))
        return found.text if found.code == 0 else None

    def _argv(self, arguments: Sequence[str]) -> list[str]:
        switches = {
            **SWITCHES,
            **({} if self.users else PRIVATE_SWITCHES),
            **(DURABLE_SWITCHES if self.durable else {}),
        }
        return ["git", *(part for key, value in switches.items() for part in ("-c", f"{key}={value}")), *arguments]

    def _environment(self) -> dict[str, str]:
        environment = base_environment(users=self.users) | {"GIT_DIR": str(self.git_dir)}
        if self.work_tree:
            environment["GIT_WORK_TREE"] = str(self.work_tree)
        if self.index:
            environment["GIT_INDEX_FILE"] = str(self.index)
        if self.borrowed:
            environment["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = _quoted(str(self.borrowed))
        return environment

    async def _once(
        self, arguments: Sequence[str], feed: bytes | Path, sink: Path | None, environment: Mapping[str, str]
    ) -> Result:
        with contextlib.ExitStack() as files:
            stdin = files.enter_context(feed.open("rb")) if isinstance(feed, Path) else (PIPE if feed else DEVNULL)
            stdout = files.enter_context(sink.open("wb")) if sink else PIPE
            folder = self.work_tree or self.git_dir
            started = _start(self._argv(arguments), folder, environment, stdin, stdout)
            process, cancelled = await seen_through(started)
        try:
            if cancelled is not None:
                raise cancelled
            async with asyncio.timeout(self.timeout_seconds):
                return await _talk(process, feed if isinstance(feed, bytes) else b"", arguments)
        except TimeoutError as exc:
            limit = f"{self.timeout_seconds:g} s"
            raise GitError(f"{_shown(arguments)} did not end within {limit} in {self.git_dir}") from exc
        finally:
            await _finish(process)


_ANSWERS: OrderedDict[tuple[Path, tuple[str, ...]], Result] = OrderedDict()
"""What `Git.settled` has learnt, oldest first."""


def base_environment(*, users: bool = False) -> dict[str, str]:
    """The whole environment of a git of ours; nothing named GIT_* is inherited."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", "/") if users else "/nonexistent",
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_EDITOR": "false",
        **IDENTITY,
    }
    if not users:
        environment |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ATTR_NOSYSTEM": "1"}
    return environment


def readable(name: bytes) -> str:
    """A file name or message for people: what is not UTF-8 is escaped, so it can be stored and shown anywhere."""
    return name.decode("utf-8", "backslashreplace")


def failure(arguments: Sequence[str], result: Result) -> HarnessError:
    """The error of a command that ended badly. A disk without room is no fault of git's: DiskFull."""
    lines = [line for line in result.err.splitlines() if line.strip()][-ERROR_LINES:]
    last = lines[-1].strip() if lines else "no message"
    message, cause = f"{_shown(arguments)} ended with {result.code}: {last}", "\n".join(lines)
    if NO_SPACE in result.err:
        return DiskFull(message, hint="make space on that volume; the loop goes on by itself", cause=cause)
    return GitError(message, cause=cause)


async def version() -> tuple[int, int]:
    """Major and minor number of the git on PATH. Raises ToolMissing."""
    result = await Git(Path("/")).run("version")
    found = re.search(r"(\d+)\.(\d+)", result.text)
    if not found:
        raise ToolMissing(f"git names no version: {result.text!r}", hint="install git 2.38 or newer")
    return int(found[1]), int(found[2])


async def _start(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: int | IO[bytes], stdout: int | IO[bytes]
) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv, cwd=folder, env=environment, stdin=stdin, stdout=stdout, stderr=PIPE, start_new_session=True
        )
    except FileNotFoundError as exc:
        if not folder.is_dir():
            raise GitError(f"{folder} is not there any more") from exc
        raise ToolMissing("git is not on PATH", hint="apt install git") from exc


async def _talk(process: Process, feed: bytes, arguments: Sequence[str]) -> Result:
    out, err, _ = await asyncio.gather(_all(process.stdout), _end(process.stderr), _write(process.stdin, feed))
    if out is None:
        raise GitError(f"{_shown(arguments)} wrote more than {CAPTURE_BYTES >> 20} MiB")
    return Result(await process.wait(), out, readable(err))


async def _all(stream: asyncio.StreamReader | None) -> bytes | None:
    """Everything a command writes, None if it is more than CAPTURE_BYTES: the rest is read and dropped."""
    parts: list[bytes] = []
    size = 0
    while stream and (part := await stream.read(1 << 16)):
        size += len(part)
        if size <= CAPTURE_BYTES:
            parts.append(part)
    return b"".join(parts) if size <= CAPTURE_BYTES else None


async def _end(stream: asyncio.StreamReader | None) -> bytes:
    """The last ERROR_BYTES of a stream."""
    kept = b""
    while stream and (part := await stream.read(1 << 16)):
        kept = (kept + part)[-ERROR_BYTES:]
    return kept


async def _write(stream: asyncio.StreamWriter | None, feed: bytes) -> None:
    if stream is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # git has ended: its exit code tells why
        stream.write(feed)
        await stream.drain()
    stream.close()


async def _finish(process: Process) -> None:
    """Leave nothing behind: a command that has not ended (timeout, cancellation) goes with its whole group."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


def _quoted(path: str) -> str:
    """A path for a colon-separated variable of git's, C-quoted where a character would be taken for syntax."""
    if ":" not in path and not path.startswith('"'):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _shown(arguments: Sequence[str]) -> str:
    """The command for people, not longer than a line."""
    return f"git {' '.join(arguments)}"[:120]
