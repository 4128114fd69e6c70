"""A broken workspace is mended in place: saved first, its files as they stand, and what cannot be mended is named (O1)."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.git.workspace_health import Fault, Found
from harness.model.errors import Refused
from harness.ports import Workspace
from tests.git.support import World, commit, git


async def found(here: World, item: str = "item-1") -> Found:
    (one,) = [each for each in await here.workspaces.survey() if each.item == item]
    return one


async def worked(here: World) -> tuple[Workspace, str]:
    """A workspace with a commit, a change and an ignored file; and that commit."""
    workspace = await here.prepare()
    made = commit(workspace.path, "Half", half__txt="half")
    (workspace.path / "a.txt").write_text("changed")
    (workspace.path / "ignored").write_text("a build that took an hour")
    return workspace, made


def remove_git(path: Path) -> None:
    shutil.rmtree(path / ".git")


def link_git(path: Path) -> None:
    (path / ".git").rename(path.parent.parent / "elsewhere")
    (path / ".git").symlink_to(path.parent.parent / "elsewhere")


def file_for_git(path: Path) -> None:
    shutil.rmtree(path / ".git")
    (path / ".git").write_text("gitdir: /nowhere\n")


def empty_head(path: Path) -> None:
    (path / ".git/HEAD").write_text("")


def lose_the_way_to_objects(path: Path) -> None:
    (path / ".git/objects/info/alternates").unlink()


GIT_BREAKS = (remove_git, link_git, file_for_git, empty_head, lose_the_way_to_objects)


@pytest.mark.parametrize("break_it", GIT_BREAKS, ids=lambda f: f.__name__)
async def test_a_new_git_directory_goes_around_the_files_that_stand_there(
    here: World, break_it: Callable[[Path], None]
) -> None:
    workspace, made = await worked(here)
    await here.workspaces.autosave(workspace, "ses_1")
    break_it(workspace.path)
    assert (await found(here)).faults == (Fault.GIT,)
    done = await here.workspaces.repair("item-1")
    assert here.files(done.ref)["a.txt"] == "changed"
    assert git(workspace.path, "rev-parse", "HEAD") == made
    assert git(workspace.path, "status", "--porcelain") == "M a.txt"
    assert (workspace.path / "ignored").read_text() == "a build that took an hour"
    assert (await found(here)).faults == ()
    assert await here.workspaces.reopen(here.repo, "item-1", workspace.base) == workspace
    commit(workspace.path, "On", on__txt="on")
    assert len((await here.workspaces.state(workspace)).commits) == 2


def half_an_index(path: Path) -> None:
    raw = (path / ".git/index").read_bytes()
    (path / ".git/index").write_bytes(raw[: len(raw) // 2])


def flipped_bit(path: Path) -> None:
    raw = bytearray((path / ".git/index").read_bytes())
    raw[40] ^= 1
    (path / ".git/index").write_bytes(raw)


@pytest.mark.parametrize("break_it", [half_an_index, flipped_bit], ids=lambda f: f.__name__)
async def test_a_damaged_index_is_made_anew(here: World, break_it: Callable[[Path], None]) -> None:
    workspace, made = await worked(here)
    break_it(workspace.path)
    assert (await found(here)).faults == (Fault.INDEX,)
    done = await here.workspaces.repair("item-1")
    assert here.files(done.ref)["half.txt"] == "half"
    assert git(workspace.path, "rev-parse", "HEAD") == made
    assert git(workspace.path, "status", "--porcelain") == "M a.txt"


async def test_a_lock_that_was_left_is_removed(here: World) -> None:
    workspace, _ = await worked(here)
    (workspace.path / ".git/index.lock").write_text("")
    assert (await found(here)).faults == (Fault.LOCK,)
    await here.workspaces.repair("item-1")
    commit(workspace.path, "Goes on", more__txt="more")
    assert (await found(here)).faults == ()


async def test_a_folder_that_is_gone_is_rebuilt_from_the_last_autosave(here: World) -> None:
    workspace, made = await worked(here)
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    shutil.rmtree(workspace.path)
    assert (await found(here)).faults == (Fault.FOLDER,)
    assert saved.ref in (await here.workspaces.repair("item-1")).done
    assert git(workspace.path, "rev-parse", "HEAD") == made
    assert git(workspace.path, "status", "--porcelain") == "M a.txt"
    assert await here.workspaces.reopen(here.repo, "item-1", workspace.base) == workspace


async def test_a_folder_of_which_nothing_was_saved_begins_at_its_base(here: World) -> None:
    workspace = await here.prepare()
    shutil.rmtree(workspace.path)
    workspace.path.symlink_to("/etc")
    assert "nothing else was saved" in (await here.workspaces.repair("item-1")).done
    assert not workspace.path.is_symlink()
    assert git(workspace.path, "rev-parse", "HEAD") == workspace.base


async def test_a_head_elsewhere_comes_back_to_the_base_and_its_commits_stay_under_the_save(here: World) -> None:
    workspace = await here.prepare()
    git(workspace.path, "checkout", "-q", "--orphan", "aside")
    aside = commit(workspace.path, "Aside", aside__txt="aside")
    assert (await found(here)).faults == (Fault.HEAD,)
    done = await here.workspaces.repair("item-1")
    assert here.git("rev-parse", f"{done.ref}^") == aside
    assert git(workspace.path, "rev-parse", "HEAD") == workspace.base
    assert git(workspace.path, "status", "--porcelain") == "?? aside.txt"
    assert (await here.workspaces.state(workspace)).dirty == ("aside.txt",)


async def test_a_whole_workspace_is_left_alone(here: World) -> None:
    workspace, _ = await worked(here)
    assert (await here.workspaces.repair("item-1")).done == "nothing is wrong with it"
    assert here.git("for-each-ref", "refs/harness") == ""
    assert git(workspace.path, "status", "--porcelain") == "M a.txt"


async def test_what_cannot_be_mended_is_named_with_the_next_step(here: World) -> None:
    await here.prepare("torn")
    (here.state / "worktrees/.meta/torn.json").write_text("{")
    (here.state / "worktrees/stranger").mkdir()
    await here.prepare("homeless")
    here.repo.path.rename(here.repo.path.with_name("moved"))
    faults = {each.item: each.faults for each in await here.workspaces.survey()}
    assert faults == {"torn": (Fault.RECORD,), "stranger": (Fault.STRANGER,), "homeless": (Fault.REPOSITORY,)}
    for item, hint in {"torn": "save what is needed", "stranger": "move it away", "homeless": "bring the repo"}.items():
        with pytest.raises(Refused) as refused:
            await here.workspaces.repair(item)
        assert hint in refused.value.hint


async def test_half_an_index_of_ours_and_its_old_lock_keep_nobody_from_saving(here: World) -> None:
    workspace, _ = await worked(here)
    ours = here.state / "worktrees/.meta/item-1.index"
    ours.write_bytes(ours.read_bytes()[:50])
    lock = ours.with_name("item-1.index.lock")
    lock.write_text("")
    os.utime(lock, (time.time() - 60, time.time() - 60))
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    assert here.files(saved.ref)["a.txt"] == "changed"
