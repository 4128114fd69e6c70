"""What the file tools of the CLI may touch where no kernel holds them: level cli (R7)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.agents.claude.hooks import PolicyHook
from harness.agents.claude.paths import readings, real
from harness.model.events import Denied
from harness.model.policy import Denial, Policy
from harness.model.territory import Territory


class Place:
    """`me` with a secret in it; `state` is hidden but for the workspace `state/ws` and the session's folders in it."""

    def __init__(self, folder: Path) -> None:
        self.root = Path(os.path.realpath(folder))
        for made in (
            "me/.ssh",
            "me/src",
            "state/ws/sub/deep",
            "state/ws/.claude",
            "state/other",
            "state/home",
            "state/tmp",
        ):
            (self.root / made).mkdir(parents=True)
        for name in ("me/.ssh/id", "me/src/a.py", "state/db", "state/other/work", "state/ws/a.py"):
            (self.root / name).write_text("x")
        links = {"key": "me/.ssh/id", "keys": "me/.ssh", "away": "state", "down": "state/ws/sub/deep", "src": "me/src"}
        for name, target in links.items():
            (self.ws / name).symlink_to(self.root / target)
        (self.ws / "circle").symlink_to("circle")
        (self.ws / "through").symlink_to("/proc/self/cwd/../state/db")
        (self.ws / "near").symlink_to("../db")
        self.territory = Territory(
            hidden=tuple(str(self.root / each) for each in ("me/.ssh", "state")),
            readable=(str(self.ws / ".claude"),),
            writable=tuple(str(self.root / each) for each in ("state/ws", "state/home", "state/tmp")),
        )

    @property
    def ws(self) -> Path:
        return self.root / "state/ws"

    def judge(self, tool: str, arguments: Mapping[str, Any]) -> Denial | None:
        policy = Policy((), (*self.territory.writable,), self.territory)
        home = str(self.root / "state/home")
        judged = [policy.judge(tool, each) for each in readings(tool, arguments, str(self.ws), home)]
        return next((each for each in judged if each is not None), None)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


READ = [
    ("a.py", True),
    ("{root}/state/ws/a.py", True),
    ("{root}/me/src/a.py", True),
    ("src/a.py", True),
    ("~/notes", True),
    ("{root}/state/tmp/out", True),
    ("not/there/yet", True),
    (".claude/settings.json", True),
    ("/usr/bin/env", True),
    ("{root}/me/.ssh/id", False),
    ("  {root}/me/.ssh/id ", False),
    ("{root}/me/.ssh", False),
    ("{root}/me/.ssh/not-there", False),
    ("{root}/me/src/../.ssh/id", False),
    ("../db", False),
    ("../other/work", False),
    ("{root}/state/db", False),
    ("~/../db", False),
    ("key", False),
    ("keys/id", False),
    ("away/db", False),
    ("away/ws/../db", False),
    ("away/ws/a.py", True),
    ("down/../../../db", False),
    ("near", False),
    ("through", False),
    ("/proc/self/environ", False),
    ("/proc/self/root{root}/me/.ssh/id", False),
    ("/proc/../{root}/me/src/a.py", False),
    ("/dev/fd/3", False),
    ("{root}/me/.sshd", True),
]


@pytest.mark.parametrize(("path", "allowed"), READ)
def test_reading(place: Place, path: str, allowed: bool) -> None:
    assert (place.judge("Read", {"file_path": path.format(root=place.root)}) is None) is allowed


WRITE = [
    ("new.py", True),
    ("sub/new.py", True),
    ("~/mine", True),
    ("{root}/state/tmp/mine", True),
    (".claude/settings.json", False),
    ("sub/../.claude/x", False),
    ("{root}/me/src/a.py", False),
    ("src/a.py", False),
    ("../other/new", False),
    ("down/../../../new", False),
    ("down/../../../../new", False),
    ("key", False),
    ("/etc/new", False),
    ("~", True),
]


@pytest.mark.parametrize("tool", ["Write", "Edit"])
@pytest.mark.parametrize(("path", "allowed"), WRITE)
def test_writing(place: Place, tool: str, path: str, allowed: bool) -> None:
    assert (place.judge(tool, {"file_path": path.format(root=place.root)}) is None) is allowed


def test_a_notebook_is_a_file_too(place: Place) -> None:
    assert place.judge("NotebookEdit", {"notebook_path": str(place.root / "me/src/n.ipynb")}) is not None
    assert place.judge("NotebookEdit", {"notebook_path": "n.ipynb"}) is None


SEARCH: list[tuple[str, Mapping[str, str], bool]] = [
    ("Grep", {"pattern": "x"}, True),
    ("Grep", {"pattern": "x", "path": "sub"}, True),
    ("Grep", {"pattern": "x", "path": "{root}/me/src"}, True),
    ("Grep", {"pattern": "x", "path": "{root}/me"}, False),
    ("Grep", {"pattern": "x", "path": "/"}, False),
    ("Grep", {"pattern": "x", "path": ".."}, False),
    ("Grep", {"pattern": "x", "path": "keys"}, False),
    ("Grep", {"pattern": "x", "path": "/proc/self"}, False),
    ("Glob", {"pattern": "**/*.py"}, True),
    ("Glob", {"pattern": "src/*.py"}, True),
    ("Glob", {"pattern": "{root}/me/.ssh/*"}, False),
    ("Glob", {"pattern": "{root}/me/*/id"}, False),
    ("Glob", {"pattern": "/*"}, False),
    ("Glob", {"pattern": "../*"}, False),
    ("Glob", {"pattern": "*/../../../*"}, False),
    ("Glob", {"pattern": "keys/*"}, False),
    ("Glob", {"pattern": "~/../*"}, False),
    ("Glob", {"pattern": "{{{root}/me/.ssh/id,x}}"}, False),
    ("Glob", {"pattern": "*.py", "path": "{root}/state"}, False),
    ("Glob", {"pattern": "../.ssh/*", "path": "{root}/me/src"}, False),
]


@pytest.mark.parametrize(("tool", "given", "allowed"), SEARCH)
def test_searching(place: Place, tool: str, given: Mapping[str, str], allowed: bool) -> None:
    arguments = {key: value.format(root=place.root) for key, value in given.items()}
    assert (place.judge(tool, arguments) is None) is allowed


@pytest.mark.parametrize(("path", "error"), [("circle/x", OSError), ("a\0b", ValueError)])
def test_a_path_that_cannot_be_followed_is_not_judged_but_refused(place: Place, path: str, error: type) -> None:
    """A hook that raises blocks the call."""
    with pytest.raises(error):
        place.judge("Read", {"file_path": path})


@pytest.mark.parametrize("name", ["a.py", "src/a.py", "key", "away/ws/../db", "down/..", "not/there", "near", "."])
def test_links_are_followed_as_the_kernel_does(place: Place, name: str) -> None:
    assert real(f"{place.ws}/{name}") == os.path.realpath(place.ws / name)


def test_without_a_territory_reading_is_free(place: Place) -> None:
    policy = Policy((), (*place.territory.writable,))
    assert policy.judge("Read", {"file_path": str(place.root / "me/.ssh/id")}) is None


async def test_the_hook_refuses_what_either_reading_of_a_path_leads_to(place: Place) -> None:
    """The CLI drops `..` from the text, the kernel after the link: both ways are judged, at every level."""
    heard: list[Denied] = []
    hook = PolicyHook(Policy((), (str(place.ws),)).judge, heard.append, str(place.root / "state/home"))
    given = {"tool_name": "Write", "cwd": str(place.ws), "tool_input": {"file_path": "down/../../stolen"}}
    assert (await hook(given, None, None))["hookSpecificOutput"]["permissionDecision"] == "deny"
    assert "outside the workspace" in heard[0].reason
