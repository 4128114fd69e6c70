"""What agents and gates may see of the environment: an allow-list, never the caller's whole (contract 5). Pure.

Credentials of the model reach agents only: a gate runs the agent's code, which needs none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SHARED = frozenset(
    {
        *("PATH", "LANG", "TERM", "TZ", "IS_SANDBOX"),
        *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("BD_ACTOR", "BD_RIG", "GT_ROOT"),
    }
)
MODEL_PREFIXES = ("ANTHROPIC_", "CLAUDE_CODE_")
CLOUD_SWITCHES = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX")
CLOUD_PREFIXES = ("AWS_", "GOOGLE_")
CLOUD_NAMES = frozenset({"CLOUD_ML_REGION"})
IDENTITY = ("loop", "loop@localhost")
"""Name and address of commits when the caller gives none: with an empty HOME git would refuse to commit."""

_MINIMUM = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "dumb"}


def agents_share(environ: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """What of the caller's environment may reach agents; the loop keeps no more of its own before it loads the SDK.

    `extra` is `environment:` of the configuration, resolved; it wins over the caller's values.
    """
    both = {**environ, **extra}
    cloud = any(_on(both.get(name, "")) for name in CLOUD_SWITCHES)
    kept = {name: value for name, value in environ.items() if _for_agents(name, cloud=cloud)}
    kept.pop("CLAUDE_CONFIG_DIR", None)
    return {**kept, **extra}


def agent_environment(
    environ: Mapping[str, str],
    *,
    home: Path,
    tmpdir: Path,
    claude: Path,
    session: str,
    extra: Mapping[str, str] | None = None,
    identity: tuple[str, str] = IDENTITY,
) -> dict[str, str]:
    """The whole environment of one session; `claude` is its CLAUDE_CONFIG_DIR whatever caller and configuration say.

    HARNESS_SESSION is the marker by which leftovers of a dead loop are found.
    """
    chosen = agents_share(environ, extra or {})
    return {**_whole(chosen, home, tmpdir, identity), "CLAUDE_CONFIG_DIR": str(claude), "HARNESS_SESSION": session}


def gate_environment(
    environ: Mapping[str, str],
    *,
    home: Path,
    tmpdir: Path,
    session: str,
    extra: Mapping[str, str] | None = None,
    identity: tuple[str, str] = IDENTITY,
) -> dict[str, str]:
    """The whole environment of one gate: a fresh empty `home`, nothing that a model could be called with."""
    chosen = {name: value for name, value in environ.items() if name in SHARED}
    chosen |= {name: value for name, value in (extra or {}).items() if not name.startswith(MODEL_PREFIXES)}
    chosen.pop("CLAUDE_CONFIG_DIR", None)
    return {**_whole(chosen, home, tmpdir, identity), "HARNESS_SESSION": session}


def _for_agents(name: str, *, cloud: bool) -> bool:
    if name in SHARED or name.startswith(MODEL_PREFIXES):
        return True
    return cloud and (name in CLOUD_NAMES or name.startswith(CLOUD_PREFIXES))


def _whole(chosen: Mapping[str, str], home: Path, tmpdir: Path, identity: tuple[str, str]) -> dict[str, str]:
    name, address = identity
    committer = {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": address,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": address,
    }
    return {**_MINIMUM, **committer, **chosen, "HOME": str(home), "TMPDIR": str(tmpdir)}


def _on(value: str) -> bool:
    return value.strip().lower() not in {"", "0", "false", "no", "off"}
