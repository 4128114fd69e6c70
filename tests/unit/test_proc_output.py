"""What is written to disk does not depend on how the bytes arrived (contract 2)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.redact import Redactor
from harness.proc.contain import AGENT_INIT
from harness.proc.output import WHOLE_LINE, FrameLog, Onward, TextLog

SECRETS = {"A_KEY": "abcabcabd", "B_TOKEN": 'quote"back\\slash', "C_SECRET": "short", "PLAIN": "not-a-secret"}
PIECES = st.lists(
    st.sampled_from([b'{"a":', b"1", b"}", b"\n", b"abcabcab", b"d", b"abc", b'quote"', b"back\\slash", b"{", b"\xff"]),
    max_size=40,
)


URLS = st.lists(
    st.sampled_from([b":", b"/", b"//", b"://", b"user", b"pass", b"@", b"host", b" ", b"\n", b"a" * 70]), max_size=40
)


def written(kind: type[FrameLog | TextLog], chunks: list[bytes], limit: int = 1 << 20) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log")
        log = kind(str(path), limit, Redactor(SECRETS))
        for chunk in chunks:
            log.feed(chunk)
        log.close()
        return re.sub(rb'("_at": ?)"[^"]*"', rb"\1T", path.read_bytes())


@pytest.mark.parametrize("kind", [FrameLog, TextLog])
@given(pieces=PIECES | URLS)
def test_log_is_the_same_however_the_output_is_cut(kind, pieces):
    assert written(kind, pieces) == written(kind, [b"".join(pieces)])


@given(pieces=PIECES)
def test_no_secret_reaches_a_log(pieces):
    for kind in (FrameLog, TextLog):
        assert b"abcabcabd" not in written(kind, pieces)


@given(before=PIECES, pieces=st.lists(st.sampled_from([b"x", b"%40"]), min_size=1, max_size=60), after=PIECES)
def test_no_password_of_a_url_reaches_a_log(before, pieces, after):
    for kind in (FrameLog, TextLog):
        said = written(kind, [*before, b"db:/", b"/me:", *pieces, b"@", b"host/", *after])
        assert b"me:" not in said
        assert "://«redacted:login»@host/".encode() in said or rb"://\u00abredacted:login\u00bb@host/" in said


@given(pieces=PIECES, limit=st.integers(100, 400))
def test_frames_under_a_limit_are_whole_lines_within_it(pieces, limit):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log")
        log = FrameLog(str(path), limit, Redactor({}))
        for piece in pieces:
            log.feed(piece)
        log.close()
        raw = path.read_bytes()
    assert len(raw) <= limit
    assert all(re.fullmatch(rb'\{"_at": ?"[^"]+".*\}', line) for line in raw.splitlines())


def test_only_long_values_of_secret_names_are_secrets():
    redactor = Redactor(SECRETS)
    said = b"short not-a-secret abcabcabd"
    assert redactor.apply(said) == "short not-a-secret «redacted:A_KEY»".encode()


def test_longer_secret_wins_over_one_it_contains():
    redactor = Redactor({"A_KEY": "12345678", "B_KEY": "1234567890"})
    assert redactor.apply(b"1234567890") == "«redacted:B_KEY»".encode()


@pytest.mark.parametrize("line", [b'{"a":' + b"[" * 60_000 + b"}", b'{"a":' + b"1" * 5000 + b"}"])
def test_line_that_the_parser_cannot_take_is_kept_raw(line):
    assert json.loads(written(FrameLog, [line]).replace(b"T", b'""', 1)) == {"_at": "", "_raw": line.decode()}


def onward(chunks: list[bytes], *, frames: bool = True) -> bytes:
    """What a reader of stdout gets of these chunks, if it takes everything."""
    out = Onward(frames=frames)
    for chunk in chunks:
        out.feed(chunk)
    return bytes(out.buffer + out.held)


@given(st.lists(st.binary(max_size=40)))
def test_frames_of_usual_length_go_on_byte_for_byte(chunks):
    assert onward(chunks) == b"".join(chunks)


def test_a_line_goes_on_once_it_has_ended_and_text_at_once():
    frames, text = Onward(frames=True), Onward()
    for out in (frames, text):
        out.feed(b"{}\n{")
    assert (bytes(frames.buffer), bytes(text.buffer)) == (b"{}\n", b"{}\n{")


def test_a_very_long_frame_goes_on_in_ascii_and_the_next_one_whole():
    wide = "\N{GRINNING FACE}\xe9".encode()
    long, short = b'{"a":"' + wide + b"y" * 2 * WHOLE_LINE + wide + b'"}\n', b'{"b":"' + wide + b'"}\n'
    sent = short + long + short + long
    got = onward([sent[at : at + 1000] for at in range(0, len(sent), 1000)]).splitlines(keepends=True)
    assert [len(line) for line in got] == [len(short), len(long), len(short), len(long)]
    assert [got[0], got[2]] == [short, short]
    assert json.loads(got[1])["a"] == "??????" + "y" * 2 * WHOLE_LINE + "??????"
    assert got[3].isascii()


def test_agent_init_loads_nothing_but_python_and_its_own_files():
    code = f"import runpy, sys; runpy.run_path({str(AGENT_INIT)!r}, run_name='look'); print(*sys.modules)"
    argv = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(AGENT_INIT.parents[2])!r}); {code}"]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if name.startswith("harness")}
    assert ours == {
        *("harness", "harness.model", "harness.model.redact"),
        *(f"harness.{name}" for name in ("proc", "proc.init_spec", "proc.outer", "proc.output", "proc.procfs")),
    }
    assert {name.partition(".")[0] for name in loaded} - {"harness", "__main__"} <= set(sys.stdlib_module_names)
