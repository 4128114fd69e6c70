"""The way to the target branch: forward only, never over a person's changes, the same result for the same work."""

import asyncio
from pathlib import Path

import pytest

from harness.git.history import commits
from harness.git.repository import health, probe
from harness.model.errors import Conflict, GitError, NotFastForward, NotFound
from tests.git.support import World, commit, git, make_repository


async def integrate(here: World, item: str, **files: str) -> str:
    seal = await here.sealed(item, **files)
    tip = await here.merger.tip(here.repo, "main")
    merged = await here.merger.merge(here.repo, seal, tip)
    await here.merger.advance(here.repo, "main", merged, tip)
    return merged


async def test_a_checked_out_branch_advances_there_and_is_clean(here: World) -> None:
    merged = await integrate(here, "item-1", new__txt="x", a__txt="changed")
    assert here.git("rev-parse", "HEAD") == merged
    assert here.git("status", "--porcelain") == ""
    assert (here.repo.path / "new.txt").read_text() == "x"


async def test_changes_of_a_person_that_are_not_in_the_way_stay(here: World) -> None:
    (here.repo.path / "b.txt").write_text("a person's")
    (here.repo.path / "notes").write_text("untracked")
    merged = await integrate(here, "item-1", a__txt="changed")
    assert here.git("rev-parse", "main") == merged
    assert here.git("status", "--porcelain").splitlines() == ["M b.txt", "?? notes"]
    assert (here.repo.path / "b.txt").read_text() == "a person's"


@pytest.mark.parametrize("way", ["changed", "staged", "untracked"])
async def test_changes_in_the_way_are_named_and_stay_and_the_branch_is_as_before(here: World, way: str) -> None:
    seal = await here.sealed("item-1", a__txt="agent's", **{"sub dir/größe.txt": "agent's"})
    mine = here.repo.path / ("sub dir/größe.txt" if way == "untracked" else "a.txt")
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("a person's")
    if way == "staged":
        here.git("add", "-A")
    before = here.git("rev-parse", "main")
    with pytest.raises(NotFastForward) as refused:
        await here.merger.advance(here.repo, "main", seal.commit, before)
    assert refused.value.paths == (str(mine.relative_to(here.repo.path)),)
    assert str(here.repo.path) in refused.value.message
    assert mine.read_text() == "a person's"
    assert here.git("rev-parse", "main") == before


async def test_hooks_of_the_checkout_do_not_run(here: World, tmp_path: Path) -> None:
    for name in ("post-merge", "reference-transaction", "post-checkout"):
        hook = here.repo.path / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        hook.chmod(0o755)
    await integrate(here, "item-1", new__txt="x")
    assert not (tmp_path / "ran").exists()


async def test_a_branch_checked_out_in_a_linked_worktree_advances_there(here: World, tmp_path: Path) -> None:
    here.git("checkout", "-q", "--detach")
    here.git("worktree", "add", "-q", str(tmp_path / "linked"), "main")
    merged = await integrate(here, "item-1", new__txt="x")
    assert git(tmp_path / "linked", "rev-parse", "HEAD") == merged
    assert git(tmp_path / "linked", "status", "--porcelain") == ""


async def test_a_branch_nobody_has_checked_out_moves_alone(here: World) -> None:
    here.git("checkout", "-q", "-b", "other")
    merged = await integrate(here, "item-1", new__txt="x")
    assert here.git("rev-parse", "main") == merged
    assert here.git("status", "--porcelain") == ""
    assert not (here.repo.path / "new.txt").exists()


async def test_a_branch_that_moved_meanwhile_is_not_overwritten(here: World) -> None:
    seal = await here.sealed("item-1", new__txt="x")
    moved = commit(here.repo.path, "Meanwhile", b__txt="2")
    with pytest.raises(NotFastForward, match="has moved"):
        await here.merger.advance(here.repo, "main", seal.commit, seal.base)
    with pytest.raises(NotFastForward, match="does not contain"):
        await here.merger.advance(here.repo, "main", seal.commit, moved)
    assert here.git("rev-parse", "main") == moved


async def test_advancing_again_after_a_crash_is_done_already(here: World) -> None:
    merged = await integrate(here, "item-1", new__txt="x")
    await here.merger.advance(here.repo, "main", merged, here.git("rev-parse", "main^"))
    assert await here.merger.contains(here.repo, "main", merged)
    assert len(await here.merger.describe(here.repo, f"{merged}^", merged)) == 1


async def test_only_one_of_many_that_advance_from_the_same_commit_wins(here: World) -> None:
    here.git("checkout", "-q", "--detach")
    seals = [await here.sealed(f"item-{n}", **{f"n{n}": "x"}) for n in range(6)]
    moves = [here.merger.advance(here.repo, "main", seal.commit, seal.base) for seal in seals]
    results = await asyncio.gather(*moves, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["NoneType"] + ["NotFastForward"] * 5


async def test_work_on_an_older_base_is_merged_the_same_way_every_time(here: World) -> None:
    seal = await here.sealed("item-1", new__txt="x")
    tip = commit(here.repo.path, "Meanwhile", b__txt="2")
    merged = await here.merger.merge(here.repo, seal, tip)
    assert await here.merger.merge(here.repo, seal, tip) == merged
    assert here.git("log", "-1", "--format=%s|%an|%P", merged) == (
        f"Merge item-1: Work of item-1|Ada|{tip} {seal.commit}"
    )
    assert here.files(merged)["new.txt"] == "x"
    assert here.files(merged)["b.txt"] == "2"
    await here.merger.advance(here.repo, "main", merged, tip)
    assert here.git("status", "--porcelain") == ""


async def test_a_conflict_names_the_files_and_leaves_everything(here: World) -> None:
    seal = await here.sealed("item-1", a__txt="agent's", **{"sub/c d.txt": "agent's"})
    tip = commit(here.repo.path, "Meanwhile", a__txt="a person's", **{"sub/c d.txt": "a person's"})
    with pytest.raises(Conflict) as conflict:
        await here.merger.merge(here.repo, seal, tip)
    assert conflict.value.paths == ("a.txt", "sub/c d.txt")
    assert here.git("rev-parse", "main") == tip
    assert here.git("status", "--porcelain") == ""


async def test_a_bench_is_clean_usable_by_git_and_gone_whatever_a_gate_leaves(here: World) -> None:
    here.git("tag", "v1")
    seal = await here.sealed("item-1", new__txt="x")
    async with here.merger.bench(here.repo, seal.commit) as bench:
        assert git(bench, "rev-parse", "HEAD") == seal.commit
        assert git(bench, "describe", "--tags").startswith("v1-1-g")
        assert git(bench, "status", "--porcelain") == ""
        locked = bench / "cache" / "deep"
        locked.mkdir(parents=True)
        (locked / "file").write_text("x")
        (bench / "out").symlink_to(here.repo.path)
        locked.chmod(0)
        locked.parent.chmod(0o500)
    assert not bench.exists()
    assert (here.repo.path / "a.txt").exists()
    assert list(bench.parent.iterdir()) == []


async def test_a_bench_goes_when_its_gate_is_cancelled(here: World) -> None:
    entered = asyncio.Event()

    async def gate() -> None:
        async with here.merger.bench(here.repo, here.git("rev-parse", "main")):
            entered.set()
            await asyncio.Event().wait()

    running = asyncio.ensure_future(gate())
    await entered.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert list((here.state / "benches").iterdir()) == []


async def nothing_is_wanted(_item: str) -> bool:
    return False


async def test_pruning_takes_abandoned_benches_and_leaves_those_in_use(here: World) -> None:
    abandoned = here.state / "benches" / "0badbeef"
    abandoned.mkdir(parents=True)
    abandoned.with_suffix(".lock").touch()
    async with here.merger.bench(here.repo, here.git("rev-parse", "main")) as bench:
        assert await here.workspaces.prune(nothing_is_wanted) == [abandoned]
        assert (bench / "a.txt").exists()
    assert not abandoned.exists()


async def test_refs_of_an_item_keep_commits(here: World) -> None:
    seal = await here.sealed("item-1", new__txt="x")
    assert await here.merger.keep(here.repo, "item-1", "verified", seal.commit) == "refs/harness/item-1/verified"
    assert await here.merger.kept(here.repo, "item-1", "verified") == seal.commit
    assert await here.merger.kept(here.repo, "item-1", "claimed") is None


async def test_describing_and_history_read_the_same_commits(here: World) -> None:
    seal = await here.sealed("item-1", a__txt="1\n2\n")
    (line,) = await here.merger.describe(here.repo, seal.base, seal.commit)
    (found,) = commits(here.repo.path, seal.base, seal.commit)
    sha, _, subject = line.partition(" ")
    assert seal.commit.startswith(sha)
    assert (found.sha, found.subject, found.author) == (seal.commit, subject, "Ada")
    assert (found.files, found.insertions, found.deletions) == (1, 2, 1)
    with pytest.raises(GitError, match="not a full commit id"):
        commits(here.repo.path, "--output=/tmp/x", seal.commit)


async def test_probing_finds_the_branch_or_names_what_there_is(here: World, tmp_path: Path) -> None:
    found = await probe(here.repo.path)
    assert (found.name, found.branch) == ("app", "main")
    here.git("branch", "develop")
    with pytest.raises(NotFound) as missing:
        await probe(here.repo.path, "master")
    assert "develop" in missing.value.hint
    assert "main" in missing.value.hint
    here.git("checkout", "-q", "--detach")
    with pytest.raises(NotFound, match="no branch is checked out"):
        await probe(here.repo.path)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NotFound, match="no git repository"):
        await probe(empty)
    git(empty, "init", "-q")
    with pytest.raises(NotFound, match="no commit yet"):
        await probe(empty)
    only = make_repository(tmp_path / "only", branch="trunk")
    git(only, "checkout", "-q", "--detach")
    assert (await probe(only)).branch == "trunk"


async def test_health_sees_lost_objects_and_left_locks(here: World) -> None:
    assert await health(here.repo.path) == await health(here.repo.path, seconds=60)
    assert (await health(here.repo.path)).problems == ()
    blob = here.git("rev-parse", "main:a.txt")
    (here.repo.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    (here.repo.path / ".git/index.lock").touch()
    problems = " ".join((await health(here.repo.path)).problems)
    assert "index.lock" in problems
    assert blob in problems


async def test_a_lock_left_in_the_checkout_makes_the_work_wait(here: World) -> None:
    seal = await here.sealed("item-1", new__txt="x")
    (here.repo.path / ".git/index.lock").touch()
    with pytest.raises(NotFastForward) as refused:
        await here.merger.advance(here.repo, "main", seal.commit, seal.base)
    assert "index.lock" in refused.value.cause
    (here.repo.path / ".git/index.lock").unlink()
    await here.merger.advance(here.repo, "main", seal.commit, seal.base)
