"""Ways to bring sealed work and a branch that moved on together, in the order the configuration has them (O12).

    rebase      the work's commits made again on the branch; only for work without merges
    merge       a merge commit of both
    rerere      a person's own resolutions that the repository has recorded (`git rerere`)
    union       lines of both, for paths like changelogs
    regenerate  the branch's file, made anew by a command, for lock files and the like

The last three mend what `merge` left in conflict, each what it can; what is combined is judged by gates like any work.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from harness.git import foreign, seal
from harness.git.run import Git, readable
from harness.git.trees import BASE, OURS, THEIRS, Blob, Merge, merged, three_way, with_files
from harness.model.errors import GitError
from harness.model.globs import covered
from harness.ports import Combined, RepositoryRef, Try, Ways

MOST_REBASED = 200
MOST_TOLD = 10
MOST_BYTES = 64 << 20
Bench = Callable[[str], AbstractAsyncContextManager[Path]]
Regenerate = Callable[[RepositoryRef, Path, str], Awaitable[str]]
"""Runs a command of the operator's in a checkout, contained; what went wrong, empty if nothing did."""
PERSON = re.compile(rb"^(?:author|committer) (.*) <(.*)> (\d+ [+-]\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Combiner:
    """`bench` opens a checkout of a commit; `regenerate` runs commands there, None where nobody can."""

    repo: RepositoryRef
    git: Git
    bench: Bench
    regenerate: Regenerate | None = None

    async def combine(self, work: str, onto: str, ways: Ways) -> Combined:
        """The commit that has both, or None with what is left in conflict. Nothing points to it yet."""
        if await self.git.descends(work, onto):
            return Combined(work)
        tries: list[Try] = []
        state: Merge | None = None
        for way in ways.alone:
            if way == "rebase":
                commit, left = await self._rebased(work, onto)
                if commit is not None:
                    return Combined(commit, (*tries, Try(way)))
                tries.append(Try(way, left))
                continue
            state, said = state or await merged(self.git, onto, work), ""
            if way != "merge" and state.clashes:
                state, said = await self._mended(way, state, work, onto, ways)
            tries.append(Try(way, state.paths, said))
            if not state.clashes:
                return Combined(await merge_commit(self.git, state.tree, onto, work), tuple(tries))
        left = state.paths if state is not None else tries[-1].left if tries else ()
        return Combined(None, tuple(tries), left, await self._theirs(work, onto, left))

    async def _theirs(self, work: str, onto: str, paths: Sequence[str]) -> tuple[str, ...]:
        """The commits of the branch that touched these paths since the work began, newest first."""
        base = (await self.git.settled("merge-base", onto, work)).text
        limits = (f"--max-count={MOST_TOLD}", "--no-show-signature", "--format=%h %s")
        listed = await self.git.run("log", *limits, f"{base}..{onto}", "--", *paths)
        return tuple(listed.text.splitlines())

    # --- rebase -------------------------------------------------------------------------------------------------------

    async def _rebased(self, work: str, onto: str) -> tuple[str | None, tuple[str, ...]]:
        listed = await self.git.line("rev-list", "--reverse", "--topo-order", "--parents", f"{onto}..{work}")
        commits = [line.split() for line in listed.splitlines()]
        if any(len(each) != 2 for each in commits) or len(commits) > MOST_REBASED:
            return None, ("(the work has merges of its own)",)
        head = onto
        for commit, parent in commits:
            step = await three_way(self.git, parent, head, commit)
            if step.clashes:
                return None, step.paths
            raw = (await self.git.run("cat-file", "commit", commit)).out
            renewed = seal.renew(raw, step.tree, {parent: head}, None)
            head = await self.git.line("hash-object", "-t", "commit", "-w", "--stdin", feed=renewed)
        return head, ()

    # --- what mends single paths --------------------------------------------------------------------------------------

    async def _mended(self, way: str, state: Merge, work: str, onto: str, ways: Ways) -> tuple[Merge, str]:
        match way:
            case "rerere":
                return await self._remembered(state, work, onto), ""
            case "union":
                return await self._united(state, ways), ""
            case "regenerate":
                return await self._regenerated(state, onto, ways)
        raise GitError(f"no way to combine work is called {way!r}")

    async def _remembered(self, state: Merge, work: str, onto: str) -> Merge:
        """The merge made once more in a checkout, with the repository's own `rr-cache`; objects go where all are."""
        cache = self.git.git_dir / "rr-cache"
        if not cache.is_dir():
            return state
        async with self.bench(onto) as folder:
            (folder / ".git" / "rr-cache").symlink_to(cache)
            here = Git(folder / ".git", work_tree=folder, durable=False)
            shared = {"GIT_OBJECT_DIRECTORY": str(self.git.git_dir / "objects")}
            rerere = ("-c", "rerere.enabled=true", "-c", "rerere.autoUpdate=true")
            merging = ("merge", "--no-commit", "--no-ff", "--quiet", work)
            await here.run(*rerere, *merging, environment=shared, accept=(0, 1))
            listed = await here.run("ls-files", "-z", "--stage", environment=shared)
        settled = dict(_entries(listed.out))
        return await self._settled(state, {p: blob for p, blob in settled.items() if p in state.clashes})

    async def _united(self, state: Merge, ways: Ways) -> Merge:
        files: dict[bytes, Blob | None] = {}
        for path, stages in state.clashes.items():
            if covered(readable(path), ways.union) and {OURS, THEIRS} <= stages.keys():
                files |= await self._union(path, stages)
        return await self._settled(state, files)

    async def _union(self, path: bytes, stages: Mapping[int, Blob]) -> dict[bytes, Blob | None]:
        """Lines of both sides, the branch's first; nothing for what has no lines (binary files, links)."""
        if not all(blob.mode.startswith("100") for blob in stages.values()):
            return {}
        with tempfile.TemporaryDirectory(prefix="loop-union-") as folder:
            names = []
            for stage in (OURS, BASE, THEIRS):
                file = Path(folder) / str(stage)
                blob = stages.get(stage)
                file.write_bytes((await self.git.run("cat-file", "blob", blob.id)).out if blob else b"")
                names.append(str(file))
            made = await self.git.run("merge-file", "--union", "-p", *names, accept=range(256))
        return {path: Blob(stages[OURS].mode, await self._blob(made.out))} if made.code == 0 else {}

    async def _regenerated(self, state: Merge, onto: str, ways: Ways) -> tuple[Merge, str]:
        said: list[str] = []
        for patterns, command in ways.regenerate:
            wanted = [path for path in state.clashes if covered(readable(path), patterns)]
            if wanted and self.regenerate is not None:
                state, wrong = await self._made_anew(state, onto, wanted, command)
                said += [wrong] if wrong else []
        return state, "\n".join(said)

    async def _made_anew(self, state: Merge, onto: str, wanted: Sequence[bytes], command: str) -> tuple[Merge, str]:
        """The branch's files put back, everything else merged, and the command run on that."""
        assert self.regenerate is not None
        kept = {path: state.clashes[path].get(OURS) for path in wanted}
        start = await with_files(self.git, state.tree, kept)
        commit = await self.git.line("commit-tree", start, "-p", onto, "-m", "to be made anew")
        async with self.bench(commit) as folder:
            if wrong := await self.regenerate(self.repo, folder, command):
                return state, wrong
            files: dict[bytes, Blob | None] = {}
            for path in wanted:
                raw = foreign.read(folder, *path.decode("utf-8", "surrogateescape").split("/"), limit=MOST_BYTES)
                before = kept[path] or Blob("100644", "")
                files[path] = None if raw is None else Blob(before.mode, await self._blob(raw))
        return await self._settled(state, files), ""

    async def _settled(self, state: Merge, files: Mapping[bytes, Blob | None]) -> Merge:
        """The merge with these paths out of conflict."""
        if not files:
            return state
        left = {path: stages for path, stages in state.clashes.items() if path not in files}
        return Merge(await with_files(self.git, state.tree, files), left)

    async def _blob(self, content: bytes) -> str:
        return await self.git.line("hash-object", "-t", "blob", "-w", "--stdin", "--no-filters", feed=content)


def _entries(listing: bytes) -> list[tuple[bytes, Blob]]:
    """What `ls-files --stage -z` shows without conflict."""
    found = []
    for entry in listing.split(b"\0"):
        facts, _, path = entry.partition(b"\t")
        mode, name, stage = facts.decode().split() if path else ("", "", "-")
        if stage == "0":
            found.append((path, Blob(mode, name)))
    return found


async def merge_commit(git: Git, tree: str, onto: str, work: str) -> str:
    """A commit of both parents, dated and signed as the work, so that a second attempt makes the same one."""
    raw = (await git.run("cat-file", "commit", work)).out
    subject = raw.partition(b"\n\n")[2].partition(b"\n")[0]
    item = re.search(rb"^Harness-Item: (.+)$", raw, re.MULTILINE)
    people = PERSON.findall(raw)
    environment = {
        f"GIT_{who}_{part}": value.decode("utf-8", "surrogateescape")
        for who in ("AUTHOR", "COMMITTER")
        for part, value in zip(("NAME", "EMAIL", "DATE"), people[-1], strict=True)
    }
    trailer = b"\n\nHarness-Item: " + item[1] if item else b""
    message = b"Merge " + (item[1] if item else work[:12].encode()) + b": " + subject + trailer + b"\n"
    made = await git.run("commit-tree", tree, "-p", onto, "-p", work, feed=message, environment=environment)
    return made.text
