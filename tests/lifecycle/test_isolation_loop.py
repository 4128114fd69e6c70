"""A whole loop behind the fence, with the real CLI: what its agents, gates and set-up commands can do (R7, contract 8)."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.app.fence import Fence
from harness.engine.preparing import transcript_path
from harness.proc.isolation import reach
from harness.proc.view import View
from tests.kit.briefs import paths
from tests.kit.loop import COMPLETE, DONE, Yard, bash, commit, sessions, until, work, yard

pytestmark = [pytest.mark.cli, pytest.mark.slow]
REACHED = reach("outer", os.environ["PATH"], View())
if REACHED.level != "outer":  # no silent green: the reason is printed with the skip
    pytest.skip(f"bubblewrap cannot be used here: {REACHED.why}", allow_module_level=True)


CANARIES = {
    "DB_DSN": "postgres://me:canary-of-a-dsn@db/app",
    "AWS_SECRET_ACCESS_KEY": "canary-of-a-cloud",
    "GH_TOKEN": "canary-of-a-forge",
    "PLAIN": "canary-of-no-secret-name",
}
"""What the operator has exported: nobody gets it."""


def holds(path: Path, what: bytes) -> bool:
    return path.is_file() and what in path.read_bytes()


def record(place: Yard, session: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((place.home.session(session) / "agent-init.json").read_text())
    return found


def user_with_secrets(place: Yard) -> Path:
    home = place.folder / "user"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/id").write_text("canary-of-a-key")
    (home / ".netrc").write_text("canary-of-a-password")
    return home


def test_an_agent_works_behind_the_fence_and_reaches_nothing_else(tmp_path: Path) -> None:
    tried = bash(
        "cat {user}/.ssh/id {user}/.netrc {home}/state/harness.db {home}/config.yaml; ls {home}/docs/sessions; "
        "echo x > {app}/.git/hooks/post-merge; echo x > {app}/README.md; echo x > {home}/planted; "
        "mkdir -p .claude && echo '{{}}' > .claude/settings.json; ls /proc | grep -c '^[0-9]'; echo ok > $HOME/mine; "
        "echo ok > /tmp/mine; cat $TMPDIR/mine; env; tr '\\0' '\\n' < /proc/1/environ; cat {home}/state/worktrees/*/*"
    )
    place_folder = tmp_path
    words = {"user": tmp_path / "user", "home": tmp_path / "home", "app": tmp_path / "app"}
    tried["tools"][0]["input"]["command"] = tried["tools"][0]["input"]["command"].format(**words)
    script = sessions(probe=(tried, commit(), COMPLETE, DONE))
    with yard(place_folder, script, isolation={"level": "outer", "required": True}) as place:
        user_with_secrets(place)
        place.add("probe")
        (other := place.home.worktrees / "other").mkdir(parents=True)
        (other / "work").write_text("canary-of-another")
        status, said = place.run("run", "--once", IS_SANDBOX="", **CANARIES)
        assert status == 0, said
        (row,) = place.sessions("probe")
        assert record(place, row.id)["reached_isolation"] == "outer"
        seen = place.home.session_log(row.id).read_text()
        assert "canary-of" not in seen
        assert "PATH=" in seen
        assert [
            path for path in place.home.root.rglob("*") if path != other / "work" and holds(path, b"canary-of")
        ] == []
        assert "SQLite format" not in seen
        for planted in (place.repository / ".git/hooks/post-merge", place.home.root / "planted"):
            assert not planted.exists()
        assert (place.repository / "README.md").read_text() == "a sample\n"
        assert place.item("probe").outcome == "verified"


@pytest.mark.parametrize("level", ["outer", pytest.param("none", marks=pytest.mark.night)])
@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"])
def test_the_credential_is_in_no_tools_environment_and_in_no_file(tmp_path: Path, level: str, name: str) -> None:
    """The endpoint refuses requests without a credential, so a session that works has used it."""
    canary = "sk-ant-canary-0123456789abcdef"
    look = bash("env > seen; cat /proc/$PPID/environ >> seen")
    script = sessions(one=(look, commit(), COMPLETE, DONE))
    with yard(tmp_path, script, gate="env; test -f work.txt", isolation={"level": level}) as place:
        place.add("one")
        status, said = place.run("run", "--once", **{"ANTHROPIC_API_KEY": "", name: canary})
        assert status == 0, said
        assert "PATH=" in place.git("show", "main:seen")
        assert canary not in place.git("show", "main:seen")
        found = [path for path in place.home.root.rglob("*") if holds(path, canary.encode())]
        assert found == []


def test_gates_and_setup_commands_are_fenced_too(tmp_path: Path) -> None:
    gate = f"test -f work.txt && ! cat {tmp_path}/user/.ssh/id && {{ touch {tmp_path}/home/planted; true; }} && echo x > $HOME/a"
    setup = f"! cat {tmp_path}/user/.ssh/id && {{ touch {tmp_path}/home/planted; true; }} && echo made > made.txt"
    with yard(tmp_path, sessions(one=work()), gate=gate, isolation={"level": "outer", "required": True}) as place:
        user_with_secrets(place)
        config = place.home.config.read_text().replace("path:", f"setup: ['{setup}']\n  path:")
        place.home.config.write_text(config)
        place.add("one")
        status, said = place.run("run", "--once")
        assert status == 0, said
        assert "made.txt" in place.git("ls-tree", "--name-only", "main")
        assert not (place.home.root / "planted").exists()


def test_a_session_is_resumed_behind_the_fence(tmp_path: Path) -> None:
    first = (bash("echo begun > begun; sleep 60"), commit(), COMPLETE, DONE)
    with yard(tmp_path, sessions(one=first), isolation={"level": "outer", "required": True}) as place:
        place.add("one")
        loop = place.start()
        until(place.tool, 40, "the tool")
        place.home.interrupt_file.write_text("a pause")
        until(lambda: place.sessions()[-1].status == "interrupted", 40, "the pause")
        place.home.interrupt_file.unlink()
        until(lambda: place.item("one").state == "done", 60, "the end")
        loop.process.terminate()
        assert loop.ended() == 0
        before, after = place.sessions("one")
        assert after.claude_session_id == before.claude_session_id
        assert {record(place, row.id)["reached_isolation"] for row in (before, after)} == {"outer"}


def test_a_session_sees_its_own_transcripts_and_no_others(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first, second = (paths(state / name, f"ses_{number:012}") for number, name in enumerate("ab"))
    first, second = (replace(each, claude=state / "claude") for each in (first, second))
    fence = Fence("outer", required=True, reached=REACHED, base=View(hidden=(state,)))
    mine, other = (
        transcript_path(each.claude, each.workspace, "00000000-0000-0000-0000-000000000000") for each in (first, second)
    )
    for path in (mine, other):
        path.parent.mkdir(parents=True)
        path.write_text(f"said in {path.parent.name}")
    argv = fence.agent(first, Path("/bin/sh"))["argv"]
    assert isinstance(argv, list)
    read = subprocess.run([*argv, "--", "/bin/cat", str(mine), str(other)], capture_output=True, check=False)
    assert read.stdout.decode() == f"said in {mine.parent.name}"


def test_a_link_an_agent_left_in_place_of_its_settings_opens_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("canary")
    mine = paths(tmp_path / "session", "ses_0123456789ab")
    (mine.workspace / ".claude").symlink_to(secret)
    fence = Fence("outer", required=True, reached=REACHED, base=View(hidden=(secret,)))
    argv = fence.agent(mine, Path("/bin/sh"))["argv"]
    assert isinstance(argv, list)
    read = subprocess.run([*argv, "--", "/bin/cat", f"{secret}/key"], capture_output=True, check=False)
    assert b"canary" not in read.stdout
