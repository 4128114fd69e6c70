"""Level cli: what the CLI is told of its own sandbox for Bash, in the words of the bundled CLI 2.1 (tried with it).

It binds Bash alone. The CLI's file tools are held by the policy, which has the same territory (PolicyHook).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness import fs
from harness.model.territory import Territory

GHOSTS = (
    *(".gitconfig", ".gitmodules", ".bashrc", ".bash_profile", ".zshrc", ".zprofile", ".profile", ".ripgreprc"),
    *(".mcp.json", ".vscode", ".idea", ".claude"),
)
"""What the sandbox of the CLI 2.1 shows at the top of the workspace though it is not there."""


def settings(territory: Territory) -> Mapping[str, Any]:
    """For `--settings`. A CLI that cannot set its sandbox up ends before its first request (ending sandbox_missing).

    Hosts are reached through a proxy of the CLI; services on this machine's loopback are not.
    """
    return {
        "sandbox": {
            "enabled": True,
            "failIfUnavailable": True,
            "autoAllowBashIfSandboxed": True,
            "allowUnsandboxedCommands": False,
            "filesystem": {
                "denyRead": _there(territory.hidden),
                "allowRead": _there(territory.shown()),
                "allowWrite": list(territory.writable),
                "denyWrite": _there(each for each in territory.readable if not territory.may_write(each)),
            },
            "network": {"allowedDomains": ["*"]},
        }
    }


def prepare(home: Path) -> None:
    """In the HOME of a session; else `git add -A` stops at a ghost or commits it. Raises DiskFull, HarnessError."""
    fs.replace(home / ".config" / "git" / "ignore", "".join(f"/{name}\n" for name in GHOSTS))


def _there(paths: Iterable[str]) -> list[str]:
    """Bubblewrap would make what is missing, on the real disk."""
    return [path for path in paths if os.path.lexists(path)]
