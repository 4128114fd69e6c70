"""What a person leaves uncommitted is committed by our git: as theirs would do it, with nothing of the folder's run."""

from __future__ import annotations

import pytest

from harness.model.errors import GitError
from tests.git.support import TRAILERS, World, commit, git


async def test_everything_that_stands_there_is_committed_and_the_folder_shows_it(here: World) -> None:
    for key in ("name", "email"):
        here.git("config", f"user.{key}", "")
    workspace = await here.prepare()
    first = commit(workspace.path, "Before", a__txt="x")
    (workspace.path / "b.txt").unlink()
    (workspace.path / "sub").mkdir()
    (workspace.path / "sub" / "new.txt").write_text("n")
    (workspace.path / "ignored").write_text("junk")
    made = await here.workspaces.commit(workspace, "By hand\n\nwhy", "alice")
    assert git(workspace.path, "rev-parse", "HEAD", "HEAD^").split() == [made, first]
    assert git(workspace.path, "status", "--porcelain") == ""
    assert git(workspace.path, "log", "-1", "--format=%B%an <%ae>") == "By hand\n\nwhy\nalice <alice@localhost>"
    assert here.files(made) == {".gitignore": "ignored", "a.txt": "x", "sub/new.txt": "n"}
    seal = await here.workspaces.seal(workspace, TRAILERS)
    assert len(seal.commits) == 2
    state = await here.workspaces.state(workspace)
    assert (state.dirty, len(state.commits)) == ((), 2)


async def test_the_author_is_the_one_of_the_users_configuration(here: World) -> None:
    here.git("config", "user.name", "Ada L")
    here.git("config", "user.email", "ada@example.org")
    workspace = await here.prepare()
    (workspace.path / "a.txt").write_text("x")
    await here.workspaces.commit(workspace, "By hand", "alice")
    assert git(workspace.path, "log", "-1", "--format=%an <%ae>|%cn") == "Ada L <ada@example.org>|Ada L"


async def test_a_branch_that_somebody_made_there_goes_on(here: World) -> None:
    workspace = await here.prepare()
    git(workspace.path, "checkout", "-q", "-b", "mine/branch")
    (workspace.path / "a.txt").write_text("x")
    made = await here.workspaces.commit(workspace, "By hand", "alice")
    assert git(workspace.path, "rev-parse", "mine/branch") == made
    assert git(workspace.path, "symbolic-ref", "HEAD") == "refs/heads/mine/branch"


async def test_hooks_and_filters_of_the_folder_are_not_run(here: World) -> None:
    workspace = await here.prepare()
    ran = here.state / "ran"
    hook = workspace.path / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    git(workspace.path, "config", "filter.evil.clean", f"sh -c 'touch {ran}; cat'")
    git(workspace.path, "config", "core.fsmonitor", str(hook))
    (workspace.path / ".gitattributes").write_text("* filter=evil\n")
    (workspace.path / "a.txt").write_text("x")
    await here.workspaces.commit(workspace, "By hand", "alice")
    assert not ran.exists()


@pytest.mark.parametrize("what", ["index", "HEAD"])
async def test_nothing_is_written_through_a_link(here: World, what: str) -> None:
    workspace = await here.prepare()
    prize = here.state / "prize"
    prize.write_text(git(workspace.path, "rev-parse", "HEAD"))
    own = workspace.path / ".git" / what
    own.unlink()
    own.symlink_to(prize)
    before = prize.read_text()
    (workspace.path / "a.txt").write_text("x")
    if what == "HEAD":
        with pytest.raises(GitError, match="cannot be committed"):
            await here.workspaces.commit(workspace, "By hand", "alice")
    else:
        await here.workspaces.commit(workspace, "By hand", "alice")
    assert prize.read_text() == before
