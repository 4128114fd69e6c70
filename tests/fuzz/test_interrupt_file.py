"""Whatever is called `interrupt-request.txt`: it pauses, and never holds the loop up (contract 2)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.interrupt_file import MOST_REASON_BYTES, NAME, read_reason
from tests.fuzz.profile import tries

pytestmark = pytest.mark.slow


@tries(200)
@given(raw=st.binary(max_size=200) | st.text(max_size=50).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_reason(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(raw)
    reason = read_reason(path)
    assert reason
    reason.encode()


@tries(60)
@given(seconds=st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, -1, 253402300800, 2**62]))
def test_any_time_of_the_file_will_do(tmp_path: Path, seconds: int) -> None:
    path = tmp_path / NAME
    path.touch()
    try:
        os.utime(path, (0, seconds))
    except OverflowError:
        return
    reason = read_reason(path)
    assert reason is not None
    assert reason.startswith("no reason given, created ")


def _folder(path: Path) -> None:
    path.mkdir()


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [_folder, os.mkfifo, _dangling, _endless])
def test_whatever_has_the_name_pauses(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / NAME)
    reason = read_reason(tmp_path / NAME)
    assert reason is not None
    assert reason.startswith("no reason given")


def test_a_huge_file_is_read_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with path.open("wb") as file:
        file.truncate(10 << 30)
        file.seek(0)
        file.write(b"stop it\n" + b"x" * (2 * MOST_REASON_BYTES))
    reason = read_reason(path)
    assert reason is not None
    assert reason.startswith("stop it")
    assert len(reason) <= MOST_REASON_BYTES
