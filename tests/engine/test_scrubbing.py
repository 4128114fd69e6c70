"""Transcripts of finished work lose the secrets that tools printed, once, and none is ever lost (H46, R7)."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.engine.scrubbing import Scrubber
from harness.model.errors import DiskFull, HarnessError
from harness.model.redact import Redactor
from harness.model.session import SessionRow
from harness.model.work import WorkState
from harness.ports import Scrubbed, Store
from harness.store import transcripts
from harness.store.transcripts import CliTranscripts
from tests.kit.engine import Engine, engine

SECRET = "hunter2-hunter2"
TOKEN = "ghp_" + "a" * 36
pytestmark = pytest.mark.process


def line(text: str) -> str:
    return json.dumps({"type": "user", "message": {"content": text}}) + "\n"


def transcript(row: SessionRow, text: str) -> Path:
    """What the CLI would have left of a session."""
    assert row.transcript is not None
    path = Path(row.transcript)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
    return path


def scrubber(loop: Engine, keeper: Any = None) -> Scrubber:
    parts = loop.parts
    files = CliTranscripts(parts.home.claude, Redactor({"MY_TOKEN": SECRET}))
    return Scrubber(parts.books, parts.clock, parts.state, keeper or files)


def said(loop: Engine, kind: str) -> list[Any]:
    return [entry for entry in loop.heard.entries if entry.kind == kind]


async def done(loop: Engine, *names: str) -> list[SessionRow]:
    """Sessions of items that are done, not looked through: as a killed loop leaves them."""
    for witness in loop.parts.tools.settler.witnesses:
        if isinstance(witness, Scrubber):
            witness.transcripts = Unavailable()
    for name in names:
        await loop.add(name)
    await loop.run(drain=True)
    loop.heard.entries.clear()
    return [(await loop.sessions(name))[0] for name in names]


class Unavailable:
    def scrub(self, row: SessionRow) -> Scrubbed:
        raise DiskFull(f"no space left writing {row.transcript}")


async def test_the_transcript_is_scrubbed_when_its_item_is_done(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await loop.add("one")
        await loop.run(drain=True)
        (entry,) = said(loop, "transcript.scrubbed")
        (row,) = await loop.sessions("one")
        assert (entry.session, entry.data) == (row.id, {"files": 0, "blots": 0})


async def test_every_file_of_a_conversation_is_looked_through_once(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        (row,) = await done(loop, "one")
        path = transcript(row, line(f"MY_TOKEN={SECRET} and {TOKEN}") + line("nothing"))
        sub = path.with_suffix("") / "subagents" / "agent-1.jsonl"
        sub.parent.mkdir(parents=True)
        sub.write_text(line(SECRET))
        clean = path.with_suffix("") / "tool-results" / "1.txt"
        clean.parent.mkdir()
        clean.write_text("plain")
        before = clean.stat().st_ino
        await scrubber(loop).tick()
        kept = [json.loads(each)["message"]["content"] for each in path.read_text().splitlines()]
        assert kept == ["MY_TOKEN=«redacted:MY_TOKEN» and «redacted:token»", "nothing"]
        assert SECRET not in sub.read_text()
        assert (clean.read_text(), clean.stat().st_ino) == ("plain", before)
        assert {each.stat().st_mode & 0o777 for each in (path, sub, clean)} == {0o600}
        await scrubber(loop).tick()
        (entry,) = said(loop, "transcript.scrubbed")
        assert (entry.item, entry.session, entry.data) == ("one", row.id, {"files": 3, "blots": 3})


async def test_unfinished_work_keeps_its_conversation_as_the_api_signed_it(tmp_path: Path) -> None:
    async with engine(tmp_path, gate="false") as loop:
        await loop.add("one")
        await loop.run(once=True)
        assert (await loop.item("one")).state is not WorkState.DONE
        (row,) = await loop.sessions("one")
        path = transcript(row, line(SECRET))
        await scrubber(loop).tick()
        assert SECRET in path.read_text()
        assert said(loop, "transcript.scrubbed") == []


async def test_a_full_disk_is_said_and_the_transcript_stays_until_it_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine(tmp_path) as loop:
        rows = await done(loop, "one", "two")
        paths = [transcript(row, line(SECRET)) for row in rows]

        def full(_handle: int, _mode: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(os, "fchmod", full)
            await scrubber(loop).tick()
        (left,) = said(loop, "transcript.left")  # the second would fail as well
        assert "no space left" in left.data["reason"]
        assert [path.read_text() for path in paths] == [line(SECRET)] * 2
        assert [each.name for each in paths[0].parent.iterdir()] == [paths[0].name]
        await scrubber(loop).tick()
        assert [SECRET in path.read_text() for path in paths] == [False, False]
        assert len(said(loop, "transcript.scrubbed")) == 2


async def test_one_that_cannot_be_read_does_not_keep_others_back(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        first, second = await done(loop, "one", "two")
        transcript(second, line(SECRET))

        class Stubborn(Unavailable):
            def scrub(self, row: SessionRow) -> Scrubbed:
                if row.id == first.id:
                    raise HarnessError("cannot look through it")
                return Scrubbed(1, 1)

        await scrubber(loop, Stubborn()).tick()
        assert [entry.session for entry in said(loop, "transcript.left")] == [first.id]
        assert [entry.session for entry in said(loop, "transcript.scrubbed")] == [second.id]


async def test_what_is_left_is_read_page_by_page(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        rows = await done(loop, "one", "two", "three")
        found: list[str] = []
        after = ""
        while page := await loop.parts.books(partial(_one_after, after)):
            found += [row.id for row in page]
            after = page[-1].id
        assert found == [row.id for row in rows]


def _one_after(session: str, store: Store) -> Sequence[SessionRow]:
    return store.unscrubbed(after=session, limit=1)


@pytest.mark.parametrize("at", range(-40, 41, 8))
def test_a_secret_across_two_parts_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    monkeypatch.setattr(transcripts, "CHUNK_BYTES", 256)
    path = tmp_path / "projects/x/c.jsonl"
    path.parent.mkdir(parents=True)
    before = "x" * (256 + at) + " "
    path.write_text(f"{before}{SECRET} {TOKEN} end\n")
    assert files(tmp_path, path) == Scrubbed(1, 2)
    assert path.read_text() == f"{before}«redacted:MY_TOKEN» «redacted:token» end\n"


def files(claude: Path, path: Path) -> Scrubbed:
    row = SessionRow("ses_1", "one", 1, 1, "a", "completed", 1, "r", path.stem, transcript=str(path))  # type: ignore[arg-type]
    return CliTranscripts(claude, Redactor({"MY_TOKEN": SECRET})).scrub(row)


def test_links_that_an_agent_left_are_not_followed(tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    truth.write_text(SECRET)
    path = tmp_path / "projects/x/c.jsonl"
    path.parent.mkdir(parents=True)
    path.symlink_to(truth)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_text(SECRET)
    path.with_suffix("").symlink_to(tmp_path / "elsewhere")
    assert files(tmp_path, path) == Scrubbed(0, 0)
    assert truth.read_text() == (tmp_path / "elsewhere/file").read_text() == SECRET


def test_a_pipe_in_place_of_a_file_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "projects/x/c.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(line("x"))
    path.with_suffix("").mkdir()
    os.mkfifo(path.with_suffix("") / "pipe")
    assert files(tmp_path, path) == Scrubbed(1, 0)
