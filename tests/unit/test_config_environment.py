"""What agents and gates see of the environment: an allow-list (contract 5)."""

from pathlib import Path

import pytest

from harness.model.environment import agent_environment, agents_share, gate_environment

PLACES = {"home": Path("/s/home"), "tmpdir": Path("/s/tmp"), "session": "ses_0123456789ab"}
CALLER = {
    "PATH": "/bin", "LANG": "de_AT.UTF-8", "TERM": "xterm", "TZ": "Europe/Vienna", "IS_SANDBOX": "1",
    "HTTPS_PROXY": "http://p:1", "no_proxy": "x", "BD_ACTOR": "mayor", "BD_RIG": "app", "GT_ROOT": "/gt",
    "GIT_AUTHOR_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
}  # fmt: skip
MODEL = {"ANTHROPIC_API_KEY": "key", "ANTHROPIC_BASE_URL": "http://x", "CLAUDE_CODE_OAUTH_TOKEN": "token"}
CLOUD = {"AWS_SECRET_ACCESS_KEY": "aws", "GOOGLE_APPLICATION_CREDENTIALS": "/g", "CLOUD_ML_REGION": "eu"}
HOSTILE = {
    "CANARY": "c", "GITHUB_TOKEN": "g", "SSH_AUTH_SOCK": "/s", "LD_PRELOAD": "/x.so", "GIT_DIR": "/etc", "PYTHONPATH": "/x",
    "HOME": "/root", "TMPDIR": "/tmp", "CLAUDE_CONFIG_DIR": "/root/.claude", "NODE_OPTIONS": "--x", "BD_TOKEN": "b",
}  # fmt: skip


def agent(environ, **more):
    return agent_environment(environ, claude=Path("/s/claude"), **PLACES, **more)


def gate(environ, **more):
    return gate_environment(environ, **PLACES, **more)


@pytest.mark.parametrize("build", [agent, gate])
def test_the_listed_variables_pass_and_nothing_else_does(build):
    seen = build({**CALLER, **HOSTILE})
    assert CALLER.items() <= seen.items()
    ours = {"HOME", "TMPDIR", "CLAUDE_CONFIG_DIR"}
    assert not (HOSTILE.keys() - ours) & seen.keys()
    assert not {"c", "g", "b", "/root", "/root/.claude"} & set(seen.values())
    assert (seen["HOME"], seen["TMPDIR"], seen["HARNESS_SESSION"]) == ("/s/home", "/s/tmp", "ses_0123456789ab")


def test_model_credentials_reach_agents_only():
    everything = {**CALLER, **MODEL, **CLOUD, "CLAUDE_CODE_USE_BEDROCK": "1"}
    assert MODEL.items() <= agent(everything).items()
    assert not (MODEL.keys() | CLOUD.keys() | {"CLAUDE_CODE_USE_BEDROCK"}) & gate(everything).keys()
    assert not MODEL.keys() & gate({}, extra=MODEL).keys()


@pytest.mark.parametrize(
    ("switches", "reach"),
    [
        ({}, False),
        ({"CLAUDE_CODE_USE_BEDROCK": "0"}, False),
        ({"CLAUDE_CODE_USE_VERTEX": ""}, False),
        ({"CLAUDE_CODE_USE_BEDROCK": "1"}, True),
        ({"CLAUDE_CODE_USE_VERTEX": "true"}, True),
    ],
)
def test_cloud_credentials_reach_agents_when_their_cloud_is_switched_on(switches, reach):
    assert (CLOUD.items() <= agent({**CLOUD, **switches}).items()) is reach
    assert bool(CLOUD.keys() & agent({**CLOUD, **switches}).keys()) is reach


def test_a_cloud_may_be_switched_on_in_the_configuration():
    assert agent(CLOUD, extra={"CLAUDE_CODE_USE_VERTEX": "1"}).items() >= CLOUD.items()


@pytest.mark.parametrize("extra", [{}, {"CLAUDE_CONFIG_DIR": "/elsewhere", "HOME": "/elsewhere"}])
def test_folders_are_ours_whatever_caller_and_configuration_say(extra):
    seen = agent({"CLAUDE_CONFIG_DIR": "/mine"}, extra=extra)
    assert (seen["CLAUDE_CONFIG_DIR"], seen["HOME"]) == ("/s/claude", "/s/home")
    assert "CLAUDE_CONFIG_DIR" not in gate({"CLAUDE_CONFIG_DIR": "/mine"}, extra=extra)


@pytest.mark.parametrize("build", [agent, gate])
def test_the_configurations_environment_wins_over_the_callers(build):
    seen = build({"PATH": "/bin", "LANG": "C"}, extra={"PATH": "/opt/bin", "DATABASE_URL": "sqlite://"})
    assert (seen["PATH"], seen["LANG"], seen["DATABASE_URL"]) == ("/opt/bin", "C", "sqlite://")


@pytest.mark.parametrize("build", [agent, gate])
def test_an_empty_environment_suffices_to_run_and_to_commit(build):
    seen = build({}, identity=("Loop", "loop@example.org"))
    assert seen["PATH"]
    assert {seen["GIT_AUTHOR_NAME"], seen["GIT_COMMITTER_NAME"]} == {"Loop"}
    assert {seen["GIT_AUTHOR_EMAIL"], seen["GIT_COMMITTER_EMAIL"]} == {"loop@example.org"}
    assert build({"GIT_AUTHOR_NAME": "Ada"})["GIT_AUTHOR_NAME"] == "Ada"


def test_what_the_loop_itself_keeps_has_no_folder_of_the_caller():
    assert agents_share({**CALLER, **HOSTILE, **MODEL}, {"X": "1"}) == {**CALLER, **MODEL, "X": "1"}
