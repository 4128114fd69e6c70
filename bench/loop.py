"""A session of the loop over bare `claude -p` for the same script, and the way from `queue add` to a started agent.

One loop runs all the time; its sessions and the bare ones take turns, so that both see the same machine. The bare side
is the CLI alone: no workspace, no log, no gate, no completion contract. The item's figure is all of it, from lease to
verified.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from harness.model.home import Home
from harness.model.work import WorkItem
from harness.rehearsal.stage import Rehearsal
from harness.store.sqlite import SqliteStore
from tests.kit.cli import bundled_cli
from tests.kit.user import User, bash, done, repository, wait_for

AIM_RATIO, AIM_START_MS = 1.10, 200.0
WARM = 1
TURNS = (bash("echo x >> notes.txt && git add -A && git commit -qm note"), done(), {"text": "Done."})
# What the loop gives its own sessions; the bare ones get the same.
SETTINGS = {
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "ENABLE_TOOL_SEARCH": "false",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}
IDENTITY = {f"GIT_{who}_{part}": "bench@example.org" for who in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}


def scenario(pause: float) -> Mapping[str, Any]:
    """`pause` seconds before each answer: a model thinks, this endpoint does not."""
    turns = [{**turn, "fault": {"hang": pause}} if pause else turn for turn in TURNS]
    return {"sessions": [{"default": True, "turns": turns}]}


def bare(folder: Path, user: User, number: int) -> float:
    """Seconds of one `claude -p` in a fresh clone."""
    work = folder / f"bare-{number}"
    subprocess.run(["git", "clone", "-q", str(folder / "app"), str(work)], check=True)
    command = [str(bundled_cli()), "-p", f"Note {number}.", "--output-format", "stream-json", "--verbose",
               "--permission-mode", "bypassPermissions"]  # fmt: skip
    environment = user.env(CLAUDE_CONFIG_DIR=str(folder / "claude"), **SETTINGS, **IDENTITY)
    began = time.perf_counter()
    ended = subprocess.run(
        command, cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended
    return time.perf_counter() - began


def added(home: Home, number: int) -> tuple[str, float]:
    """A new item, and the moment at which it was durable."""
    store = SqliteStore(home.database, gate=home.state / "gate.lock")
    item = WorkItem(f"bench-{number}", f"Note {number}")
    store.add([item], actor="bench", now=datetime.now(UTC))
    at = time.time()
    store.close()
    return item.id, at


def settled(home: Home, item: str) -> Mapping[str, Any] | None:
    """Session and attempt of an item once it is done."""
    database = sqlite3.connect(f"file:{home.database}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    try:
        row = database.execute(
            "SELECT i.outcome, i.reason, s.id, s.started_at, s.ended_at, a.started_at AS leased_at, "
            "a.ended_at AS settled_at FROM items i JOIN sessions s ON s.item = i.id JOIN attempts a ON a.item = i.id "
            "WHERE i.id = ? AND i.state = 'done'",
            (item,),
        ).fetchone()
    finally:
        database.close()
    return dict(row) if row else None


def exec_at(home: Home, session: str) -> float:
    record = json.loads((home.session(session) / "agent-init.json").read_text())
    return datetime.fromisoformat(record["started_at"]).timestamp()


def rounds(folder: Path, user: User, count: int) -> Iterator[tuple[float, float, float, float]]:
    """Seconds: the bare CLI, the loop's session, the item from lease to verified, from commit to exec."""
    home = Home(user.home)
    for number in range(count + WARM):
        item, at = added(home, number)
        row = wait_for(partial(settled, home, item), 60)
        assert row["outcome"] == "verified", row
        alone = bare(folder, user, number)
        if number >= WARM:
            yield (
                alone,
                (row["ended_at"] - row["started_at"]) / 1000,
                (row["settled_at"] - row["leased_at"]) / 1000,
                exec_at(home, row["id"]) - at,
            )


def measure(count: int, pause: float) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-loop-") as name, Rehearsal(scenario(pause)) as api:
        folder = Path(name)
        user = User(folder, api.url)
        user.init(repository(folder / "app"), test="true")
        user.configure(lambda config: config["harness"].update(iteration_delay=0))
        with user.running():
            wait_for(lambda: "No work available" in user.log())
            alone, session, item, start = (sorted(part) for part in zip(*rounds(folder, user, count), strict=True))
    ratio = median(session) / median(alone)
    print(
        f"loop.session n={count} model_pause_s={pause:g} bare_p50_ms={median(alone) * 1000:.0f} "
        f"session_p50_ms={median(session) * 1000:.0f} item_p50_ms={median(item) * 1000:.0f} "
        f"ratio={ratio:.2f} aim={AIM_RATIO:.2f}"
    )
    print(
        f"loop.start n={count} commit_to_exec_p50_ms={median(start) * 1000:.0f} max_ms={start[-1] * 1000:.0f} "
        f"aim_ms={AIM_START_MS:.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pause", type=float, nargs="*", default=[0.0, 0.5], help="seconds the model takes to answer")
    given = parser.parse_args()
    for pause in given.pause:
        measure(given.rounds, pause)


if __name__ == "__main__":
    main()
