"""The shipped configuration and the guide's, with bytes changed: it loads, or every mistake is named (H5)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness.config
from harness.config.load import examine, load
from harness.model.errors import ConfigError
from tests.fuzz.profile import tries

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TEXTS = (Path(harness.config.__file__).with_name("shipped.yaml").read_bytes(), (ROOT / "config.yaml").read_bytes())
BITS = st.sampled_from([b"", b"\n", b"  ", b":", b"- ", b"[", b"}", b"&a ", b"*a", b"!!python/object ", b"<<: ", b"\t", b"\xff", b"\0",
                        b"\xf0\x9f\x99\x82", b"null", b"1e999", b"[" * 40, b"'", b'"', b"9" * 5000, b"NaN", b".inf", b"%", b"---\n"])  # fmt: skip


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    raw = bytearray(draw(st.sampled_from(TEXTS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 12))] = draw(BITS | st.binary(max_size=3))
    return bytes(raw)


@tries(60)
@given(raw=texts())
def test_a_changed_configuration_loads_or_is_refused_in_words(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "config.yaml").write_bytes(raw)
    try:
        loaded = load(tmp_path, {})
    except ConfigError as exc:
        refusal = str(exc)
    else:
        assert loaded.home == tmp_path
        assert examine(tmp_path, {}) == ()
        return
    assert refusal.encode().startswith(b"config.yaml")
