"""Whatever lies in a session log: everything that commands show of it is made without an error (C15)."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis import timeline as told
from harness.analysis.metrics import MAX_ERRORS, last_texts, metrics
from harness.analysis.transcript import Ledger, final_usage, ledger
from harness.cli.output import Screen, table
from harness.ops.answers import Rows, jsonable
from tests.fuzz.grammar import BOMBS, logs
from tests.fuzz.profile import tries
from tests.kit.stores import NOW

pytestmark = pytest.mark.slow

SHAPE = metrics(Path(os.devnull)).keys()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "ses_000000000001.log"


def everything(log: Path) -> dict[str, Any]:
    """All that is made of a log, as a program and as a person gets it."""
    made: dict[str, list[Any]] = {
        "timeline": list(told.timeline(log)),
        "tools": told.tools(log),
        "errors": list(told.errors(log)),
        "transcript": list(told.transcript(log)),
    }
    rows = {name: [{key: getattr(row, key) for key in row.__slots__} for row in found] for name, found in made.items()}
    for found in rows.values():
        "\n".join(table(Rows("fuzz/1", found, NOW), Screen(terminal=True, width=80))).encode()
    whole = {**jsonable(rows), "metrics": metrics(log), "said": last_texts(log)}
    json.dumps(whole, ensure_ascii=False, allow_nan=False).encode()
    return whole


def assert_whole(made: dict[str, Any], lines: int | None = None) -> None:
    """Whatever the log holds, the answer has the shape of an empty one's, and each line is counted at most once."""
    assert made.keys() == {"timeline", "tools", "errors", "transcript", "metrics", "said"}
    assert made["metrics"].keys() == SHAPE
    assert len(made["metrics"]["errors"]) <= MAX_ERRORS
    if lines is not None:
        assert 0 <= made["metrics"]["unreadable_lines"] <= lines


@tries(120)
@given(raw=logs() | st.binary(max_size=300))
def test_any_log_is_read(log: Path, raw: bytes) -> None:
    log.write_bytes(raw)
    assert_whole(everything(log), lines=raw.count(b"\n") + 1)


@tries(40)
@given(raw=logs(), cuts=st.lists(st.integers(0, 4000), max_size=6))
def test_a_followed_log_reads_the_same_however_it_arrives(log: Path, raw: bytes, cuts: list[int]) -> None:
    log.write_bytes(raw)
    whole = list(told.timeline(log))
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    pieces = [raw[a:b] for a, b in pairwise(places)]
    log.write_bytes(pieces.pop(0))
    assert list(told.follow(log, lambda: not pieces, sleep=_arrival(log, pieces))) == whole


def _arrival(log: Path, pieces: list[bytes]) -> Callable[[float], None]:
    def sleep(_seconds: float) -> None:
        with log.open("ab") as file:
            file.write(pieces.pop(0) if pieces else b"")

    return sleep


@tries(40)
@given(raw=logs(), cut=st.integers(0, 2000), flip=st.integers(0, 2000))
def test_a_packed_log_that_is_cut_or_damaged_is_read_as_far_as_it_goes(
    log: Path, raw: bytes, cut: int, flip: int
) -> None:
    log.write_bytes(raw)
    whole = everything(log)
    packed = bytearray(gzip.compress(raw))
    if flip < len(packed):
        packed[flip] ^= 0x55
    log.with_name(f"{log.name}.gz").write_bytes(packed[: max(0, len(packed) - cut % (len(packed) + 1))])
    log.unlink()
    made = everything(log)
    assert_whole(made)
    assert made == whole or made["metrics"]["complete"] is False


def test_a_cut_packed_log_is_not_complete(log: Path) -> None:
    line = b'{"type":"system","subtype":"init","session_id":"s","model":"m"}\n'
    packed = gzip.compress(line * 5000)
    log.with_name(f"{log.name}.gz").write_bytes(packed[:-20])
    assert metrics(log)["model"] == "m"
    assert metrics(log)["complete"] is False


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("frame", ['{"type":"system","subtype":"init","model":%s}', '{"type":"assistant","unknown":%s}',
                                   '{"type":"assistant","message":{"content":[{"type":"tool_use","id":"c","name":"X","input":%s}]}}',
                                   '{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"c","is_error":true,"content":%s}]}}',
                                   "%s"])  # fmt: skip
def test_a_value_that_parsers_choke_on_costs_at_most_its_line(log: Path, bomb: str, frame: str) -> None:
    good = b'{"type":"result","subtype":"success","result":"after it"}\n'
    log.write_bytes(frame.encode().replace(b"%s", BOMBS[bomb]) + b"\n" + good)
    assert [row["what"] for row in everything(log)["timeline"]][-1] == "after it"


def test_half_a_surrogate_pair_costs_one_character(log: Path) -> None:
    """The CLI cuts long outputs by UTF-16 units, in the middle of an emoji if one is there."""
    result = '{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"c","is_error":true,"content":"Exit code 2 \\ud83d"}]}}'
    log.write_text(result + "\n")
    (found,) = told.errors(log)
    assert (found.kind, found.evidence) == ("exit_code", "Exit code 2 ?")


@tries(40)
@given(raw=logs())
def test_any_transcript_of_the_cli_is_read(log: Path, raw: bytes) -> None:
    log.write_bytes(raw.replace(b'"type": "', b'"type":"').replace(b'"result"', b'"cost-state"'))
    found, requests = ledger(log), list(final_usage(log))
    assert found is None or isinstance(found, Ledger)
    assert len(requests) <= raw.count(b"\n") + 1
    assert all(request.model and request.call is None and request.subagent is None for request in requests)
