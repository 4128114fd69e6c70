"""The slots of the test kit hold between processes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.kit.cli import SLOTS, cli_slot, cli_slot_async

ROOT = Path(__file__).parents[2]
TAKE = "from tests.kit.cli import cli_slot\nwith cli_slot() as slot: print('got', slot, flush=True); input()"


def taker():
    return subprocess.Popen(
        [sys.executable, "-c", TAKE], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_killed_process_gives_its_slot_back(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    holders = [taker() for _ in range(SLOTS)]
    try:
        assert sorted(holder.stdout.readline() for holder in holders) == ["got 0\n", "got 1\n"]
        with taker() as waiting:
            holders[0].kill()
            assert waiting.stdout.readline().startswith("got")
            waiting.kill()
    finally:
        for holder in holders:
            with holder:
                holder.kill()


async def test_the_asynchronous_slot_is_the_same_slot(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with cli_slot() as first:
        async with cli_slot_async() as second:
            assert first != second
