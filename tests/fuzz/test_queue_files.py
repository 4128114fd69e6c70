"""Files of work: taken whole or refused whole, with a sentence and never a traceback (H6, H47)."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.errors import Usage
from harness.model.home import Home
from harness.model.itemform import Form
from harness.ops import importing, queue
from harness.ops.queue import Desk
from harness.store.reading import open_writer
from tests.fuzz.grammar import BOMBS, SCALARS, VALUES
from tests.fuzz.profile import tries
from tests.kit.stores import NOW

pytestmark = pytest.mark.slow

MANY = 30_000

MEMORY = Path("/dev/shm")
FORM = Form(repositories=("app",), lanes={"default": 0.0, "sweep": 720.0})
KEYS = st.sampled_from(["id", "title", "type", "kind", "description", "rig", "repo", "priority", "lane", "depends_on", "not_before",
                        "max_attempts", "agent", "scope", "branch", "timeout_seconds", "max_cost_usd", "labels", "state", "attempts",
                        "rank_at", "fence", "extra", "script", "\ud800", ""])  # fmt: skip
FITTING: dict[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from(["a", "b", "c-1", "a..b", "x.lock", "-", "A" * 129]),
    "priority": st.sampled_from(["high", "low", 5, "5", "²", "9" * 5000, 100]),
    "depends_on": st.lists(st.sampled_from(["a", "b", "c-1", "gone"]), max_size=3),
    "not_before": st.sampled_from(["2026-02-01T06:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59-12:00", "soon"]),
    "max_attempts": st.sampled_from([1, 0, -1, 2**63, 10**30, True, 1.5]),
    "timeout_seconds": st.sampled_from([60, 0, 10**400, 1e308, float("nan"), "60"]),
    "title": st.text(min_size=1, max_size=10),
    "rig": st.sampled_from(["app", "none"]),
    "lane": st.sampled_from(["sweep", "slow"]),
}


@st.composite
def items(draw: st.DrawFn) -> Any:
    """Mostly objects like items, with now and then a value that does not belong."""
    if draw(st.integers(0, 9)) == 0:
        return draw(VALUES)
    item = {"title": "t"} if draw(st.integers(0, 4)) else {}
    for key in draw(st.lists(KEYS, max_size=5)):
        fitting = FITTING.get(key)
        item[key] = draw(fitting if fitting is not None and draw(st.integers(0, 3)) else VALUES)
    return item


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A list, an object with items or rows, or lines; perhaps torn, or with bytes that are no text."""
    found = draw(st.lists(items(), max_size=4))
    match draw(st.integers(0, 4)):
        case 0:
            text = "\n".join(json.dumps(each) for each in found)
        case 1:
            text = json.dumps({draw(st.sampled_from(["items", "rows", "others"])): found})
        case _:
            text = json.dumps(found, indent=draw(st.sampled_from([None, 2])))
    raw = bytearray(text.encode())
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 3))] = draw(
            st.sampled_from([b"", b",", b"]", b"{", b"\xff", b"\0", b"\xef\xbb\xbf", b"NaN", b"[" * 3000])
        )
    return bytes(raw)


@pytest.fixture
def home() -> Iterator[Home]:
    """In memory where there is such a thing: what is tried is not the disk."""
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Home(Path(folder))


@pytest.fixture
def desk(home: Home) -> Desk:
    made = Desk(home, FORM, "fuzz", NOW)
    queue.add(made, {"id": "known", "title": "was there"})
    return made


def kept(desk: Desk) -> Any:
    """All that the database and every face tell of the queue, made in each way that it is shown."""
    with_store = open_writer(desk.home.state)
    head = with_store.journal_head()
    with_store.close()
    shown = queue.show(desk.home, NOW, finished=True, limit=1000)
    for row in shown.rows:
        json.dumps(
            queue.show_one(desk.home, row["id"]).facts, default=str, allow_nan=False, ensure_ascii=False
        ).encode()
    exported = queue.export(desk.home, NOW, finished=True).rows
    return head, json.dumps(exported, default=str, allow_nan=False, ensure_ascii=False).encode()


def clear(desk: Desk) -> None:
    """The state folder as the fixture left it: one home serves all examples."""
    with_store = open_writer(desk.home.state)
    ids = [item.id for item in with_store.items(limit=1000) if item.id != "known" and item.state != "cancelled"]
    with_store.close()
    desk.home.queue_file.unlink(missing_ok=True)
    for name in ids:
        queue.remove(desk, name)


@tries(80)
@given(raw=files() | st.binary(max_size=60))
def test_an_import_is_taken_whole_or_refused_whole(desk: Desk, raw: bytes) -> None:
    before = kept(desk)
    try:
        answer = importing.import_(desk, importing.records(raw, "file"), "file")
    except Usage:
        assert kept(desk) == before
        return
    answer.detail.encode()
    after = kept(desk)
    assert (after[0] > before[0]) is answer.applied
    clear(desk)


@tries(60)
@given(raw=files() | st.binary(max_size=60))
def test_an_edited_queue_file_is_taken_whole_or_left_alone_whole(desk: Desk, raw: bytes) -> None:
    queue.take_edits(desk)
    before = kept(desk)
    desk.home.queue_file.write_bytes(raw)
    queue.take_edits(desk)
    refused = desk.home.queue_file.with_name("queue.json.problem.txt")
    if refused.exists():
        assert desk.home.queue_file.read_bytes() == raw
        assert kept(desk)[0] == before[0]
        refused.read_text(encoding="utf-8")
        refused.unlink()
    else:
        kept(desk)
        json.loads(desk.home.queue_file.read_bytes())
    clear(desk)
    restore(desk)


def restore(desk: Desk) -> None:
    """`known` again, if the file said that it is not wished."""
    if queue.show(desk.home, NOW).rows == []:
        queue.retry(desk, "known")


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize(
    "shape",
    [b"%s", b"[%s]", b'[{"title":"t","x":%s}]', b'{"items":[{"title":%s}]}', b'{"title":"t","x":%s}\n{"title":"u"}'],
)
def test_values_that_parsers_choke_on_are_refused(desk: Desk, bomb: str, shape: bytes) -> None:
    raw = shape.replace(b"%s", BOMBS[bomb])
    before = kept(desk)
    with pytest.raises(Usage) as refused:
        importing.import_(desk, importing.records(raw, "file"), "file")
    assert len(refused.value.message) < 500
    desk.home.queue_file.write_bytes(raw)
    (problem,) = queue.take_edits(desk)
    assert len(problem) < 700
    assert kept(desk) == before


def _folder(path: Path) -> None:
    path.mkdir()


def _nowhere(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [_folder, os.mkfifo, _nowhere])
def test_what_is_no_plain_file_is_named_and_never_waited_for(desk: Desk, make: Callable[[Path], None]) -> None:
    desk.home.queue_file.unlink()
    make(desk.home.queue_file)
    assert queue.check(desk).facts["problems"] == [
        f"queue.json: not a plain file (move {desk.home.queue_file} away; the loop writes it anew)"
    ]
    assert queue.show(desk.home, NOW).rows[0]["id"] == "known"
    assert queue.edited(desk.home) is False


@tries(100)
@given(document=st.dictionaries(KEYS, SCALARS | VALUES, max_size=5))
def test_any_object_is_an_item_or_refused(desk: Desk, document: dict[str, Any]) -> None:
    before = kept(desk)
    try:
        answer = queue.add(desk, document)
    except Usage:
        assert kept(desk) == before
        return
    after = kept(desk)
    assert (after[0] > before[0]) is answer.applied
    if answer.applied:
        assert answer.target in {row["id"] for row in queue.show(desk.home, NOW).rows}
        queue.remove(desk, answer.target)


def test_thirty_thousand_items_come_in_with_one_file(desk: Desk) -> None:
    raw = json.dumps(
        [{"id": f"n-{n}", "title": f"Item {n}", "priority": n % 100, "ticket": n} for n in range(MANY)]
    ).encode()
    began = time.monotonic()
    answer = importing.import_(desk, importing.records(raw, "file"), "file")
    assert answer.detail == f"{MANY} added, 0 left as they are"
    assert time.monotonic() - began < 120
    lines = b"\n".join(json.dumps({"id": f"m-{n}", "title": "t"}).encode() for n in range(MANY)) + b'\n{"id": "m-1"}'
    before = kept_head(desk)
    with pytest.raises(Usage, match=f"item {MANY + 1}"):
        importing.import_(desk, importing.records(lines, "file"), "file")
    assert kept_head(desk) == before


def kept_head(desk: Desk) -> int:
    store = open_writer(desk.home.state)
    try:
        return store.journal_head()
    finally:
        store.close()
