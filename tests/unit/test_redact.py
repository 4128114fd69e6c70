"""Secrets are blotted out in every form they take on their way to disk (C37)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

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


@pytest.mark.parametrize(
    "name",
    ["DB_DSN", "SENTRY_DSN", "DSN", "DATABASE_URL", "TEST_DATABASE_URL", "AZURE_STORAGE_CONNECTION_STRING", "MYSQL_PWD",
     "ConnectionStrings__Main", "SMTP_PASS", "PGPASSWORD", "SSH_PASSPHRASE"],
)  # fmt: skip
def test_names_that_hold_a_secret(name: str) -> None:
    assert Redactor({name: "Server=db;User=me"}).text("<Server=db;User=me>") == f"<\u00abredacted:{name}\u00bb>"


@pytest.mark.parametrize("name", ["PWD", "OLDPWD", "BYPASS_ALL", "PASSED_AT", "REDIS_URL", "HTTP_PROXY", "PATH"])
def test_names_that_hold_none(name: str) -> None:
    assert Redactor({name: "/home/me/app"}).text("in /home/me/app") == "in /home/me/app"


@pytest.mark.parametrize("password", ["hunter2-hunter2", "hunter2%40hunter2"])
def test_a_password_in_a_url_is_a_secret_by_itself_whatever_the_variable_is_called(password: str) -> None:
    redactor, mark = Redactor({"A_PROXY": f"http://me:{password}@proxy:3128"}), "\u00abredacted:A_PROXY\u00bb"
    for form in (password, unquote(password), f"me:{password}"):
        assert redactor.text(f"it was {form}!") == f"it was {mark}!"
    assert redactor.text(f"http://me:{password}@proxy:3128") == f"http://{mark}@proxy:3128"


@pytest.mark.parametrize("part", ["Password=", "pwd = ", "PASSWORD="])
def test_the_password_of_a_connection_string_is_a_secret_by_itself(part: str) -> None:
    redactor = Redactor({"APP_CONNECTION_STRING": f"Server=db;{part}hunter2-hunter2;Timeout=30"})
    assert redactor.text("login failed: hunter2-hunter2") == "login failed: \u00abredacted:APP_CONNECTION_STRING\u00bb"


@pytest.mark.parametrize(
    "url", ["amqp://me:geheim@mq:5672/", "redis://:geheim@cache/0", "https://me:geheim@example.org/x.git"]
)
def test_names_and_passwords_of_urls_nobody_told_us_of(url: str) -> None:
    scheme, _, rest = url.partition("://")
    said = f"{scheme}://\u00abredacted:login\u00bb@{rest.rpartition('@')[2]}"
    assert Redactor({}).text(f'{{"x": "{url}"}}') == f'{{"x": "{said}"}}'


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8080/@scope/name", "git@github.com:me/app.git", "ssh://git@host:22/x", "https://k3y@o0.sentry.io/1",
     "http://host:80?to=me@example.org", "a://b and c:d@e"],
)  # fmt: skip
def test_urls_without_a_password_stay(url: str) -> None:
    assert Redactor({}).text(url) == url


@pytest.mark.parametrize(
    "text", ["sk-ant-rehearsal", "task-ant-hill", "ghp_short", "git log --oneline", "a" * 500, "xAKIA" + "A1" * 8]
)
def test_what_is_no_token_stays(text: str) -> None:
    assert Redactor({}).text(text) == text


def test_a_token_in_two_pieces_is_held_back() -> None:
    redactor = Redactor({})
    assert redactor.undecided(b"text ghp_" + b"a1" * 5) == 14
    assert redactor.undecided(b"text and more") == 0
    assert redactor.undecided(b"text db://me:" + b"x" * 300) == 6 + 300


def test_every_log_of_the_loop_is_blotted(tmp_path: Path) -> None:
    redact = Redactor({"A_TOKEN": "a-secret-value"}).text
    logs = Logs(tmp_path, now=lambda: datetime(2026, 1, 1, tzinfo=UTC), redact=redact)
    logs.say("config.warning", {"reason": "it was a-secret-value"})
    assert logs.dropped == 0
    written = [path.read_text() for path in tmp_path.rglob("*.log")]
    assert len(written) == 2
    assert all("a-secret-value" not in each and "redacted:A_TOKEN" in each for each in written)
