"""No room on the disk: said, waited out, and over as soon as there is room; never the loop's end (requirement H12, B4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.engine.surroundings import DiskWatch
from harness.git.run import Result, failure
from harness.model.errors import DiskFull, GitError
from harness.model.outcome import Interrupted
from harness.model.session import SessionRow, SessionStatus
from harness.ports import LeaseRules
from harness.store.files import SessionFiles
from tests.kit.engine import Engine, engine

pytestmark = pytest.mark.process

GIB = 1 << 30


class NoRoom(SessionFiles):
    """Files on a disk that is full."""

    def metrics(self, session: str, _document: Any) -> Path:
        raise DiskFull(f"no space left writing metrics.json of {session}")


@pytest.fixture
async def loop(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path) as made:
        yield made


async def test_a_pause_of_a_session_that_met_the_full_disk_ends_with_that_of_the_watch(loop: Engine) -> None:
    books, clock, state = loop.parts.books, loop.parts.clock, loop.parts.state
    room = [0]
    watch = DiskWatch(books, clock, state, lambda: (10 * GIB, room[0]))
    await watch.tick()
    later = loop.now + timedelta(hours=1)
    await books(lambda s: s.open_pause("loop", "probe", "disk_full: (item a)", "ending", loop.now, until=later))
    await books(lambda s: s.open_pause("loop", "probe", "billing: (item b)", "auth", loop.now, until=later))
    state.pauses = tuple(await loop.pauses())
    assert {pause.source for pause in state.pauses} == {"disk", "ending", "auth"}
    room[0] = 5 * GIB
    await watch.tick()
    assert {pause.source for pause in await loop.pauses()} == {"auth"}


async def test_what_is_settled_is_settled_though_its_files_cannot_be_written(loop: Engine) -> None:
    await loop.add("one")
    owner, rules = loop.parts.state.owner, LeaseRules("loop", {}, "app")
    lease = await loop.parts.books(lambda s: s.lease(owner, rules, loop.now))
    assert lease is not None
    row = SessionRow("ses_1", "one", lease.fence, 1, "scripted", SessionStatus.RUNNING, 1, "run", "claude-1")
    await loop.parts.books(lambda s: s.open_session(lease, row))
    settler = replace(loop.parts.reconciler.settler, records=NoRoom(loop.parts.home.root))
    ended = replace(row, status=SessionStatus.INTERRUPTED, ended_at=loop.now)
    await settler.settle(lease, Interrupted("the test says so", "loop"), ended, None)
    assert (await loop.item("one")).state == "ready"
    assert "session.unwritten" in loop.heard.kinds()


def test_git_without_room_is_a_full_disk_and_no_fault_of_git() -> None:
    said = "error: unable to write file x\nfatal: unable to write loose object file: No space left on device\n"
    full = failure(("hash-object", "-w"), Result(128, b"", said))
    assert isinstance(full, DiskFull)
    assert "hash-object" in full.message
    assert isinstance(failure(("hash-object",), Result(128, b"", "fatal: bad object")), GitError)
