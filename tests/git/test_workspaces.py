"""Workspaces: made clean, saved as they are, sealed with our trailers, never removed unsaved (O13, architecture 6)."""

import asyncio
import os
from pathlib import Path

import pytest

from harness.model.errors import GitError, NotFound, Refused, Usage
from harness.ports import RepositoryRef, Workspace
from tests.git.support import TRAILERS, World, commit, git, make_repository, world


async def test_a_workspace_is_a_clean_detached_repository_without_a_remote(here: World) -> None:
    here.git("tag", "v1")
    workspace = await here.prepare()
    assert git(workspace.path, "rev-parse", "HEAD") == workspace.base == here.git("rev-parse", "main")
    assert git(workspace.path, "status", "--porcelain") == ""
    assert git(workspace.path, "symbolic-ref", "-q", "HEAD", accept=(1,)) == ""
    assert git(workspace.path, "remote") == ""
    assert git(workspace.path, "describe", "--tags") == "v1"
    assert git(workspace.path, "rev-parse", "origin/main") == workspace.base


async def test_the_users_checkout_is_untouched_by_everything_before_integration(here: World) -> None:
    before = (here.git("status", "--porcelain"), here.git("rev-parse", "HEAD"), (here.repo.path / ".git/index").stat())
    workspace = await here.prepare()
    commit(workspace.path, "Work", new__txt="x")
    (workspace.path / "dirty.txt").write_text("y")
    await here.workspaces.autosave(workspace, "ses_1")
    await here.workspaces.seal(workspace, TRAILERS)
    assert (here.repo.path / ".git/index").stat() == before[2]
    assert (here.git("status", "--porcelain"), here.git("rev-parse", "HEAD")) == before[:2]


async def test_an_autosave_holds_changed_new_and_deleted_files_but_no_ignored_ones(here: World) -> None:
    workspace = await here.prepare()
    (workspace.path / "a.txt").write_text("changed")
    (workspace.path / "b.txt").unlink()
    (workspace.path / "sub").mkdir()
    (workspace.path / "sub" / "c.txt").write_text("new")
    (workspace.path / "ignored").write_text("junk")
    before = git(workspace.path, "status", "--porcelain")
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    assert saved.ref == "refs/harness/ses_1/wip/1"
    assert here.files(saved.ref) == {".gitignore": "ignored", "a.txt": "changed", "sub/c.txt": "new"}
    assert git(workspace.path, "status", "--porcelain") == before


async def test_an_autosave_holds_commits_the_agent_has_not_sealed(here: World) -> None:
    workspace = await here.prepare()
    made = commit(workspace.path, "Work", new__txt="x")
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    assert here.git("rev-parse", f"{saved.ref}^") == made
    assert here.git("rev-parse", f"{saved.ref}^{{tree}}") == here.git("rev-parse", f"{made}^{{tree}}")


async def test_nothing_is_saved_twice_and_the_base_is_not_saved_at_all(here: World) -> None:
    workspace = await here.prepare()
    assert await here.workspaces.autosave(workspace, "ses_1") is None
    (workspace.path / "a.txt").write_text("changed")
    assert await here.workspaces.autosave(workspace, "ses_1") is not None
    assert await here.workspaces.autosave(workspace, "ses_1") is None
    other = await here.workspaces.autosave(workspace, "ses_2")
    assert other is not None, "another session has a save of its own to go on from"
    (workspace.path / "a.txt").write_text("again")
    again = await here.workspaces.autosave(workspace, "ses_2")
    assert again is not None
    assert again.ref == "refs/harness/ses_2/wip/2"


async def test_a_saved_workspace_comes_back_exactly(here: World) -> None:
    workspace = await here.prepare()
    made = commit(workspace.path, "Half", half__txt="half")
    (workspace.path / "a.txt").write_text("changed")
    (workspace.path / "new.sh").write_text("#!/bin/sh\n")
    (workspace.path / "new.sh").chmod(0o755)
    (workspace.path / "link").symlink_to("a.txt")
    (workspace.path / "b.txt").unlink()
    status = git(workspace.path, "status", "--porcelain")
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    again = await here.workspaces.prepare(here.repo, "item-1", wip_ref=saved.ref)
    assert git(again.path, "rev-parse", "HEAD") == made
    assert again.base == workspace.base
    assert git(again.path, "status", "--porcelain") == status
    assert os.access(again.path / "new.sh", os.X_OK)
    assert (again.path / "link").readlink() == Path("a.txt")


async def test_saved_work_goes_on_from_its_own_base_when_the_branch_has_moved(here: World) -> None:
    workspace = await here.prepare()
    (workspace.path / "a.txt").write_text("mine")
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    commit(here.repo.path, "Elsewhere", b__txt="theirs")
    again = await here.workspaces.prepare(here.repo, "item-1", wip_ref=saved.ref)
    assert again.base == workspace.base
    assert git(again.path, "status", "--porcelain") == "M a.txt", "what others did is not undone"


async def test_preparing_again_saves_what_stands_there_first(here: World) -> None:
    workspace = await here.prepare()
    (workspace.path / "a.txt").write_text("unsaved")
    await here.prepare()
    assert (workspace.path / "a.txt").read_text() == "one\n"
    assert here.files("refs/harness/item-1/wip/1")["a.txt"] == "unsaved"


async def test_a_large_file_is_named_in_autosaves_and_still_saved_before_it_is_removed(here: World) -> None:
    workspace = await here.prepare()
    with (workspace.path / "big.bin").open("wb") as file:
        file.truncate(30 << 20)
    (workspace.path / "a.txt").write_text("changed")
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    assert saved.skipped == ("big.bin",)
    assert "big.bin" not in here.git("ls-tree", "-r", "--name-only", saved.ref)
    assert (await here.workspaces.state(workspace)).dirty == ("a.txt", "big.bin")
    with pytest.raises(Refused, match="unsaved"):
        await here.workspaces.remove(workspace)
    await here.prepare()
    assert here.git("cat-file", "-s", "refs/harness/item-1/wip/1:big.bin") == str(30 << 20)


async def test_the_state_tells_commits_dirt_and_document(here: World) -> None:
    workspace = await here.prepare()
    made = [commit(workspace.path, "One", c__txt="1"), commit(workspace.path, "Two", d__txt="2")]
    (workspace.path / "a.txt").write_text("changed")
    (workspace.path / "result.md").write_text("# Report")
    state = await here.workspaces.state(workspace)
    assert state.head == made[-1]
    assert state.commits == tuple(made)
    assert state.dirty == ("a.txt",)
    assert state.document == workspace.path / "result.md"
    assert "4 files changed" in state.diffstat
    git(workspace.path, "checkout", "-q", "a.txt")
    assert (await here.workspaces.state(workspace)).dirty == ()


async def test_a_document_is_copied_only_if_it_is_a_small_regular_file(here: World, tmp_path: Path) -> None:
    workspace = await here.prepare()
    result, target = workspace.path / "result.md", tmp_path / "out" / "result.md"
    assert await here.workspaces.document(workspace, target) is None
    result.symlink_to("/etc/passwd")
    assert await here.workspaces.document(workspace, target) is None
    result.unlink()
    os.mkfifo(result)
    assert await here.workspaces.document(workspace, target) is None
    result.unlink()
    result.write_bytes(b"x" * ((1 << 20) + 1))
    assert await here.workspaces.document(workspace, target) is None
    result.write_text("# Report")
    assert await here.workspaces.document(workspace, target) == target
    assert target.read_text() == "# Report"


async def test_a_seal_keeps_author_and_shape_and_adds_each_trailer_once(here: World) -> None:
    workspace = await here.prepare()
    git(workspace.path, "checkout", "-q", "-b", "side")
    commit(workspace.path, "Side\n\nHarness-Item: forged\nSigned-off-by: Ada <ada@example.org>", side__txt="s")
    git(workspace.path, "checkout", "-q", "--detach", workspace.base)
    commit(workspace.path, "Straight", straight__txt="t")
    git(workspace.path, "merge", "-q", "--no-ff", "-m", "Both", "side")
    seal = await here.workspaces.seal(workspace, TRAILERS)
    assert here.git("rev-parse", "refs/harness/item-1/sealed") == seal.commit
    assert len(seal.commits) == 3
    assert seal.paths == ("side.txt", "straight.txt")
    assert here.git("log", "-1", "--format=%an <%ae> %s", seal.commit) == "Ada <ada@example.org> Both"
    assert len(here.git("log", "-1", "--format=%p", seal.commit).split()) == 2
    bodies = here.git("log", "--format=%(trailers:key=Harness-Item,valueonly)", f"{seal.base}..{seal.commit}")
    assert bodies.split() == ["item-1"] * 3
    assert "Signed-off-by: Ada" in here.git("log", "--format=%B", "-1", "--grep=Side", seal.commit)
    assert here.git("rev-parse", f"{seal.commit}^{{tree}}") == git(workspace.path, "rev-parse", "HEAD^{tree}")
    assert await here.workspaces.seal(workspace, TRAILERS) == seal, "sealing again gives the same commits"


async def test_a_document_is_never_in_the_seal(here: World) -> None:
    workspace = await here.prepare()
    (workspace.path / ".git/info/exclude").write_text("")
    commit(workspace.path, "Work and report", c__txt="c", result__md="# Report")
    commit(workspace.path, "More", d__txt="d")
    seal = await here.workspaces.seal(workspace, TRAILERS)
    assert seal.paths == ("c.txt", "d.txt")
    assert all("result.md" not in here.files(made) for made in seal.commits)


async def test_a_result_of_the_repository_itself_stays_as_it_is(here: World) -> None:
    commit(here.repo.path, "Ours", result__md="ours")
    workspace = await here.prepare()
    commit(workspace.path, "Work", c__txt="c", result__md="the agent's")
    seal = await here.workspaces.seal(workspace, TRAILERS)
    assert seal.paths == ("c.txt",)
    assert here.files(seal.commit)["result.md"] == "ours"


async def test_without_a_commit_there_is_nothing_to_seal(here: World) -> None:
    workspace = await here.prepare()
    (workspace.path / "a.txt").write_text("changed")
    with pytest.raises(GitError, match="no commit"):
        await here.workspaces.seal(workspace, TRAILERS)


async def test_a_workspace_goes_only_when_refs_hold_its_content(here: World) -> None:
    workspace = await here.prepare()
    commit(workspace.path, "Work", c__txt="c")
    with pytest.raises(Refused, match="unsaved work"):
        await here.workspaces.remove(workspace)
    await here.workspaces.seal(workspace, TRAILERS)
    (workspace.path / "late.txt").write_text("after the seal")
    with pytest.raises(Refused, match="unsaved work"):
        await here.workspaces.remove(workspace)
    await here.workspaces.autosave(workspace, "ses_1")
    await here.workspaces.remove(workspace)
    assert not workspace.path.exists()
    await here.workspaces.remove(workspace)  # gone is gone


async def test_a_sealed_workspace_goes_with_its_document(here: World) -> None:
    workspace = await here.prepare()
    commit(workspace.path, "Work", c__txt="c")
    (workspace.path / "result.md").write_text("# Report")
    await here.workspaces.seal(workspace, TRAILERS)
    await here.workspaces.remove(workspace)
    assert not workspace.path.exists()


async def test_a_workspace_is_reopened_as_it_was_left_unless_it_is_broken(here: World) -> None:
    workspace = await here.prepare()
    (workspace.path / "a.txt").write_text("changed")
    assert await here.workspaces.reopen(here.repo, "item-1", workspace.base) == workspace
    assert await here.workspaces.reopen(here.repo, "item-1", "0" * 40) is None
    assert await here.workspaces.reopen(here.repo, "item-2", workspace.base) is None
    (workspace.path / ".git" / "HEAD").unlink()
    assert await here.workspaces.reopen(here.repo, "item-1", workspace.base) is None


async def is_kept(item: str) -> bool:
    return item == "kept"


async def test_pruning_saves_first_and_leaves_what_is_kept(here: World) -> None:
    kept, gone = await here.prepare("kept"), await here.prepare("gone")
    (gone.path / "a.txt").write_text("unsaved")
    stranger = here.state / "worktrees" / "stranger"
    stranger.mkdir()
    with pytest.raises(GitError, match="1 workspaces") as failed:
        await here.workspaces.prune(is_kept)
    assert "stranger" in failed.value.cause
    assert stranger.is_dir()
    assert kept.path.is_dir()
    assert not gone.path.exists()
    assert here.files("refs/harness/gone/wip/1")["a.txt"] == "unsaved"


async def test_a_workspace_that_is_opened_while_pruning_looks_at_it_is_there_or_gone_never_going(here: World) -> None:
    workspace = await here.prepare("item-1")
    asked, leased = asyncio.Event(), False

    async def is_wanted(_item: str) -> bool:
        asked.set()
        await asyncio.sleep(0)
        return leased

    async def opens() -> Workspace | None:
        await asked.wait()
        return await here.workspaces.reopen(here.repo, "item-1", workspace.base)

    _removed, found = await asyncio.gather(here.workspaces.prune(is_wanted), opens())
    assert found is None
    await here.prepare("item-1")
    leased = True
    await here.workspaces.prune(is_wanted)
    assert workspace.path.is_dir()


async def test_a_preparation_that_was_cut_short_leaves_nothing_in_the_way(here: World) -> None:
    lost = f"100644 blob {'1' * 40}\tlost.txt\n".encode()
    tree = git(here.repo.path, "mktree", "--missing", feed=lost)
    here.git("update-ref", "refs/harness/x/wip/1", here.git("commit-tree", tree, "-p", "main", "-m", "Damaged"))
    with pytest.raises(GitError):
        await here.workspaces.prepare(here.repo, "item-1", wip_ref="refs/harness/x/wip/1")
    assert (here.state / "worktrees" / "item-1" / ".git").is_dir()
    workspace = await here.prepare()
    assert git(workspace.path, "status", "--porcelain") == ""
    assert here.git("for-each-ref", "refs/harness/item-1") == ""


async def test_base_files_come_from_the_commit_and_links_inside_it_are_followed(here: World) -> None:
    (here.repo.path / "CLAUDE.md").symlink_to("AGENTS.md")
    (here.repo.path / "OUT.md").symlink_to("/etc/passwd")
    made = commit(here.repo.path, "Guides", AGENTS__md="Be kind.\n")
    (here.repo.path / "AGENTS.md").write_text("changed since")
    assert await here.workspaces.base_file(here.repo, made, "CLAUDE.md") == "Be kind.\n"
    assert await here.workspaces.base_file(here.repo, made, "OUT.md") is None
    assert await here.workspaces.base_file(here.repo, made, "NONE.md") is None


async def test_what_is_no_repository_or_has_no_such_branch_is_named(here: World, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        await here.workspaces.prepare(RepositoryRef("x", tmp_path / "none", "main"), "i")
    with pytest.raises(NotFound, match="no git repository"):
        await here.workspaces.prepare(RepositoryRef("x", tmp_path, "main"), "i")
    with pytest.raises(NotFound, match="no branch 'other'") as missing:
        await here.workspaces.prepare(here.repo, "i", branch="other")
    assert "main" in missing.value.hint
    with pytest.raises(Usage):
        await here.workspaces.prepare(here.repo, "../i")


@pytest.mark.parametrize("kind", ["bare", "linked", "sha256", "detached", "colon"])
async def test_every_kind_of_repository_serves(tmp_path: Path, kind: str) -> None:
    path = make_repository(tmp_path / "app")
    if kind == "bare":
        git(tmp_path, "clone", "-q", "--bare", str(path), "bare.git")
        path = tmp_path / "bare.git"
    elif kind == "linked":
        git(path, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
        path = tmp_path / "linked"
    elif kind == "sha256":
        path = tmp_path / "sha"
        path.mkdir()
        git(path, "init", "-q", "-b", "main", "--object-format=sha256")
        commit(path, "First", a__txt="one\n")
    elif kind == "detached":
        git(path, "checkout", "-q", "--detach")
    place = tmp_path / ("with:colon" if kind == "colon" else "place")
    here = world(place, path)
    seal = await here.sealed("item-1", new__txt="x")
    tip = await here.merger.tip(here.repo, "main")
    async with here.merger.bench(here.repo, seal.commit) as bench:
        assert git(bench, "status", "--porcelain") == ""
    await here.merger.advance(here.repo, "main", await here.merger.merge(here.repo, seal, tip), tip)
    assert await here.merger.contains(here.repo, "main", seal.commit)


async def test_sixteen_autosaves_at_once_make_one_save(here: World) -> None:
    workspace = await here.prepare()
    (workspace.path / "a.txt").write_text("changed")
    saves = await asyncio.gather(*(here.workspaces.autosave(workspace, "ses_1") for _ in range(16)))
    assert len([saved for saved in saves if saved]) == 1


async def test_sixteen_workspaces_at_once_all_keep_their_work(here: World) -> None:
    async def work(number: int) -> None:
        workspace = await here.prepare(f"item-{number}")
        (workspace.path / "mine.txt").write_text(f"{number}")
        assert await here.workspaces.autosave(workspace, f"ses_{number}")

    await asyncio.gather(*map(work, range(16)))
    found = [here.files(f"refs/harness/ses_{number}/wip/1")["mine.txt"] for number in range(16)]
    assert found == [str(number) for number in range(16)]
    assert here.git("fsck", "--no-dangling") == ""
