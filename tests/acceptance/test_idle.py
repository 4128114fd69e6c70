"""A8 and A11: waiting costs next to nothing, work is begun at once, and a look at the loop is cheap."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.rehearsal.stage import Rehearsal
from tests.kit.user import LOOP, WORKS, User, repository, scenario, wait_for

pytestmark = [pytest.mark.cli, pytest.mark.slow]

IDLE_SECONDS = 10.0
IDLE_CPU_A_MINUTE = 0.5
STATUS_CPU_SECONDS = 0.25
HEAVY = ("claude_agent_sdk", "textual", "starlette", "mcp", "pydantic")


@pytest.fixture
def user(tmp_path: Path) -> User:
    user = User(tmp_path, "http://127.0.0.1:9")
    user.init(repository(tmp_path / "app"))
    return user


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_an_idle_loop_uses_under_half_a_second_of_cpu_a_minute_and_says_so_once(user: User) -> None:
    with user.running() as loop:
        wait_for(lambda: "No work available" in user.log())
        began, before = time.monotonic(), settled_cpu(loop.pid)
        time.sleep(IDLE_SECONDS)
        spent = (cpu_seconds(loop.pid) - before) / (time.monotonic() - began) * 60
        assert spent < IDLE_CPU_A_MINUTE, f"{spent:.2f} s of CPU a minute"
        assert user.log().count("No work available") == 1


def settled_cpu(pid: int) -> float:
    """CPU once the start is over: the SDK is imported in the background."""
    last = -1.0
    while (now := cpu_seconds(pid)) != last:
        last = now
        time.sleep(0.5)
    return now


def test_a_new_item_has_its_session_within_a_second(tmp_path: Path) -> None:
    with Rehearsal(scenario(*WORKS)) as api:
        user = User(tmp_path, api.url)
        user.init(repository(tmp_path / "app"))
        with user.running():
            wait_for(lambda: "No work available" in user.log())
            user.add()
            added = datetime.now(UTC)
            row = wait_for(lambda: session_began(user))
            assert (row - added).total_seconds() < 1.0
            wait_for(lambda: "Session completed successfully" in user.log())
            wait_for(lambda: user.log().count("No work available") == 2)


def session_began(user: User) -> datetime | None:
    database = sqlite3.connect(f"file:{user.home}/state/harness.db?mode=ro", uri=True)
    try:
        found = database.execute("SELECT started_at FROM sessions").fetchone()
    finally:
        database.close()
    return datetime.fromtimestamp(found[0] / 1000, UTC) if found else None


def test_status_is_cheap_also_with_the_launcher(user: User) -> None:
    user.add()
    spent = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = subprocess.run([str(LOOP), "status"], cwd=user.home, env=user.env(), capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert ended.returncode == 3, ended
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < STATUS_CPU_SECONDS, spent


def test_status_imports_no_sdk_and_no_face(user: User) -> None:
    program = (
        "import sys; from harness.cli.main import main; status = main(['status'])\n"
        f"print(status, sorted({{name.partition('.')[0] for name in sys.modules}} & set({HEAVY!r})), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=user.home, env=user.env(PYTHONPATH=str(LOOP.parent)), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert ended.stderr.strip().endswith("3 []"), ended
