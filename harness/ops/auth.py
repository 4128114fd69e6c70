"""Whose account agents use: named, never handled (H33). The login is the CLI's own, kept in state/claude."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.agents.claude import cli as claude
from harness.config.load import load
from harness.config.schema import ClaudeAgentSection
from harness.model.environment import agents_share
from harness.model.errors import AuthError, ToolMissing, Usage
from harness.model.home import Home
from harness.ops.answers import Document

ASK_SECONDS = 15.0
TOLD = (
    "loggedIn",
    "authMethod",
    "apiProvider",
    "email",
    "orgName",
    "subscriptionType",
    "apiKeySource",
    "loginExpiresAt",
)
"""What of the CLI's own answer names an account; none of it is a secret."""
WAYS = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "./loop auth login",
    "CLAUDE_CODE_USE_BEDROCK or CLAUDE_CODE_USE_VERTEX with the cloud's own credentials",
)


def status(home: Home, environ: Mapping[str, str]) -> Document:
    """CLI, version, kinds of credentials, account. Exit 77 without any. Raises ConfigError."""
    path, agents = _cli(home, environ)
    kinds = claude.credentials(agents, home.claude)
    facts = {
        "cli": path,
        "version": claude.version(path, agents),
        "config_dir": home.claude,
        "endpoint": agents.get("ANTHROPIC_BASE_URL"),
        "credentials": kinds,
        "account": _account(path, agents, home) if kinds else None,
        "ways": WAYS,
    }
    return Document("loop.auth/1", facts, exit_code=0 if kinds else AuthError.status)


def login(home: Home, environ: Mapping[str, str], *, interactive: bool) -> int:
    """The CLI's own login, with its configuration in `state/claude`; its exit code. Raises Usage without a terminal."""
    if not interactive:
        raise Usage(
            "a login needs a terminal to ask on",
            hint="run it in a terminal, or set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN",
        )
    path, agents = _cli(home, environ)
    if not path.exists():
        raise ToolMissing(f"there is no Claude CLI at {path}", hint="set agents.default.cli, or install it again")
    home.claude.mkdir(parents=True, exist_ok=True, mode=0o700)
    variables = {**environ, **agents, "CLAUDE_CONFIG_DIR": str(home.claude)}
    return subprocess.run([str(path), "auth", "login"], env=variables, check=False).returncode


def _cli(home: Home, environ: Mapping[str, str]) -> tuple[Path, Mapping[str, str]]:
    """The CLI of the default agent (else of the first Claude agent) and what agents see of the environment."""
    loaded = load(home.root, environ)
    agents = agents_share(environ, loaded.environment())
    named = [loaded.config.agents["default"], *loaded.config.agents.values()]
    section = next((each for each in named if isinstance(each, ClaudeAgentSection)), ClaudeAgentSection())
    return claude.find_cli(section.cli, agents.get("PATH", os.defpath)), agents


def _account(path: Path, agents: Mapping[str, str], home: Home) -> Mapping[str, Any] | None:
    """What the CLI says about the account, without asking the network; None if it says nothing readable."""
    variables = {**agents, "HOME": str(home.claude), "CLAUDE_CONFIG_DIR": str(home.claude)}
    try:
        done = subprocess.run(
            [str(path), "auth", "status"],
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=False,
        )
        said = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    return {key: said[key] for key in TOLD if said.get(key) is not None} if isinstance(said, dict) else None
