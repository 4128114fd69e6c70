"""A7: each row of SITUATIONS as a person meets it: exit code, what is said, the next command; no item lost, none counted."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.model.situations import SITUATIONS, Shows
from harness.rehearsal.stage import Rehearsal
from tests.kit.user import WORKS, Done, User, repository, scenario

pytestmark = [pytest.mark.cli, pytest.mark.slow]

# The CLI's own waiting, cut short; PARKED is the one situation in which an item leaves the queue's order.
SHORT = {"CLAUDE_CODE_MAX_RETRIES": "1", "CLAUDE_CODE_RETRY_WATCHDOG_MAX_WAIT_MS": "700"}
STATES = {"http-429": "ready", "http-401": "ready", "template-breaks": "ready", "unreachable": "delayed",
          "http-529": "delayed", "repository-missing": "parked"}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """How a situation comes about, once an item is queued; `says` must be in what is said, besides the table's words."""

    before: Callable[[User], object] = lambda _user: None
    env: Mapping[str, str] = field(default_factory=dict)
    turns: tuple[Mapping[str, Any], ...] = WORKS
    says: str = ""
    root: bool = False


def fault(kind: str) -> tuple[Mapping[str, Any], ...]:
    return ({"text": "never said", "fault": kind},)


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[User], object]:
    def doit(user: User) -> None:
        user.configure(lambda config: (change(config), None)[1])

    return doit


def _agent(**values: Any) -> Callable[[dict[str, Any]], object]:
    def doit(config: dict[str, Any]) -> None:
        config["agents"]["default"] |= values

    return doit


def _template(text: str) -> Callable[[User], object]:
    return lambda user: (user.home / "prompts" / "bootstrap.md.j2").write_text(text)


def _isolation(**values: Any) -> Callable[[User], object]:
    return edit(lambda config: config["isolation"].update(values))


def _without_bubblewrap(user: User) -> None:
    """One that fails as it does where user namespaces are forbidden."""
    tools = user.folder / "tools"
    tools.mkdir()
    (tools / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    (tools / "bwrap").chmod(0o755)
    user.environment = {**user.environment, "PATH": f"{tools}:{os.environ['PATH']}"}
    _isolation(required=True)(user)


def _newer(user: User) -> None:
    with sqlite3.connect(user.home / "state" / "harness.db") as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute(f"PRAGMA user_version = {version + 7}")
    database.close()


def _closed_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


CASES: dict[str, Case] = {
    "no-repository": Case(edit(lambda config: config.update(repositories=[])), says="names no repository"),
    "unknown-key": Case(edit(lambda config: config["harness"].update(max_iteration=1)), says="max_iterations"),
    "broken-template": Case(_template("{% if %}\n"), says="bootstrap.md.j2"),
    "cli-missing": Case(edit(_agent(cli="/nonexistent")), says="/nonexistent"),
    "not-authenticated": Case(env={"ANTHROPIC_API_KEY": ""}, says="ANTHROPIC_API_KEY"),
    "root": Case(_isolation(level="none"), env={"IS_SANDBOX": ""}, says="root", root=True),
    "isolation-missing": Case(_without_bubblewrap, says="No permissions to create new namespace"),
    "newer-database": Case(_newer, says="harness.db"),
    "unreachable": Case(env={"ANTHROPIC_BASE_URL": _closed_port()}),
    "http-401": Case(turns=fault("unauthorized")),
    "http-429": Case(turns=fault("rate_limited")),
    "http-529": Case(turns=fault("overloaded")),
    "template-breaks": Case(_template("{{ item.extra.nothing.there }}\n"), says="bootstrap.md.j2:1"),
    "repository-missing": Case(
        lambda user: shutil.rmtree(user.folder / "app"), says="the folder of repository app is missing"
    ),
}


@pytest.mark.parametrize("key", CASES)
def test_each_situation_is_said_and_costs_the_item_nothing(tmp_path: Path, key: str) -> None:
    case, row = CASES[key], SITUATIONS[key]
    if case.root and os.getuid() != 0:
        pytest.skip("root: only root can be refused for being root")
    with Rehearsal(scenario(*case.turns)) as api:
        user = prepared(tmp_path, api.url)
        case.before(user)
        ran = user.loop("run", "--once", "--json", **{**SHORT, **case.env})
        assert ran.code == row.exit_code, ran
        assert case.says in ran.out + ran.err + user.log()
        if row.shows is Shows.ERROR:
            assert_refused(ran, row.name, row.next)
        if key == "newer-database":
            return
        item = user.item() if row.shows is not Shows.ERROR else kept(user)
        assert item["attempts"] == 0
        assert item["state"] == STATES.get(key, "ready"), item
        if row.shows is Shows.ENDING:
            assert item["reason"].startswith(f"{row.name}: "), item
            assert f"ending={row.name}" in user.log()


def prepared(folder: Path, url: str) -> User:
    user = User(folder, url, prepared=True)
    user.init(repository(folder / "app"))
    user.add()
    return user


def assert_refused(ran: Done, kind: str, next_: str) -> None:
    """One error: what happened, and the command that helps."""
    assert ran.error["kind"] == kind
    assert ran.error["message"]
    hint = ran.error["next"]
    assert hint
    command = next_.partition(",")[0].partition(" --")[0]
    assert command in hint or hint in next_, (hint, next_)


def kept(user: User) -> dict[str, Any]:
    """The item, asked with a configuration that can be read again."""
    (user.home / "config.yaml").unlink()
    user.init(user.folder / "app")
    return user.item()


def test_a_queue_file_that_is_no_json_is_named_and_the_queue_goes_on(tmp_path: Path) -> None:
    with Rehearsal(scenario(*WORKS)) as api:
        user = prepared(tmp_path, api.url)
        file = user.home / "state" / "queue.json"
        file.write_text('[{"id": "broken",\n')
        ran = user.loop("run", "--once")
        assert ran.code == SITUATIONS["queue-file-unparsable"].exit_code, ran
        assert "queue.json" in user.log()
        assert "line 2" in user.log()
        assert file.read_text() == '[{"id": "broken",\n'
        assert user.item()["outcome"] == "verified"
        assert user.loop("queue", "check").code != 0


@contextmanager
def small_volume(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], capture_output=True, check=False
    ).returncode:
        pytest.skip("mount: a small volume cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_is_nearly_full_pauses_the_loop_before_anything_is_lost(tmp_path: Path) -> None:
    row = SITUATIONS["disk-nearly-full"]
    with Rehearsal(scenario(*WORKS)) as api, small_volume(tmp_path / "house"):
        user = prepared(tmp_path, api.url)
        ran = user.loop("run", "--once")
        assert ran.code == row.exit_code, ran
        assert "MiB free" in user.log()
        assert api.requests == []
        item = user.item()
        assert (item["state"], item["attempts"]) == ("ready", 0)


def test_a_second_loop_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    with Rehearsal(scenario(*WORKS)) as api:
        user = User(tmp_path, api.url, prepared=True)
        user.init(repository(tmp_path / "app"))
        with user.running() as first:
            refused = user.loop("run", "--json")
            assert refused.code == 75
            assert_refused(refused, "busy", SITUATIONS["second-instance"].next)
            assert str(first.pid) in refused.error["message"]


def test_every_situation_of_the_table_is_played_here() -> None:
    elsewhere = {"disk-nearly-full", "queue-file-unparsable", "second-instance"}
    assert set(CASES) | elsewhere == set(SITUATIONS)
