"""doctor, auth, config, prompt: what is found, what is expected, how to mend (H1, H2, H3, H33, H34)."""

import json
import stat
import subprocess
import sys

import pytest

from tests.kit.command import ENVIRON

FAKE_CLI = """#!/bin/sh
case "$*" in
    --version) echo "9.9.9 (Claude Code)" ;;
    "auth status") echo '{"loggedIn": true, "authMethod": "api_key", "email": "a@b.c", "accessToken": "hidden"}' ;;
    "auth login") echo "config: $CLAUDE_CONFIG_DIR"; exit 7 ;;
esac
"""


@pytest.fixture
def claude(loop):
    """The home's agent is Claude, with a CLI that answers what the real one does."""
    cli = loop.home.root / "claude"
    cli.write_text(FAKE_CLI)
    cli.chmod(cli.stat().st_mode | stat.S_IXUSR)
    repositories = loop.home.config.read_text().partition("repositories:")[2]
    agents = f"agents: {{default: {{type: claude, cli: {cli}}}}}\n"
    loop.home.config.write_text(f"{agents}repositories:{repositories}")
    return loop


def _findings(said):
    return {finding["check"]: finding for finding in said.json["findings"]}


# --- doctor -----------------------------------------------------------------------------------------------------------


def test_a_home_that_is_in_order_is_ready(loop):
    said = loop("doctor", "--json")
    found = _findings(said)
    assert said.code == 0, [each for each in found.values() if each["level"] == "fail"]
    assert {"python", "git", "config", "agent default", "repository app", "gate app.tests", "prompts"} <= set(found)
    assert found["repository app"]["found"].endswith("branch main, clean")
    assert loop("doctor").out.splitlines()[-1] == "ready"


def test_a_missing_credential_is_named_with_every_way_to_mend_it(claude):
    said = claude("doctor", "--json")
    assert said.code == 1
    account = _findings(said)["claude account"]
    assert (account["level"], account["mend"]) == ("fail", "./loop auth login")
    assert "ANTHROPIC_API_KEY" in account["expected"]
    assert "9.9.9" in _findings(said)["claude cli"]["found"]


def test_the_value_of_a_credential_is_never_shown(claude):
    claude.environ["ANTHROPIC_API_KEY"] = "sk-ant-very-secret"
    for words in (("doctor",), ("auth", "status"), ("auth", "status", "--json"), ("config", "show", "--json")):
        said = claude(*words)
        assert said.code == 0, said
        assert "very-secret" not in said.out + said.err
        assert "hidden" not in said.out


@pytest.mark.parametrize(
    ("change", "check", "level", "told"),
    [
        (("branch: ", ""), "repository app", "ok", "main"),
        (("path: app", "path: gone"), "repository app", "fail", "does not exist"),
        (("path: app", "path: app, branch: develop"), "repository app", "fail", "develop"),
        (("sh check.sh", "no-such-program --all"), "gate app.tests", "warn", "no-such-program is not on PATH"),
        (("harness: {", "harness: {nonsense: 1, "), "config", "fail", "nonsense"),
        (("type: scripted", "type: unheard"), "agents", "fail", "unheard"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_a_finding(loop, change, check, level, told):
    loop.home.config.write_text(loop.home.config.read_text().replace(*change))
    found = _findings(loop("doctor", "--json"))
    assert found[check]["level"] == level
    assert told in found[check]["found"]


def test_local_changes_of_a_checkout_are_named(loop):
    (loop.home.root / "app" / "state.txt").write_text("mine\n")
    finding = _findings(loop("doctor", "--json"))["repository app"]
    assert finding["level"] == "warn"
    assert "1 local change(s): state.txt" in finding["found"]


def test_a_template_that_does_not_compile_is_a_finding(loop):
    loop.home.prompts.mkdir()
    (loop.home.prompts / "bootstrap.md.j2").write_text("{% if %}")
    finding = _findings(loop("doctor", "--json"))["prompts"]
    assert finding["level"] == "fail"
    assert "bootstrap.md.j2" in finding["found"]


def test_without_a_configuration_the_rest_is_still_examined(loop):
    loop.home.config.unlink()
    said = loop("doctor", "--json")
    assert said.code == 1
    assert _findings(said)["config"]["mend"].startswith("./loop init")
    assert _findings(said)["git"]["level"] == "ok"


# --- auth -------------------------------------------------------------------------------------------------------------


def test_without_credentials_auth_status_is_exit_77_and_names_the_ways(claude):
    said = claude("auth", "status", "--json")
    assert (said.code, said.json["credentials"], said.json["account"]) == (77, [], None)
    assert "./loop auth login" in claude("auth", "status").out


def test_auth_status_names_cli_version_and_account(claude):
    claude.environ["ANTHROPIC_API_KEY"] = "sk-ant-very-secret"
    said = claude("auth", "status", "--json")
    assert said.code == 0
    assert (said.json["version"], said.json["credentials"]) == ("9.9.9 (Claude Code)", ["ANTHROPIC_API_KEY"])
    assert said.json["account"] == {"loggedIn": True, "authMethod": "api_key", "email": "a@b.c"}


def test_a_login_without_a_terminal_is_exit_2(claude):
    assert claude("auth", "login").code == 2


@pytest.mark.process
def test_a_login_is_the_clis_own_kept_in_the_home(claude):
    command = f"'{sys.executable}' -I -m harness auth login"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        cwd=claude.home.root,
        env=ENVIRON,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"config: {claude.home.claude}" in done.stdout
    assert done.returncode == 7


# --- config -----------------------------------------------------------------------------------------------------------


def test_config_show_says_where_each_value_came_from(loop):
    loop.environ["SESSION_TIMEOUT"] = "77"
    rows = {row["key"]: row for row in loop("config", "show", "--origin", "--json").json["rows"]}
    assert (rows["harness.session_timeout"]["value"], rows["harness.session_timeout"]["origin"]) == (
        77,
        "env SESSION_TIMEOUT",
    )
    assert rows["harness.stop_timeout"]["origin"] == "config.yaml:1"
    assert "env SESSION_TIMEOUT" in loop("config", "show", "--origin").out
    assert "env SESSION_TIMEOUT" not in loop("config", "show").out


def test_config_check_names_every_mistake_at_once(loop):
    assert loop("config", "check").code == 0
    loop.home.config.write_text("harness: {max_iteration: 3, workers: none}\n")
    said = loop("config", "check", "--json")
    assert (said.code, said.json["valid"]) == (78, False)
    assert {problem["key"] for problem in said.json["problems"]} == {"harness.max_iteration", "harness.workers"}
    assert "config.yaml:1" in loop("config", "check").out


def test_config_schema_is_a_json_schema(loop):
    assert "harness" in json.loads(loop("config", "schema").out)["properties"]


# --- prompt -----------------------------------------------------------------------------------------------------------


def test_prompt_list_names_templates_and_their_kinds(loop):
    rows = {row["name"]: row for row in loop("prompt", "list", "--json").json["rows"]}
    assert rows["review"]["kinds"] == ["review"]
    assert "default" in rows["bootstrap"]["kinds"]
    assert not any(name.startswith("_") for name in rows)


def test_prompt_render_shows_what_an_agent_would_get(loop):
    app = loop.home.root / "app"
    (app / "CLAUDE.md").write_text("Tabs, never spaces.\n")
    identity = ("-c", "user.name=owner", "-c", "user.email=owner@example.org")
    for words in (("add", "-A"), (*identity, "commit", "-qm", "Rules")):
        subprocess.run(["git", *words], cwd=app, env=ENVIRON, check=True)
    loop("queue", "add", '{"id": "a", "title": "Mend the state", "description": "It says bad."}')
    said = loop("prompt", "render", "a", "--json").json
    assert (said["template"], said["guides"]) == ("bootstrap", ["CLAUDE.md"])
    for told in ("Mend the state", "It says bad.", "Tabs, never spaces.", "tests"):
        assert told in said["text"]
    assert loop("prompt", "render", "a").out.strip()


def test_a_broken_template_is_exit_78_with_file_and_line(loop):
    loop("queue", "add", '{"id": "a", "title": "x"}')
    loop.home.prompts.mkdir()
    (loop.home.prompts / "bootstrap.md").write_text("fine\n{{ unknown_thing }}\n")
    said = loop("prompt", "render", "a", "--json")
    assert (said.code, said.error["kind"]) == (78, "template")
    assert "bootstrap.md:2" in said.error["message"]
