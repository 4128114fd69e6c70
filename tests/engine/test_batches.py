"""Work that waits together: proved together where the repository says so, red found, never red on the branch (O3, P27)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.engine.test_integration import elsewhere, repository
from tests.kit.engine import Engine, Step, engine, work
from tests.kit.remote import remote_of

pytestmark = pytest.mark.process
"""Gates of these tests write outside of their own folders."""


def counting(folder: Path, check: str = "true") -> str:
    """A gate that writes down what it judged, once the gate of the first item has been let go."""
    return f"ls *.txt | tr '\\n' ' ' >> {folder}/judged; echo >> {folder}/judged; {check}"


def judged(folder: Path) -> list[list[str]]:
    return [line.split() for line in (folder / "judged").read_text().splitlines()]


def held_back(folder: Path) -> str:
    """The beginning of a gate: the first proof waits until four sessions have ended, so that the others queue up."""
    return f"mkdir {folder}/first 2>/dev/null && while [ $(ls {folder}/ended 2>/dev/null | wc -l) -lt 4 ]; do sleep 0.02; done; "


def queued(folder: Path, name: str) -> tuple[Step, ...]:
    write, commit, complete = work(name)
    return (write, commit, {"run": ["sh", "-c", f"mkdir -p {folder}/ended && touch {folder}/ended/{name}"]}, complete)


async def four(loop: Engine, folder: Path, **more: Any) -> None:
    for name in ("a", "b", "c", "d"):
        await loop.add(name, *queued(folder, name), **more)
    await loop.run(drain=True, workers=4)


def batching(folder: Path, gate: str, batch: int = 8, **more: Any) -> list[dict[str, Any]]:
    return repository(folder, gate=held_back(folder) + gate, integration={"batch": batch}, **more)


async def test_several_that_wait_are_judged_once_and_integrated_one_by_one(tmp_path: Path) -> None:
    repositories = batching(tmp_path, counting(tmp_path), push=True)
    async with engine(tmp_path, repositories=repositories) as loop:
        there = remote_of(loop.repository)
        await four(loop, tmp_path)
        assert await loop.outcomes("a", "b", "c", "d") == ["verified"] * 4
        assert [len(files) for files in judged(tmp_path)] == [1, 4], "one alone, then three at once"
        merges = loop.git("log", "--first-parent", "--format=%s", "main").splitlines()
        assert len(merges) == 5, "one commit an item"
        assert len(there.taken) == 4, "one push an item"
        assert "integration.batched" in loop.heard.kinds()


async def test_the_red_one_is_found_by_halving_and_only_it_goes_back(tmp_path: Path) -> None:
    gate = counting(tmp_path, "! test -f c.txt")
    async with engine(tmp_path, repositories=batching(tmp_path, gate), harness={"max_attempts": 1}) as loop:
        await four(loop, tmp_path, max_attempts=1)
        assert (await loop.item("c")).state == "parked"
        assert await loop.outcomes("a", "b", "d") == ["verified"] * 3
        assert sorted(loop.git("ls-tree", "--name-only", "main").split()) == ["README.md", "a.txt", "b.txt", "d.txt"]
        (attempt,) = await loop.parts.books(lambda s: s.attempts("c"))
        assert (attempt.ending, attempt.counted) == ("gate_failed", True)


async def test_off_by_default_and_for_fixes_of_bugs(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=batching(tmp_path, counting(tmp_path))) as loop:
        await four(loop, tmp_path, kind="bug-fix")
        assert [len(files) for files in judged(tmp_path)] == [1, 2, 3, 4]
    other = tmp_path / "other"
    async with engine(other, repositories=batching(other, counting(other), batch=1)) as loop:
        await four(loop, other)
        assert [len(files) for files in judged(other)] == [1, 2, 3, 4]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("batch", [1, 8])
async def test_green_alone_and_red_together_the_later_goes_back_uncounted(
    tmp_path: Path, order: tuple[str, str], batch: int
) -> None:
    """Whatever order they come in, the branch is never red."""
    check = f"! {{ test -f a.txt && test -f b.txt; }}; s=$?; [ $s = 0 ] || ls *.txt >> {tmp_path}/red; exit $s"
    repositories = repository(tmp_path, gate=check, integration={"batch": batch})
    first, later = order
    async with engine(tmp_path, repositories=repositories, harness={"workers": 2}) as loop:
        await loop.add(first, priority=1)
        slow = {
            "run": [
                "sh",
                "-c",
                f"for i in $(seq 500); do git -C {loop.repository} cat-file -e main:{first}.txt 2>/dev/null && exit; sleep 0.02; done; exit 1",
            ]
        }
        await loop.add(later, slow, *work(later), priority=2)
        await loop.run(max_iterations=2, workers=2)
        assert await loop.outcomes(first) == ["verified"]
        attempts = await loop.parts.books(lambda s: s.attempts(later))
        assert (attempts[0].ending, attempts[0].counted) == ("conflict", False)
        assert "tests" in attempts[0].evidence
        assert loop.git("ls-tree", "--name-only", "main").split() == ["README.md", f"{first}.txt"]


async def test_commits_carry_the_configured_trailers(tmp_path: Path) -> None:
    trailers = ["Co-authored-by: Claude <noreply@example.org>", "Reviewed-by: gates"]
    repositories = repository(tmp_path, gate="true", integration={"trailers": trailers})
    async with engine(tmp_path, repositories=repositories) as loop:
        await loop.add("one")
        await loop.run(once=True)
        message = loop.git("log", "-1", "--format=%B", "main")
        assert message.splitlines()[-5:-3] == trailers
        assert "Harness-Item: one" in message


def conflicting(loop: Engine, theirs: str, ours: str, file: str) -> tuple[Step, ...]:
    write = {"write": {"path": file, "content": ours}}
    return (elsewhere(loop, f"printf '{theirs}' > {file}"), write, {"commit": "ours"}, {"complete": "done"})


async def test_conflicts_are_mended_in_the_configured_order_and_each_try_is_told(tmp_path: Path) -> None:
    settings = {"conflicts": ["rebase", "merge", "union", "agent"], "union": ["*.md"]}
    repositories = repository(tmp_path, gate="true", integration=settings)
    async with engine(tmp_path, repositories=repositories) as loop:
        await loop.add("one", *conflicting(loop, "theirs\\n", "ours\n", "README.md"))
        await loop.run(once=True)
        assert await loop.outcomes("one") == ["verified"]
        assert sorted(loop.git("show", "main:README.md").split()) == ["ours", "theirs"]
        tried = [(e.data["way"], e.data["left"]) for e in loop.heard.entries if e.kind == "integration.tried"]
        assert tried == [("rebase", ["README.md"]), ("merge", ["README.md"]), ("union", [])]


async def test_a_mended_conflict_that_is_red_is_not_integrated(tmp_path: Path) -> None:
    settings = {"conflicts": ["merge", "union", "agent"], "union": ["*.md"]}
    gate = "test $(wc -l < README.md) = 1"
    async with engine(tmp_path, repositories=repository(tmp_path, gate=gate, integration=settings)) as loop:
        await loop.add("one", *conflicting(loop, "theirs\\n", "ours\n", "README.md"))
        await loop.run(once=True)
        (attempt,) = await loop.parts.books(lambda s: s.attempts("one"))
        assert (attempt.ending, loop.git("show", "main:README.md")) == ("conflict", "theirs")


async def test_a_person_is_asked_where_the_order_says_so_with_everything_needed(tmp_path: Path) -> None:
    repositories = repository(tmp_path, gate="true", integration={"conflicts": ["merge", "person"]})
    async with engine(tmp_path, repositories=repositories) as loop:
        await loop.add("one", *conflicting(loop, "theirs\\n", "ours\n", "README.md"))
        await loop.run(once=True)
        item = await loop.item("one")
        assert (item.state, item.attempts) == ("waiting", 0)
        for needed in ("README.md", "theirs", "refs/harness/one/sealed", "queue retry one"):
            assert needed in item.reason


async def test_a_file_that_a_command_makes_is_made_anew_on_the_merged_tree(tmp_path: Path) -> None:
    made = "ls *.txt > all.lock"
    settings = {
        "conflicts": ["merge", "regenerate", "agent"],
        "regenerate": [{"paths": ["*.lock"], "run": made}],
    }
    repositories = repository(tmp_path, gate="ls *.txt | cmp - all.lock", integration=settings)
    async with engine(tmp_path, repositories=repositories) as loop:
        theirs = elsewhere(loop, f"touch theirs.txt && {made}")
        ours: tuple[Step, ...] = (
            {"run": ["sh", "-c", f"touch ours.txt && {made}"]},
            {"commit": "ours"},
            {"complete": "x"},
        )
        await loop.add("one", theirs, *ours)
        await loop.run(once=True)
        assert await loop.outcomes("one") == ["verified"]
        assert loop.git("show", "main:all.lock").split() == ["ours.txt", "theirs.txt"]


async def test_a_resolution_that_the_repository_remembers_is_used_again(tmp_path: Path) -> None:
    repositories = repository(tmp_path, gate="true", integration={"conflicts": ["merge", "rerere", "agent"]})
    async with engine(tmp_path, repositories=repositories) as loop:
        remember(loop)
        await loop.add("one", *conflicting(loop, "theirs\\n", "ours\n", "README.md"))
        await loop.run(once=True)
        assert await loop.outcomes("one") == ["verified"]
        assert loop.git("show", "main:README.md") == "both of us"


def remember(loop: Engine) -> None:
    """A person has resolved this conflict before, and went back."""
    here = loop.repository
    loop.git("config", "rerere.enabled", "true")
    for branch, text in (("one-side", "theirs\n"), ("other-side", "ours\n")):
        loop.git("checkout", "-q", "-b", branch, "main")
        (here / "README.md").write_text(text)
        loop.git("commit", "-qam", branch)
    loop.git("checkout", "-q", "one-side")
    with pytest.raises(subprocess.CalledProcessError):
        loop.git("merge", "other-side")
    (here / "README.md").write_text("both of us\n")
    loop.git("commit", "-qam", "resolved")
    loop.git("checkout", "-q", "main")
