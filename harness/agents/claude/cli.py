"""The Claude CLI as a program: where it is, its version, the environment it gets, whose account it uses."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from harness.model.brief import Brief
from harness.ports import Finding

VERSION_SECONDS = 10.0
BASH_DEFAULT_SECONDS = 600.0
BASH_MAX_SECONDS = 3600.0
API_TIMEOUT_SHARE = 0.8

# What only works with these values: the end of a session is read from its state, and nothing may outlive a turn.
_REQUIRED = {
    "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "ENABLE_TOOL_SEARCH": "false",
    "DISABLE_AUTOUPDATER": "1",
}
_QUIET = {"DISABLE_TELEMETRY": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}


def find_cli(choice: str, path: str) -> Path:
    """The CLI for `bundled` (came with the SDK), `path` (first `claude` of PATH) or a file; it may not exist."""
    if choice == "bundled":
        spec = importlib.util.find_spec("claude_agent_sdk")
        home = Path(spec.origin).parent if spec is not None and spec.origin else Path("claude_agent_sdk")
        return home / "_bundled" / "claude"
    if choice == "path":
        return Path(shutil.which("claude", path=path) or "claude")
    return Path(choice).expanduser()


def environment(brief: Brief) -> dict[str, str]:
    """The brief's environment with the CLI's settings of research/agent-sdk §9.

    An operator's own value of a tunable one wins (contract 5 passes CLAUDE_CODE_*); what our reading needs is fixed.
    """
    limits = brief.limits
    retry = min(limits.retry_wait_seconds, limits.session_timeout_seconds)
    tunable = {
        **_QUIET,
        "CLAUDE_CODE_RETRY_WATCHDOG": "1",
        "CLAUDE_CODE_RETRY_WATCHDOG_MAX_WAIT_MS": _ms(retry),
        "CLAUDE_CODE_MAX_RETRIES": "3",
        "API_TIMEOUT_MS": _ms(limits.stall_threshold_seconds * API_TIMEOUT_SHARE),
        "BASH_DEFAULT_TIMEOUT_MS": _ms(min(BASH_DEFAULT_SECONDS, limits.session_timeout_seconds)),
        "BASH_MAX_TIMEOUT_MS": _ms(min(BASH_MAX_SECONDS, limits.session_timeout_seconds)),
    }
    folders = {"CLAUDE_CONFIG_DIR": str(brief.paths.claude), "CLAUDE_CODE_TMPDIR": str(brief.paths.tmp)}
    return {**tunable, **brief.environment, **_REQUIRED, **folders}


def doctor(cli: Path, environ: Mapping[str, str], config: Path) -> list[Finding]:
    """What stands in the way of starting sessions. Starts only `claude --version`."""
    return [_program(cli, environ), _account(environ, config), *_root(environ)]


def credentials(environ: Mapping[str, str], config: Path) -> list[str]:
    """Kinds of credentials there are, in the order in which the CLI takes them (contract 5)."""
    found = {
        "Bedrock": environ.get("CLAUDE_CODE_USE_BEDROCK"),
        "Vertex": environ.get("CLAUDE_CODE_USE_VERTEX"),
        "ANTHROPIC_AUTH_TOKEN": environ.get("ANTHROPIC_AUTH_TOKEN"),
        "ANTHROPIC_API_KEY": environ.get("ANTHROPIC_API_KEY"),
        "CLAUDE_CODE_OAUTH_TOKEN": environ.get("CLAUDE_CODE_OAUTH_TOKEN"),
        "login": (config / ".credentials.json").exists(),
    }
    return [kind for kind, there in found.items() if there]


def version(cli: Path, environ: Mapping[str, str]) -> str | None:
    """What `claude --version` says, asked once a file; None if it cannot be started."""
    try:
        return _version(cli, cli.stat().st_mtime_ns, environ.get("PATH", os.defpath))
    except (OSError, subprocess.SubprocessError):
        return None


@lru_cache(maxsize=8)
def _version(cli: Path, _changed_ns: int, path: str) -> str:
    done = subprocess.run(
        [str(cli), "--version"],
        env={"PATH": path, "HOME": "/nonexistent", "DISABLE_AUTOUPDATER": "1", "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=VERSION_SECONDS,
        check=True,
    )
    return done.stdout.strip()


def _program(cli: Path, environ: Mapping[str, str]) -> Finding:
    said = version(cli, environ)
    if said is None:
        return Finding(
            "claude cli",
            "fail",
            f"{cli} cannot be started" if cli.exists() else f"{cli} does not exist",
            expected="a Claude CLI that answers --version",
            mend="set agents.*.cli to bundled, path or a file, or install the package again; then ./loop doctor",
            ending="cli_missing",
        )
    return Finding("claude cli", "ok", f"{said} at {cli}")


def _account(environ: Mapping[str, str], config: Path) -> Finding:
    kinds = credentials(environ, config)
    if kinds:
        return Finding("claude account", "ok", ", ".join(kinds))
    return Finding(
        "claude account",
        "fail",
        f"no API key, token or login (looked in the environment and in {config})",
        expected="one of ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, CLAUDE_CODE_OAUTH_TOKEN, ./loop auth login, "
        "CLAUDE_CODE_USE_BEDROCK, CLAUDE_CODE_USE_VERTEX",
        mend="./loop auth login",
        ending="auth",
    )


def _root(environ: Mapping[str, str]) -> list[Finding]:
    if os.geteuid() != 0 or environ.get("IS_SANDBOX"):
        return []
    return [
        Finding(
            "root",
            "fail",
            "running as root without isolation: the CLI refuses bypassPermissions",
            expected="an ordinary user, or IS_SANDBOX=1 where root is contained from outside",
            mend="run as an ordinary user, or set IS_SANDBOX=1 in a container made for this",
            ending="sandbox_missing",
        )
    ]


def _ms(seconds: float) -> str:
    return str(int(seconds * 1000))
