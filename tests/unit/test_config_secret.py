"""Secrets are named, never written or printed (C37)."""

import os

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.config.load import load
from harness.config.secret import Secret
from harness.config.show import show
from harness.model.errors import ConfigError

CANARY = "sk-ant-canary-0123456789abcdef"


def loaded(home, text, environ=None):
    (home / "config.yaml").write_text(text, encoding="utf-8")
    return load(home, environ or {})


def test_references_are_resolved_late_and_shown_as_references(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{CANARY}\n", encoding="utf-8")
    file.chmod(0o600)
    config = loaded(tmp_path, "environment: {A_TOKEN: env:CALLER, B_TOKEN: file:token, PLAIN: x}", {"CALLER": CANARY})
    assert config.environment() == {"A_TOKEN": CANARY, "B_TOKEN": CANARY, "PLAIN": "x"}
    rows = {row.key: row.value for row in show(config)}
    assert rows["environment.A_TOKEN"] == "env:CALLER"
    assert CANARY not in f"{config!r} {config.config} {rows}"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(tmp_path, mode):
    file = tmp_path / "token"
    file.write_text(CANARY, encoding="utf-8")
    file.chmod(mode)
    with pytest.raises(ConfigError, match=r"environment\.A_TOKEN: .* lets others read it") as caught:
        loaded(tmp_path, "environment: {A_TOKEN: file:token}").environment()
    assert caught.value.hint == f"chmod 600 {file}"


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"environment\.X: env:NOWHERE: NOWHERE is not set"):
        loaded(tmp_path, "environment: {X: env:NOWHERE}").environment()
    with pytest.raises(ConfigError, match=r"file:.*none: No such file"):
        loaded(tmp_path, "environment: {X: file:none}").environment()


def test_a_pipe_or_a_folder_is_no_secret_file(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("pipe", "."):
        with pytest.raises(ConfigError, match="not a regular file"):
            Secret(f"file:{name}").resolve({}, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        f"environment: {{DEPLOY_TOKEN: {CANARY}}}",
        f"environment: {{HARMLESS: {CANARY}}}",
        f"environment: {{X: 'env:not a name {CANARY}'}}",
        f"notifiers: [{{type: telegram, token: {CANARY}}}]",
        f"agents: {{x: {{type: command, api_key: {CANARY}}}}}",
        f"agents: {{default: {{api_key: {CANARY}}}}}",
        f"environment: {{DB_DSN: 'postgres://me:{CANARY[-8:]}@db/app'}}",
        f"environment: {{APP_CONNECTION_STRING: 'Server=db;Password={CANARY[-8:]}'}}",
    ],
)
def test_a_secret_in_the_file_is_refused_without_repeating_it(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert CANARY[-8:] not in f"{caught.value.message} {caught.value.hint} {caught.value.cause}"
    assert "env:NAME or file:PATH" in caught.value.message


def test_a_url_without_a_password_may_be_written_down(tmp_path):
    config = loaded(tmp_path, "environment: {DATABASE_URL: 'sqlite:///test.db', HOST: 'http://localhost:8080/a@b'}")
    assert config.environment()["DATABASE_URL"] == "sqlite:///test.db"


def test_options_of_adapters_take_references_only():
    adapter = TypeAdapter(Secret)
    secret = adapter.validate_python("env:BOT_TOKEN")
    assert (secret, repr(secret), adapter.dump_python(secret)) == (
        Secret("env:BOT_TOKEN"),
        "Secret('env:BOT_TOKEN')",
        "env:BOT_TOKEN",
    )
    with pytest.raises(ValidationError):
        adapter.validate_python(CANARY)
