"""Secrets are blotted out in every form they take on their way to disk (C37)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.redact import Redactor
from harness.telemetry.log import Logs

SECRET = 'p/+"ss w\u00f6rd-0123456789'
MARK = "\u00abredacted:A_TOKEN\u00bb"


@given(st.binary(max_size=9), st.binary(max_size=9))
def test_base64_of_anything_that_holds_the_secret_does_not_show_it(before: bytes, after: bytes) -> None:
    redactor = Redactor({"A_TOKEN": SECRET})
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert MARK.encode() in redactor.apply(encode(before + SECRET.encode() + after))


@pytest.mark.parametrize(
    "form", [str, json.dumps, lambda text: json.dumps(text, ensure_ascii=False), lambda text: quote(text, safe="")]
)
def test_other_forms(form: Callable[[str], str]) -> None:
    assert Redactor({"A_TOKEN": SECRET}).text(f"<{form(SECRET)}>").count(MARK) == 1


@pytest.mark.parametrize(
    "token",
    ["sk-ant-api03-" + "a1B2" * 10, "ghp_" + "a1" * 18, "github_pat_" + "a1" * 30, "glpat-" + "a1" * 10,
     "xoxb-" + "12" * 12, "AKIA" + "A1" * 8, "AIza" + "a1b2c" * 7],
)  # fmt: skip
def test_tokens_nobody_told_us_of(token: str) -> None:
    assert Redactor({}).text(f'{{"x": "{token}"}}') == '{"x": "\u00abredacted:token\u00bb"}'


@pytest.mark.parametrize("text", ["sk-ant-rehearsal", "task-ant-hill", "ghp_short", "git log --oneline", "a" * 500])
def test_what_is_no_token_stays(text: str) -> None:
    assert Redactor({}).text(text) == text


def test_a_token_in_two_pieces_is_held_back() -> None:
    redactor = Redactor({})
    assert redactor.undecided(b"text ghp_" + b"a1" * 5) == 14
    assert redactor.undecided(b"text and more") == 0


def test_every_log_of_the_loop_is_blotted(tmp_path: Path) -> None:
    redact = Redactor({"A_TOKEN": "a-secret-value"}).text
    logs = Logs(tmp_path, now=lambda: datetime(2026, 1, 1, tzinfo=UTC), redact=redact)
    logs.say("config.warning", {"reason": "it was a-secret-value"})
    assert logs.dropped == 0
    written = [path.read_text() for path in tmp_path.rglob("*.log")]
    assert len(written) == 2
    assert all("a-secret-value" not in each and "redacted:A_TOKEN" in each for each in written)
