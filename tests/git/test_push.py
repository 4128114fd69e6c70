"""To the remote and back: with the operator's ways, forward only, and every failure named for what it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from harness.git.merge import GitMerger
from harness.git.push import kind_of, masked
from harness.model.errors import PushFailed
from tests.git.support import World, commit
from tests.kit.remote import Remote, remote_of

pytestmark = pytest.mark.process


@pytest.fixture
def there(here: World) -> Remote:
    return remote_of(here.repo.path)


async def failed(here: World, sha: str) -> PushFailed:
    with pytest.raises(PushFailed) as caught:
        await here.merger.push(here.repo, "main", sha)
    return caught.value


async def test_a_commit_is_brought_forward_and_a_second_time_is_no_push(here: World, there: Remote) -> None:
    before = there.main
    new = commit(here.repo.path, "Ours", ours="x")
    assert await here.merger.push(here.repo, "main", new) == "origin"
    assert await here.merger.push(here.repo, "main", new) == "origin"
    assert there.taken == [f"{before} {new} refs/heads/main"]


async def test_the_commit_is_pushed_that_was_named_not_what_came_on_top(here: World, there: Remote) -> None:
    proved = commit(here.repo.path, "Proved", ours="x")
    commit(here.repo.path, "Not proved", later="x")
    await here.merger.push(here.repo, "main", proved)
    assert there.main == proved


async def test_a_remote_that_went_on_rejects_and_is_never_forced(here: World, there: Remote) -> None:
    theirs = there.theirs(theirs="y")
    ours = commit(here.repo.path, "Ours", ours="x")
    assert (await failed(here, ours)).kind == "behind"
    assert there.main == theirs
    assert await here.merger.fetch(here.repo, "main") == theirs
    assert not await here.merger.has(here.repo, theirs, ours)
    assert here.git("rev-parse", "main") == ours, "a fetch moves no branch of ours"


async def test_a_configuration_that_forces_does_not_force(here: World, there: Remote) -> None:
    theirs = there.theirs(theirs="y")
    here.git("config", "remote.origin.push", "+refs/heads/*:refs/heads/*")
    here.git("config", "push.followTags", "true")
    here.git("tag", "-a", "v1", "-m", "v1")
    assert (await failed(here, commit(here.repo.path, "Ours", ours="x"))).kind == "behind"
    assert (there.main, there.git("tag")) == (theirs, "")


async def test_a_branch_that_the_remote_does_not_have_is_made(here: World, there: Remote) -> None:
    here.git("branch", "next")
    assert await here.merger.fetch(here.repo, "next") is None
    await here.merger.push(here.repo, "next", here.git("rev-parse", "next"))
    assert there.git("rev-parse", "next") == here.git("rev-parse", "next")


async def test_a_protected_branch_is_told_with_the_words_of_the_remote(here: World, there: Remote) -> None:
    there.hook("pre-receive", "echo 'main is protected: open a pull request' >&2; exit 1")
    said = await failed(here, commit(here.repo.path, "Ours", ours="x"))
    assert (said.kind, "main is protected" in said.cause) == ("refused", True)
    assert "push: false" in said.hint


async def test_hooks_of_the_registered_repository_do_not_run(here: World, there: Remote, tmp_path: Path) -> None:
    for name in ("pre-push", "reference-transaction"):
        hook = here.repo.path / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        hook.chmod(0o755)
    new = commit(here.repo.path, "Ours", ours="x")
    (tmp_path / "ran").unlink(missing_ok=True)  # the person's own commit runs them, as it should
    await here.merger.push(here.repo, "main", new)
    await here.merger.fetch(here.repo, "main")
    assert there.main == new
    assert not (tmp_path / "ran").exists()


async def test_without_a_remote_the_hint_adds_one(here: World) -> None:
    said = await failed(here, here.git("rev-parse", "main"))
    assert said.kind == "no_remote"
    assert f"git -C {here.repo.path} remote add origin" in said.hint


async def test_of_several_remotes_the_configured_one_is_taken(here: World, tmp_path: Path) -> None:
    for name in ("left", "right"):
        copy = tmp_path / name
        here.git("clone", "-q", "--bare", str(here.repo.path), str(copy))
        here.git("remote", "add", name, str(copy))
    new = commit(here.repo.path, "Ours", ours="x")
    assert "left, right" in (await failed(here, new)).message
    here.git("config", "remote.pushDefault", "right")
    assert await here.merger.push(here.repo, "main", new) == "right"


async def test_a_remote_that_is_gone_or_does_not_answer(here: World, tmp_path: Path) -> None:
    for url, kind in ((f"{tmp_path}/gone.git", "missing"), ("git://127.0.0.1:1/x.git", "network")):
        here.git("remote", "add", kind, url)
        here.git("config", "remote.pushDefault", kind)
        assert (await failed(here, here.git("rev-parse", "main"))).kind == kind


async def test_ssh_is_the_operators_and_asks_nobody(here: World, tmp_path: Path) -> None:
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    script = f'#!/bin/sh\necho "$* agent=$SSH_AUTH_SOCK" > {tmp_path}/called\necho "Permission denied (publickey)." >&2\nexit 255\n'
    ssh.write_text(script)
    ssh.chmod(0o755)
    here.git("remote", "add", "origin", "ssh://git@example.org/x.git")
    here.git("config", "core.sshCommand", f"{ssh} -i deploy_key")
    caller = {"SSH_AUTH_SOCK": "/agent", "GIT_SSH_COMMAND": "false", "ANTHROPIC_API_KEY": "secret"}
    merger = GitMerger(tmp_path / "benches", under=tmp_path, caller=caller)
    with pytest.raises(PushFailed) as said:
        await merger.push(here.repo, "main", here.git("rev-parse", "main"))
    assert said.value.kind == "auth"
    called = (tmp_path / "called").read_text()
    assert "-i deploy_key -o BatchMode=yes" in called
    assert "agent=/agent" in called


@contextmanager
def locked_server() -> Iterator[str]:
    """A web server that wants a password for everything."""

    class Locked(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Locked) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


async def test_nobody_is_asked_for_a_password_and_none_is_told(here: World) -> None:
    with locked_server() as address:
        here.git("remote", "add", "origin", f"http://ada:hunter2@{address}/x.git")
        said = await failed(here, here.git("rev-parse", "main"))
    assert said.kind == "auth"
    assert "hunter2" not in f"{said.message}{said.cause}{said.hint}"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("!\tx:refs/heads/main\t[rejected] (non-fast-forward)", "behind"),
        (
            "!\tx:refs/heads/main\t[remote rejected] (cannot lock ref 'refs/heads/main': is at 1 but expected 2)",
            "behind",
        ),
        ("!\tx:refs/heads/main\t[remote rejected] (protected branch hook declined)", "refused"),
        ("remote: error: GH006: Protected branch update failed for refs/heads/main.", "refused"),
        ("fatal: could not read Username for 'https://x': terminal prompts disabled", "auth"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 403", "auth"),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", "network"),
        ("ssh: connect to host x port 22: No route to host\nfatal: Could not read from remote repository.", "network"),
        ("ERROR: Repository acme/app not found.", "missing"),
        ("something new", "other"),
    ],
)
def test_a_failure_is_named_for_what_it_is(said: str, kind: str) -> None:
    assert kind_of(said) == kind


def test_a_url_loses_its_password() -> None:
    assert masked("to https://ada:pw@x.org/y and ssh://git@x.org/y") == "to https://***@x.org/y and ssh://***@x.org/y"
