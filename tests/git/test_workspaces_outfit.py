"""Files of the checkout come into a workspace, and into no save and no commit; set-up runs when its inputs changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.git.workspace_outfit import include
from harness.model.errors import GitError, Refused
from harness.ports import Workspace
from tests.git.support import TRAILERS, World, commit, git

SETUP = ("make deps",)
INPUTS = ("*.lock", "sub/**")


async def equipped(here: World, *names: str) -> Workspace:
    """A workspace that got `names` from the checkout, where each of them is a file that git does not track."""
    for name in names:
        path = here.repo.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"secret of {name}\n")
    workspace = await here.prepare()
    await here.workspaces.equip(workspace, names)
    return workspace


async def test_an_included_file_is_there_and_in_no_save(here: World) -> None:
    workspace = await equipped(here, ".env.test", "conf/deep/test.env")
    assert (workspace.path / ".env.test").read_text() == "secret of .env.test\n"
    assert (workspace.path / "conf/deep/test.env").exists()
    assert git(workspace.path, "status", "--porcelain") == ""
    assert (await here.workspaces.state(workspace)).dirty == ()
    (workspace.path / ".gitignore").write_text("!.env.test\n")
    (workspace.path / ".git/info/exclude").unlink()
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    assert set(here.files(saved.ref)) == {".gitignore", "a.txt", "b.txt"}


async def test_a_workspace_goes_although_its_included_files_are_in_no_ref(here: World) -> None:
    workspace = await equipped(here, ".env.test")
    await here.workspaces.remove(workspace)
    assert not workspace.path.exists()


async def test_work_that_commits_an_included_file_is_refused(here: World) -> None:
    workspace = await equipped(here, ".env.test")
    git(workspace.path, "add", "-f", ".env.test")
    commit(workspace.path, "Work", work__txt="x")
    state = await here.workspaces.state(workspace)
    assert state.commits == ()
    assert ".env.test must not be committed" in state.problem
    with pytest.raises(GitError, match=r"\.env\.test must not be committed"):
        await here.workspaces.seal(workspace, TRAILERS)
    git(workspace.path, "reset", "-q", "--soft", "HEAD^")
    git(workspace.path, "rm", "-q", "--cached", ".env.test")
    commit(workspace.path, "Work again")
    assert (await here.workspaces.seal(workspace, TRAILERS)).paths == ("work.txt",)


async def test_a_newer_file_of_the_checkout_replaces_the_one_that_was_brought(here: World) -> None:
    workspace = await equipped(here, ".env.test")
    (here.repo.path / ".env.test").write_text("new\n")
    await here.workspaces.equip(workspace, (".env.test",))
    assert (workspace.path / ".env.test").read_text() == "new\n"


async def test_what_the_commit_has_itself_is_never_replaced(here: World) -> None:
    workspace = await here.prepare()
    (here.repo.path / "a.txt").write_text("changed by a person")
    await here.workspaces.equip(workspace, ("a.txt",))
    assert (workspace.path / "a.txt").read_text() == "one\n"
    (workspace.path / "a.txt").write_text("work")
    assert (await here.workspaces.state(workspace)).dirty == ("a.txt",)


def absent(_checkout: Path) -> None:
    """Nothing is made."""


def link_outside(checkout: Path) -> None:
    (checkout.parent / "outside").write_text("of somebody else")
    (checkout / ".env.test").symlink_to(checkout.parent / "outside")


def link_into_git(checkout: Path) -> None:
    (checkout / ".env.test").symlink_to(checkout / ".git/config")


def pipe(checkout: Path) -> None:
    os.mkfifo(checkout / ".env.test")


def huge(checkout: Path) -> None:
    with (checkout / ".env.test").open("wb") as file:
        file.truncate(17 << 20)


@pytest.mark.parametrize("make", [absent, link_outside, link_into_git, pipe, huge], ids=lambda f: f.__name__)
async def test_what_is_no_file_of_the_checkout_is_refused(here: World, make: object) -> None:
    assert callable(make)
    make(here.repo.path)
    workspace = await here.prepare()
    with pytest.raises(Refused, match="include: "):
        await here.workspaces.equip(workspace, (".env.test",))
    assert not (workspace.path / ".env.test").exists()


async def test_a_link_inside_the_checkout_is_followed(here: World) -> None:
    (here.repo.path / "ignored").write_text("inside")
    (here.repo.path / ".env.test").symlink_to("ignored")
    workspace = await here.prepare()
    await here.workspaces.equip(workspace, (".env.test",))
    assert (workspace.path / ".env.test").read_text() == "inside"


async def test_a_link_that_an_agent_left_in_the_workspace_leads_nothing_out_of_it(here: World) -> None:
    workspace = await equipped(here, ".env.test", "conf/test.env")
    outside = here.state / "outside"
    outside.mkdir()
    (workspace.path / ".env.test").unlink()
    (workspace.path / ".env.test").symlink_to(outside / "taken")
    await here.workspaces.equip(workspace, (".env.test",))
    assert not (workspace.path / ".env.test").is_symlink()
    (workspace.path / "conf/test.env").unlink()
    (workspace.path / "conf").rmdir()
    (workspace.path / "conf").symlink_to(outside)
    with pytest.raises(Refused, match="is no folder"):
        await here.workspaces.equip(workspace, ("conf/test.env",))
    assert list(outside.iterdir()) == []


async def test_a_bench_gets_the_files_that_its_commit_does_not_have(here: World) -> None:
    await equipped(here, ".env.test")
    tip = here.git("rev-parse", "main")
    async with here.merger.bench(here.repo, tip) as folder:
        assert await include(here.repo, folder, tip, (".env.test", "a.txt")) == (".env.test",)
        assert (folder / ".env.test").exists()


async def test_setup_is_due_once_and_again_when_an_input_or_a_command_changed(here: World) -> None:
    workspace = await equipped(here, ".env.test")
    due = here.workspaces.setup_due
    assert await due(workspace, SETUP, INPUTS)
    await here.workspaces.setup_done(workspace, SETUP, INPUTS)
    (workspace.path / "a.txt").write_text("no input")
    (workspace.path / "ignored").write_text("built")
    assert not await due(workspace, SETUP, INPUTS)
    assert await due(workspace, ("other",), INPUTS)
    assert await due(workspace, SETUP, (*INPUTS, ".env.test"))
    (workspace.path / "sub").mkdir()
    (workspace.path / "sub/new").write_text("untracked, but an input")
    assert await due(workspace, SETUP, INPUTS)
    await here.workspaces.setup_done(workspace, SETUP, INPUTS)
    (workspace.path / "sub/new").unlink()
    assert await due(workspace, SETUP, INPUTS)


async def test_a_workspace_that_is_made_anew_is_not_set_up(here: World) -> None:
    workspace = await here.prepare()
    await here.workspaces.setup_done(workspace, SETUP, INPUTS)
    assert not await here.workspaces.setup_due(workspace, SETUP, INPUTS)
    await here.prepare()
    assert await here.workspaces.setup_due(workspace, SETUP, INPUTS)
