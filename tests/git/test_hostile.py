"""D1: what an agent can do to its workspace. Nothing of it runs in a git of ours, and no work is lost.

The canary is a program that leaves a file behind when anything starts it.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.model.errors import GitError, Refused
from harness.ports import Workspace
from tests.git.support import TRAILERS, World, commit, git


@dataclass(frozen=True)
class Canary:
    program: Path
    trace: Path

    def sang(self) -> bool:
        return self.trace.exists()


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    program, trace = tmp_path / "canary", tmp_path / "sang"
    program.write_text(f"#!/bin/sh\necho x >> {trace}\ncat\n")
    program.chmod(0o755)
    return Canary(program, trace)


def configure(folder: Path, program: Path) -> None:
    """Every setting with which a repository makes git start a program, and the attributes that call for them."""
    for key in ("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.alternateRefsCommand"):
        git(folder, "config", key, str(program))
    for key in ("diff.external", "diff.x.command", "diff.x.textconv", "merge.x.driver", "credential.helper"):
        git(folder, "config", key, str(program))
    for key in ("filter.x.clean", "filter.x.smudge", "gpg.program", "uploadpack.packObjectsHook", "trailer.x.command"):
        git(folder, "config", key, str(program))
    for key in ("status", "add", "update-index", "ls-files", "write-tree"):
        git(folder, "config", f"alias.{key}", f"!{program}")
    (folder / ".git" / "more").write_text(f"[core]\n\tfsmonitor = {program}\n")
    git(folder, "config", f"includeIf.gitdir:{folder}/.path", str(folder / ".git" / "more"))
    (folder / ".git/info/attributes").write_text("* filter=x diff=x merge=x\n")
    (folder / ".gitattributes").write_text("* filter=x diff=x merge=x\n")
    for hook in ("pre-commit", "post-checkout", "post-index-change", "post-merge", "reference-transaction", "update"):
        path = folder / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(program)


async def whole_way(here: World, workspace: Workspace) -> None:
    """Everything the loop does with a workspace from the session to the branch, and on to the next item."""
    await here.workspaces.state(workspace)
    await here.workspaces.autosave(workspace, "ses_1")
    seal = await here.workspaces.seal(workspace, TRAILERS)
    onto = await here.merger.tip(here.repo, "main")
    async with here.merger.bench(here.repo, await here.merger.merge(here.repo, seal, onto)):
        pass
    await here.merger.advance(here.repo, "main", seal.commit, onto)
    await here.workspaces.autosave(workspace, "ses_1")
    await here.workspaces.remove(workspace)
    await here.prepare("next")


async def test_the_canary_sings_where_git_trusts_the_workspace(here: World, canary: Canary) -> None:
    workspace = await here.prepare()
    configure(workspace.path, canary.program)
    git(workspace.path, "status")
    assert canary.sang(), "else the tests below prove nothing"


async def test_no_setting_hook_filter_or_alias_of_an_agent_runs_in_our_git(here: World, canary: Canary) -> None:
    workspace = await here.prepare()
    commit(workspace.path, "Work", new__txt="x")
    configure(workspace.path, canary.program)
    (workspace.path / "a.txt").write_text("changed")
    await whole_way(here, workspace)
    assert not canary.sang()
    assert here.files("refs/harness/ses_1/wip/1")["a.txt"] == "changed"


async def test_a_repository_inside_the_workspace_is_saved_as_files_and_never_asked(here: World, canary: Canary) -> None:
    workspace = await here.prepare()
    inner = workspace.path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    commit(inner, "Inner", deep__txt="deep", __gitignore="built\n")
    (inner / "built").write_text("junk")
    (inner / "empty").mkdir()
    git(inner / "empty", "init", "-q")
    (inner / "empty" / "deeper.txt").write_text("deeper")
    configure(inner, canary.program)
    configure(inner / "empty", canary.program)
    (workspace.path / ".gitmodules").write_text('[submodule "inner"]\n\tpath = inner\n\turl = ./inner\n')
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    files = here.files(saved.ref)
    assert files["inner/deep.txt"] == "deep"
    assert files["inner/empty/deeper.txt"] == "deeper"
    assert not [name for name in files if "built" in name or "/.git/" in name]
    (inner / "later.txt").write_text("later")
    again = await here.workspaces.autosave(workspace, "ses_1")
    assert again is not None
    assert "inner/later.txt" in here.files(again.ref)
    assert not canary.sang()


async def test_a_pointer_to_an_inner_repository_in_a_commit_is_not_followed(here: World, canary: Canary) -> None:
    workspace = await here.prepare()
    inner = workspace.path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    commit(inner, "Inner", deep__txt="deep")
    commit(workspace.path, "Pointer")
    configure(inner, canary.program)
    (inner / "deep.txt").write_text("dirty")
    assert git(workspace.path, "ls-tree", "HEAD", "inner").startswith("160000")
    await here.workspaces.state(workspace)
    await here.workspaces.autosave(workspace, "ses_1")
    await here.workspaces.seal(workspace, TRAILERS)
    with pytest.raises(Refused, match="unsaved work"):
        await here.workspaces.remove(workspace)
    await here.prepare()
    assert here.files("refs/harness/item-1/wip/1")["inner/deep.txt"] == "dirty"
    assert not canary.sang()


async def test_a_rewritten_history_is_refused_and_kept(here: World) -> None:
    workspace = await here.prepare()
    git(workspace.path, "checkout", "-q", "--orphan", "fresh")
    head = commit(workspace.path, "All mine", new__txt="x")
    with pytest.raises(GitError, match="does not descend from its base"):
        await here.workspaces.seal(workspace, TRAILERS)
    state = await here.workspaces.state(workspace)
    assert state.commits == ()
    assert "does not descend from its base" in state.problem
    assert here.git("rev-parse", "refs/harness/item-1/head") == head
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    assert here.git("rev-parse", f"{saved.ref}^") == head


async def test_commits_on_an_older_commit_than_the_base_are_refused(here: World) -> None:
    commit(here.repo.path, "Second", b__txt="2")
    workspace = await here.prepare()
    git(workspace.path, "checkout", "-q", "HEAD^")
    assert (await here.workspaces.state(workspace)).commits == ()
    commit(workspace.path, "On the old one", new__txt="x")
    with pytest.raises(GitError, match="does not descend"):
        await here.workspaces.seal(workspace, TRAILERS)


def remove_git(path: Path) -> None:
    shutil.rmtree(path / ".git")


def link_git(path: Path) -> None:
    (path / ".git").rename(path.parent / "elsewhere")
    (path / ".git").symlink_to(path.parent / "elsewhere")


def link_head(path: Path) -> None:
    (path / ".git/HEAD").unlink()
    (path / ".git/HEAD").symlink_to("/etc/passwd")


def pipe_head(path: Path) -> None:
    (path / ".git/HEAD").unlink()
    os.mkfifo(path / ".git/HEAD")


def huge_head(path: Path) -> None:
    with (path / ".git/HEAD").open("wb") as file:
        file.truncate(1 << 34)


def escaping_head(path: Path) -> None:
    (path / ".git/HEAD").write_text("ref: refs/../../../../../etc/passwd\n")


def endless_head(path: Path) -> None:
    (path / ".git/HEAD").write_text("ref: refs/heads/loop\n")
    (path / ".git/refs/heads/loop").write_text("ref: refs/heads/loop\n")


def unknown_head(path: Path) -> None:
    (path / ".git/HEAD").write_text("d" * 40 + "\n")


def lose_objects(path: Path) -> None:
    commit(path, "Lost", lost__txt="lost")
    shutil.rmtree(path / ".git/objects")
    (path / ".git/objects").mkdir()


def corrupt_object(path: Path) -> None:
    made = commit(path, "Corrupt", corrupt__txt="corrupt")
    object_file = path / ".git/objects" / made[:2] / made[2:]
    object_file.chmod(0o644)
    object_file.write_bytes(b"not zlib")


BREAKS = (
    remove_git, link_git, link_head, pipe_head, huge_head, escaping_head, endless_head, unknown_head, lose_objects,
    corrupt_object,
)  # fmt: skip


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda f: f.__name__)
async def test_whatever_happens_to_dot_git_the_files_are_saved(here: World, break_it: Callable[[Path], None]) -> None:
    workspace = await here.prepare()
    (workspace.path / "a.txt").write_text("changed")
    break_it(workspace.path)
    state = await here.workspaces.state(workspace)
    assert state.head is None
    assert "a.txt" in state.dirty
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    assert saved.skipped[0].startswith(".git: ")
    assert here.files(saved.ref)["a.txt"] == "changed"
    with pytest.raises(GitError, match="cannot be sealed"):
        await here.workspaces.seal(workspace, TRAILERS)
    again = await here.workspaces.prepare(here.repo, "item-1", wip_ref=saved.ref)
    assert (again.path / "a.txt").read_text() == "changed"
    assert here.git("fsck", "--no-dangling", "--connectivity-only") == ""


async def test_a_deleted_workspace_is_gone_not_an_empty_save(here: World) -> None:
    workspace = await here.prepare()
    (workspace.path / "a.txt").write_text("changed")
    first = await here.workspaces.autosave(workspace, "ses_1")
    shutil.rmtree(workspace.path)
    assert first is not None
    assert await here.workspaces.autosave(workspace, "ses_1") is None
    assert (await here.workspaces.state(workspace)).head is None
    assert await here.workspaces.reopen(here.repo, "item-1", workspace.base) is None
    again = await here.workspaces.prepare(here.repo, "item-1", wip_ref=first.ref)
    assert (again.path / "a.txt").read_text() == "changed"


def forget_refs(here: World) -> None:
    for ref in here.git("for-each-ref", "--format=%(refname)", "refs/harness").split():
        here.git("update-ref", "-d", ref)


async def test_work_whose_refs_were_deleted_is_saved_again_before_its_folder_goes(here: World) -> None:
    workspace = await here.prepare()
    (workspace.path / "a.txt").write_text("changed")
    await here.workspaces.autosave(workspace, "ses_1")
    forget_refs(here)
    with pytest.raises(Refused, match="unsaved work"):
        await here.workspaces.remove(workspace)
    again = await here.workspaces.autosave(workspace, "ses_1")
    assert again is not None
    assert here.files(again.ref)["a.txt"] == "changed"
    await here.workspaces.remove(workspace)


async def test_sealed_work_whose_refs_were_deleted_is_not_removed(here: World) -> None:
    workspace = await here.prepare()
    made = commit(workspace.path, "Work", new__txt="x")
    await here.workspaces.seal(workspace, TRAILERS)
    forget_refs(here)
    with pytest.raises(Refused, match="unsaved work"):
        await here.workspaces.remove(workspace)
    await here.workspaces.seal(workspace, TRAILERS)
    await here.workspaces.remove(workspace)
    assert here.git("rev-parse", "refs/harness/item-1/head") == made


async def test_a_workspace_swapped_for_a_link_is_not_followed(here: World, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "key").write_text("secret")
    workspace = await here.prepare()
    workspace.path.rename(tmp_path / "moved")
    workspace.path.symlink_to(secrets)
    assert await here.workspaces.autosave(workspace, "ses_1") is None
    await here.prepare()
    assert (secrets / "key").exists()
    assert here.git("for-each-ref", "refs/harness") == ""


async def test_a_folder_swapped_for_a_link_is_saved_as_the_link(here: World, tmp_path: Path) -> None:
    commit(here.repo.path, "Folder", **{"sub/a": "inside", "sub/b": "inside"})
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_text("secret")
    workspace = await here.prepare()
    shutil.rmtree(workspace.path / "sub")
    (workspace.path / "sub").symlink_to(outside)
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    assert here.files(saved.ref)["sub"] == str(outside)


async def test_branches_of_the_agent_may_move_and_be_packed(here: World) -> None:
    workspace = await here.prepare()
    git(workspace.path, "checkout", "-q", "-b", "feature/deep")
    made = commit(workspace.path, "Work", new__txt="x")
    git(workspace.path, "branch", "-f", "main", "HEAD")
    git(workspace.path, "update-ref", "refs/harness/item-1/sealed", "HEAD")
    git(workspace.path, "pack-refs", "--all", "--prune")
    git(workspace.path, "gc", "-q", "--prune=now")
    state = await here.workspaces.state(workspace)
    assert state.head == made
    seal = await here.workspaces.seal(workspace, TRAILERS)
    assert here.git("rev-parse", "main") == workspace.base
    assert here.git("rev-parse", "refs/harness/item-1/sealed") == seal.commit


async def test_a_forged_commit_graph_changes_nothing(here: World) -> None:
    workspace = await here.prepare()
    commit(workspace.path, "Work", new__txt="x")
    git(workspace.path, "commit-graph", "write", "--reachable")
    graph = workspace.path / ".git/objects/info/commit-graph"
    graph.chmod(0o644)
    graph.write_bytes(graph.read_bytes()[:-40] + b"\0" * 40)
    assert (await here.workspaces.seal(workspace, TRAILERS)).paths == ("new.txt",)


async def test_many_commits_arrive_as_one_pack(here: World) -> None:
    workspace = await here.prepare()
    for number in range(45):
        commit(workspace.path, f"Work {number}", **{f"n{number}": f"{number}"})
    seal = await here.workspaces.seal(workspace, TRAILERS)
    assert len(seal.commits) == 45
    assert list((here.repo.path / ".git/objects/pack").glob("*.pack"))
    assert here.git("fsck", "--no-dangling") == ""


async def test_strange_names_are_saved_and_told_in_utf8(here: World) -> None:
    workspace = await here.prepare()
    names = [b"new\nline", b'"quoted"', b"-rf", b"bad\xff", b":(top)x", b"space ", "größe".encode()]
    for name in names:
        (workspace.path / os.fsdecode(name)).write_text("x")
    state = await here.workspaces.state(workspace)
    assert len(state.dirty) == len(names)
    assert [name.encode() for name in state.dirty]
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    assert saved.skipped == ()
    listed = here.git("ls-tree", "-z", "--name-only", saved.ref).split("\0")
    assert {os.fsdecode(name) for name in names} <= set(listed)
    again = await here.workspaces.prepare(here.repo, "item-1", wip_ref=saved.ref)
    assert {os.fsdecode(name) for name in names} <= {path.name for path in again.path.iterdir()}


async def test_attributes_that_ask_for_the_impossible_do_not_stop_a_save(here: World) -> None:
    workspace = await here.prepare()
    (workspace.path / ".gitattributes").write_text("*.txt working-tree-encoding=UTF-16\n")
    (workspace.path / "odd.txt").write_bytes(b"\x00\xd8odd")
    (workspace.path / "run.txt").write_text("#!/bin/sh\n")
    (workspace.path / "run.txt").chmod(0o755)
    (workspace.path / "link").symlink_to("odd.txt")
    (workspace.path / "b.txt").unlink()
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    assert saved.skipped == ()
    tree = here.git("ls-tree", saved.ref)
    assert "100755 blob" in tree
    assert "120000 blob" in tree
    assert "b.txt" not in tree
    assert here.git("cat-file", "-s", f"{saved.ref}:odd.txt") == "5"


async def test_pipes_and_read_only_folders_do_not_stop_saving_or_removing(here: World) -> None:
    workspace = await here.prepare()
    os.mkfifo(workspace.path / "pipe")
    locked = workspace.path / "cache" / "deep"
    locked.mkdir(parents=True)
    (locked / "file").write_text("x")
    locked.chmod(0o500)
    locked.parent.chmod(0o500)
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    assert here.files(saved.ref)["cache/deep/file"] == "x"
    await here.workspaces.remove(workspace)
    assert not workspace.path.exists()


async def test_a_file_in_place_of_a_folder_and_the_other_way_round(here: World) -> None:
    commit(here.repo.path, "Folder", **{"sub/a": "inside"})
    workspace = await here.prepare()
    shutil.rmtree(workspace.path / "sub")
    (workspace.path / "sub").write_text("a file now")
    (workspace.path / "a.txt").unlink()
    (workspace.path / "a.txt").mkdir()
    (workspace.path / "a.txt" / "inner").write_text("a folder now")
    saved = await here.workspaces.autosave(workspace, "ses_1")
    assert saved is not None
    files = here.files(saved.ref)
    assert (files["sub"], files["a.txt/inner"]) == ("a file now", "a folder now")
    assert "sub/a" not in files


async def test_replaced_objects_and_grafts_of_the_agent_mean_nothing(here: World) -> None:
    workspace = await here.prepare()
    made = commit(workspace.path, "Bad", new__txt="bad")
    git(workspace.path, "replace", "--graft", made)
    assert (await here.workspaces.seal(workspace, TRAILERS)).commits
    assert (await here.workspaces.state(workspace)).commits == (made,)


async def test_going_back_to_the_base_after_commits_is_seen(here: World) -> None:
    workspace = await here.prepare()
    commit(workspace.path, "Work", new__txt="x")
    assert len((await here.workspaces.state(workspace)).commits) == 1
    git(workspace.path, "reset", "-q", "--hard", workspace.base)
    state = await here.workspaces.state(workspace)
    assert (state.head, state.commits, state.dirty) == (workspace.base, (), ())
