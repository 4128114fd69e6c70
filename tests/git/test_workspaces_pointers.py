"""Pointers to large files (LFS) and other repositories pass through unchanged; nothing is fetched (decision 0017)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.git.support import TRAILERS, World, commit, git

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 123456\n"
ELSEWHERE = "1" * 40


@pytest.fixture
def pointed(here: World) -> World:
    """With a pointer of LFS, whose filter cannot run here, and a submodule."""
    app = here.repo.path
    (app / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (app / "large.bin").write_text(POINTER)
    (app / "sub").mkdir()
    (app / ".gitmodules").write_text('[submodule "sub"]\n\tpath = sub\n\turl = https://example.org/sub\n')
    git(app, "update-index", "--add", "--cacheinfo", f"160000,{ELSEWHERE},sub")
    git(app, "add", ".gitattributes", "large.bin", ".gitmodules")
    git(app, "commit", "-q", "-m", "Pointers")
    git(app, "config", "filter.lfs.clean", "false")
    git(app, "config", "filter.lfs.smudge", "false")
    return here


def entry(here: World, commit_: str, path: str) -> str:
    return here.git("ls-tree", commit_, path)


async def test_pointers_stay_as_they_are_from_workspace_to_branch(pointed: World) -> None:
    before = [entry(pointed, "main", path) for path in ("large.bin", "sub")]
    workspace = await pointed.prepare()
    assert (workspace.path / "large.bin").read_text() == POINTER
    assert list((workspace.path / "sub").iterdir()) == []
    assert (await pointed.workspaces.state(workspace)).dirty == ()
    commit(workspace.path, "Work", work__txt="x")
    seal = await pointed.workspaces.seal(workspace, TRAILERS)
    assert seal.paths == ("work.txt",)
    commit(pointed.repo.path, "Elsewhere", b__txt="theirs")
    merged = await pointed.merger.merge(pointed.repo, seal, pointed.git("rev-parse", "main"))
    assert [entry(pointed, merged, path) for path in ("large.bin", "sub")] == before


async def test_content_in_the_place_of_a_pointer_is_an_ordinary_file(pointed: World) -> None:
    workspace = await pointed.prepare()
    (workspace.path / "large.bin").write_text("content")
    saved = await pointed.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    assert pointed.git("show", f"{saved.ref}:large.bin") == "content"


async def test_files_in_the_folder_of_a_submodule_are_saved_before_the_folder_goes(pointed: World) -> None:
    workspace = await pointed.prepare()
    (workspace.path / "sub" / "notes.txt").write_text("mine")
    assert await pointed.workspaces.autosave(workspace, "ses_1") is None
    await pointed.prepare()
    assert pointed.git("show", "refs/harness/item-1/wip/1:sub/notes.txt") == "mine"
    assert not Path(workspace.path / "sub/notes.txt").exists()
