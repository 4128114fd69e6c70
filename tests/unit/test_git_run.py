"""The runner: a built environment, bounded time and output, nothing left running, patience with locks."""

import asyncio
import os
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.git import foreign, run
from harness.git.mutex import held
from harness.git.record import Records
from harness.git.run import Git
from harness.git.seal import with_trailers
from harness.model.errors import Busy, GitError, ToolMissing
from tests.kit.loop import until


@pytest.fixture
async def git(tmp_path: Path) -> Git:
    made = Git(tmp_path / "r" / ".git")
    made.git_dir.mkdir(parents=True)
    await made.run("init", "-q", "--template=")
    return made


def sleeper(git: Git, seconds: float, pids: Path) -> Git:
    """A git that starts a child of its own and hangs: an alias of the registered repository's own configuration."""
    (git.git_dir / "config").write_text(f'[alias]\n\thang = "!sleep 30 & echo $! >{pids}; echo $$ >>{pids}; wait"\n')
    return replace(git, timeout_seconds=seconds)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def gone(pids: Path) -> bool:
    """Whether all processes have ended; KILL takes a moment to arrive."""
    give_up = time.monotonic() + 2
    while any(alive(int(pid)) for pid in pids.read_text().split()):
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(0.01)
    return True


async def test_a_failure_names_command_exit_code_and_last_words(git: Git) -> None:
    with pytest.raises(GitError, match=r"git cat-file -e nothing ended with 128: fatal: Not a valid object name"):
        await git.run("cat-file", "-e", "nothing")


async def test_nothing_named_git_is_inherited(git: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "evil")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "evil")
    assert await git.line("rev-parse", "--absolute-git-dir") == str(git.git_dir)
    assert await git.line("config", "core.fsmonitor") == "false"
    environment = run.base_environment()
    assert not {name for name in environment if os.environ.get(name) in ("evil", "1") and "KEY" in name}
    assert "GIT_EXTERNAL_DIFF" not in environment


async def test_a_command_that_hangs_ends_at_the_timeout_with_its_children(git: Git, tmp_path: Path) -> None:
    with pytest.raises(GitError, match=r"did not end within 0\.5 s"):
        await sleeper(git, 0.5, tmp_path / "pids").run("hang")
    assert await gone(tmp_path / "pids")


async def test_a_cancelled_command_leaves_nothing_behind(git: Git, tmp_path: Path) -> None:
    running = asyncio.ensure_future(sleeper(git, 60, tmp_path / "pids").run("hang"))
    give_up = time.monotonic() + 5
    while not (tmp_path / "pids").exists() or len((tmp_path / "pids").read_text().split()) < 2:
        assert time.monotonic() < give_up
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await gone(tmp_path / "pids")


async def test_too_much_output_is_an_error_not_a_full_memory(git: Git, tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(run.CAPTURE_BYTES + 1)
    blob = await git.line("hash-object", "-w", "--stdin", feed=tmp_path / "big")
    with pytest.raises(GitError, match="more than 64 MiB"):
        await git.run("cat-file", "blob", blob)


async def test_output_and_input_may_be_files(git: Git, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"content")
    blob = await git.line("hash-object", "-w", "--stdin", feed=tmp_path / "in")
    assert (await git.run("cat-file", "blob", blob, sink=tmp_path / "out")).out == b""
    assert (tmp_path / "out").read_bytes() == b"content"


async def test_a_lock_of_another_git_is_waited_for(git: Git) -> None:
    lock = git.git_dir / "index.lock"
    lock.touch()
    asyncio.get_running_loop().call_later(0.1, lock.unlink)
    await replace(git, work_tree=git.git_dir.parent).run("read-tree", "--empty")
    assert not lock.exists()


async def test_a_folder_that_is_gone_is_not_taken_for_a_missing_git(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="not there any more"):
        await Git(tmp_path / "gone").run("version")


async def test_without_git_the_message_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing) as missing:
        await run.version()
    assert "apt install git" in missing.value.hint


async def test_a_mutex_has_one_holder_and_a_bounded_wait(tmp_path: Path) -> None:
    async with held(tmp_path / "lock"):
        with pytest.raises(Busy):
            async with held(tmp_path / "lock", wait_seconds=0.05):
                pytest.fail("two holders")
    async with held(tmp_path / "lock", wait_seconds=0.05):
        pass


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "i.json").write_text("{")
    with pytest.raises(GitError, match=re.escape(str(tmp_path / "i.json"))):
        Records(tmp_path).load("i")


LINE = st.text(alphabet="abc: -\n", max_size=40).map(str.encode)
OURS = (b"Harness-Item: i", b"Co-authored-by: Loop <l@x>")


@given(LINE)
def test_trailers_stand_once_at_the_end_whatever_the_message(message: bytes) -> None:
    once = with_trailers(message, OURS)
    assert once.rsplit(b"\n\n", 1)[1].splitlines()[-2:] == list(OURS)
    assert with_trailers(once, OURS) == once
    assert once.startswith(message.strip(b"\n").split(b"\n")[0] or b"(no message)")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"Subject\n", b"Subject\n\nHarness-Item: i\n"),
        (b"fix: a thing", b"fix: a thing\n\nHarness-Item: i\n"),
        (b"S\n\nBody.\n", b"S\n\nBody.\n\nHarness-Item: i\n"),
        (b"S\n\nReviewed-by: A\n", b"S\n\nReviewed-by: A\nHarness-Item: i\n"),
        (b"S\n\nHarness-Item: forged\nHarness-Session: forged\n", b"S\n\nHarness-Item: i\n"),
        (b"S\n\nB\xff\n", b"S\n\nB\xff\n\nHarness-Item: i\n"),
        (b"", b"(no message)\n\nHarness-Item: i\n"),
    ],
)
def test_trailers_join_a_block_that_is_there(message: bytes, expected: bytes) -> None:
    assert with_trailers(message, [b"Harness-Item: i"]) == expected


@given(st.binary(max_size=60))
def test_any_head_file_is_a_commit_or_nothing(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("w")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_bytes(content)
    found = foreign.head(folder)
    assert found is None or content.strip() == found.encode()


async def commit(git: Git, *parents: str, message: str = "one") -> str:
    tree = await git.line("hash-object", "-t", "tree", "-w", "--stdin")
    return await git.line("commit-tree", tree, *(word for parent in parents for word in ("-p", parent)), "-m", message)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Every command that git is started for from now on."""
    asked: list[tuple[str, ...]] = []
    once = Git._once

    async def noted(self: Git, arguments: tuple[str, ...], *rest: object) -> run.Result:
        asked.append(tuple(arguments))
        return await once(self, arguments, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Git, "_once", noted)
    return asked


async def test_what_full_ids_answer_is_asked_once(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await commit(git)
    second = await commit(git, first, message="two")
    asked = counted(monkeypatch)
    for _ in range(3):
        assert await git.descends(second, first)
        assert not await git.descends(first, second)
        assert (await git.settled("rev-list", f"{first}..{second}")).text == second
    assert len(asked) == 3


async def test_what_can_change_is_asked_every_time(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await commit(git)
    await git.run("update-ref", "refs/heads/main", first)
    assert (await git.settled("rev-list", "refs/heads/main")).text == first
    second = await commit(git, first, message="two")
    await git.run("update-ref", "refs/heads/main", second)
    assert (await git.settled("rev-list", "refs/heads/main")).text.split() == [second, first]
    (git.git_dir / "shallow").write_text(f"{second}\n")
    asked = counted(monkeypatch)
    assert [await git.descends(second, first) for _ in range(2)] == [False, False]
    assert len(asked) == 2


async def test_a_commit_that_is_missing_is_no_answer_that_stays(git: Git) -> None:
    first = await commit(git)
    with pytest.raises(GitError):
        await git.descends("1" * 40, first)
    assert await git.descends(first, first)


async def test_a_ref_is_read_wherever_git_keeps_it(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await commit(git)
    second = await commit(git, first, message="two")
    await git.run("update-ref", "refs/heads/a/b", first)
    await git.run("symbolic-ref", "refs/heads/alias", "refs/heads/a/b")
    asked = counted(monkeypatch)
    assert await git.ref("refs/heads/a/b") == first
    assert not asked
    await git.run("pack-refs", "--all")
    assert await git.ref("refs/heads/a/b") == first
    assert await git.ref("refs/heads/alias") == first
    await git.run("update-ref", "refs/heads/a/b", second)
    assert await git.ref("refs/heads/a/b") == second
    assert await git.ref("refs/heads/none") is None


@pytest.mark.parametrize("name", ["refs/heads/../../config", "../outside", "refs/heads/.hidden", "refs/heads/a b"])
async def test_a_name_that_is_no_ref_reads_no_file(git: Git, name: str) -> None:
    for path in (git.git_dir / name, git.git_dir / "refs/heads" / name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1" * 40)
    assert await git.ref(name) is None


async def test_a_command_that_is_called_off_while_it_is_being_started_is_ended(
    git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids, started = tmp_path / "pids", asyncio.Event()
    slow, start = sleeper(git, 60, pids), asyncio.create_subprocess_exec

    async def slowly(*argv: str, **options: Any) -> asyncio.subprocess.Process:
        process = await start(*argv, **options)
        await asyncio.to_thread(until, lambda: len(pids.read_text().split()) == 2 if pids.exists() else False)
        started.set()
        await asyncio.sleep(0.1)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", slowly)
    task = asyncio.ensure_future(slow.run("hang"))
    await started.wait()
    task.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 10
    assert await gone(pids)
