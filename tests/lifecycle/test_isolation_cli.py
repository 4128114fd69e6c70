"""Level cli: the CLI's own sandbox holds Bash, a hook holds its file tools, and nothing holds gates (R7, H2)."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from harness.app.fence import Fence
from harness.app.shortcut import shortcut
from harness.config.load import load
from harness.model.errors import ConfigError
from harness.model.home import Home
from harness.ops.isolation import examine
from harness.proc.isolation import Reached, reach
from harness.proc.view import View
from tests.kit.briefs import paths
from tests.kit.loop import COMPLETE, DONE, bash, commit, make_home, make_repository, sessions, yard

pytestmark = pytest.mark.process
TOKEN = "ghp_" + "c" * 36
REACHED = reach("cli", os.environ["PATH"], View())
needs_cli = pytest.mark.skipif(REACHED.level != "cli", reason=f"the CLI's sandbox cannot work here: {REACHED.why}")
linux = pytest.mark.skipif(sys.platform == "darwin", reason="on macOS the CLI uses the system's own sandbox")


def programs(folder: Path, **scripts: str) -> str:
    """A search path with these programs and no others."""
    folder.mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


@linux
@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({}, "bwrap and socat not installed"),
        ({"bwrap": "exit 0"}, "socat not installed"),
        ({"socat": "exit 0"}, "bwrap not installed"),
        ({"bwrap": "echo 'bwrap: No permissions' >&2; exit 1", "socat": "exit 0"}, "bwrap: No permissions"),
    ],
)
def test_without_what_the_sandbox_needs_nothing_is_reached(tmp_path: Path, found: dict[str, str], says: str) -> None:
    reached = reach("cli", programs(tmp_path / "bin", **found), View())
    assert reached.level == "none"
    assert says in reached.why


@linux
def test_cli_is_reached_with_both_programs(tmp_path: Path) -> None:
    assert reach("cli", programs(tmp_path / "bin", bwrap="exit 0", socat=""), View()) == Reached("cli")


ONLY_FOR_THE_CLI = 'case "$*" in *--unshare-net*) exit 0;; *) echo "bwrap: Cannot mount" >&2; exit 1;; esac'


@linux
def test_outer_falls_to_cli_and_says_why(tmp_path: Path) -> None:
    path = programs(tmp_path / "bin", bwrap=ONLY_FOR_THE_CLI, socat="exit 0")
    assert reach("outer", path, View()) == Reached("cli", "bubblewrap does not work here: bwrap: Cannot mount")


@linux
def test_outer_falls_to_none_without_socat_and_says_both(tmp_path: Path) -> None:
    reached = reach("outer", programs(tmp_path / "bin", bwrap=ONLY_FOR_THE_CLI), View())
    assert (reached.level, "Cannot mount" in reached.why, "socat not installed" in reached.why) == ("none", True, True)


def system_tmp(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_deep_home_gets_a_short_name_for_its_temporary_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as short:
        tmp = system_tmp(Path(short) / "t", monkeypatch)
        runs = Path(short) / ("deep/" * 20) / "state/runs"
        fence = Fence("cli", reached=Reached("cli"), runs=runs)
        session = runs / "01234567/tmp/ses_0123456789ab"
        session.mkdir(parents=True)
        for _start in range(2):
            assert list(fence.findings()) == []
            told = Path(fence.temporary(session)["TMPDIR"])
        assert told.samefile(session)
        assert len(f"{told}/claude-socks-0123456789abcdef.sock") <= 107
        assert len(list(tmp.iterdir())) == 1


@pytest.mark.parametrize("made", ["folder", "file", "link"])
def test_what_is_in_the_way_of_the_short_name_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    system_tmp(tmp_path / "t", monkeypatch)
    runs = tmp_path / "state/runs"
    link = shortcut(runs)
    link.unlink()
    link.symlink_to("/etc") if made == "link" else link.touch() if made == "file" else link.mkdir()
    with pytest.raises(ConfigError, match="in the way"):
        list(Fence("cli", reached=Reached("cli"), runs=runs).findings())


def test_a_temporary_folder_that_is_too_long_itself_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system_tmp(tmp_path / ("long" * 20), monkeypatch)
    with pytest.raises(ConfigError, match="too long"):
        list(Fence("cli", reached=Reached("cli"), runs=tmp_path / "runs").findings())


@pytest.mark.parametrize("level", ["cli", "none"])
def test_a_required_level_refuses_each_lower_one(level: str) -> None:
    fence = Fence("outer", required=True, reached=Reached(level, "no bubblewrap"))
    with pytest.raises(ConfigError, match="isolation 'outer' is required"):
        list(fence.findings())


def test_only_level_cli_has_a_territory(tmp_path: Path) -> None:
    mine = paths(tmp_path, "ses_0123456789ab")
    base = View(hidden=(tmp_path,))
    held = Fence("cli", reached=Reached("cli"), base=base).territory(mine)
    assert held is not None
    assert held.hides(str(tmp_path / "sessions"))
    assert held.may_write(str(mine.workspace / "a.py"))
    assert not held.may_write(str(mine.workspace / ".claude/settings.json"))
    for level in ("outer", "none", "container"):
        assert Fence(level, reached=Reached(level), base=base).territory(mine) is None


@needs_cli
def test_doctor_says_what_holds_and_what_does_not(tmp_path: Path) -> None:
    make_home(tmp_path / "home", make_repository(tmp_path / "app"), isolation={"level": "cli"})
    (tmp_path / "user/.ssh").mkdir(parents=True)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "user")}
    reached, (finding,) = examine(load(tmp_path / "home", environ), Home(tmp_path / "home"), environ)
    assert (reached.level, finding.level) == ("cli", "ok")
    assert "gates and set-up commands are not" in finding.found
    assert list((tmp_path / "home/state").glob("canary-*")) == []


@needs_cli
@pytest.mark.cli
@pytest.mark.slow
def test_an_agent_works_and_neither_bash_nor_its_file_tools_reach_anything_else(tmp_path: Path) -> None:
    user, home, app = tmp_path / "user", tmp_path / "home", tmp_path / "app"
    tried = bash(
        f"cat {user}/.ssh/id {home}/state/harness.db; echo x > {home}/planted; echo x > {app}/.git/hooks/post-merge; "
        f"echo '{{}}' > .claude/settings.json; echo {TOKEN}; echo ok > $HOME/mine; echo ok > $TMPDIR/mine"
    )
    files = {
        "tools": [
            {"name": "Read", "input": {"file_path": f"{user}/.ssh/id"}},
            {"name": "Grep", "input": {"pattern": "canary", "path": str(user), "output_mode": "content"}},
            {"name": "Write", "input": {"file_path": f"{home}/planted-by-tool", "content": "x"}},
            {"name": "Write", "input": {"file_path": "made-by-tool", "content": "x"}},
        ]
    }
    script = sessions(probe=(tried, files, commit(), COMPLETE, DONE))
    with yard(tmp_path, script, isolation={"level": "cli", "required": True}) as place:
        (user / ".ssh").mkdir(parents=True)
        (user / ".ssh/id").write_text("canary-of-a-key")
        place.add("probe")
        status, said = place.run("run", "--once")
        assert status == 0, said
        (row,) = place.sessions("probe")
        record = json.loads((place.home.session(row.id) / "agent-init.json").read_text())
        assert record["reached_isolation"] == "cli"
        seen = place.home.session_log(row.id).read_text()
        assert "canary-of" not in seen
        assert "SQLite format" not in seen
        assert seen.count("is hidden from agents") >= 2
        planted = (home / "planted", home / "planted-by-tool", app / ".git/hooks/post-merge")
        assert [path for path in planted if path.exists()] == []
        assert place.item("probe").outcome == "verified"
        assert place.git("ls-tree", "-r", "--name-only", "main").split() == ["README.md", "made-by-tool", "work.txt"]
        transcripts = list(place.home.claude.rglob("*.jsonl"))
        assert {path.stat().st_mode & 0o777 for path in transcripts} == {0o600}
        assert [path for path in transcripts if TOKEN in path.read_text()] == []
        with place.store() as store:
            (scrubbed,) = [e for e in store.journal(session=row.id) if e.kind == "transcript.scrubbed"]
        assert scrubbed.data["blots"] > 0
        shortcut(place.home.run_folder("")).unlink()
