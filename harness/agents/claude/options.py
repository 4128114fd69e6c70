"""What can be set for a Claude agent (contract 8, `agents.*`); a brief's own options win over the agent's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

TOOLS = (
    "Agent",
    "Bash",
    "Edit",
    "Glob",
    "Grep",
    "NotebookEdit",
    "Read",
    "WebFetch",
    "WebSearch",
    "Write",
)
"""The CLI's own tools a session has. Not among them: those that wait for a person, schedule, leave the workspace
(EnterWorktree) or work on after the turn, which no unattended session can answer for."""


HANDED_OVER = {
    "ANTHROPIC_API_KEY": "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
    "CLAUDE_CODE_OAUTH_TOKEN": "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
}
"""Credentials that the CLI reads from a descriptor: its tools have its environment (docs/decisions/0014)."""

DEBUG_FILE = "cli-debug.log"
"""In the session's own folder."""


class ClaudeOptions(BaseModel):
    """Keys of an agent of type `claude`. Turns and cost arrive in Brief.limits and are not read from here."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    cli: str = "bundled"
    model: str | None = None
    permission_mode: Literal["default", "acceptEdits", "plan", "bypassPermissions", "dontAsk", "auto"] = (
        "bypassPermissions"
    )
    allowed_tools: tuple[str, ...] | None = None
    disallowed_tools: tuple[str, ...] = ()
    debug: bool = False
    """Let the CLI write `cli-debug.log` into the session's folder (H23)."""
    setting_sources: tuple[Literal["user", "project", "local"], ...] = ()

    def over(self, own: Mapping[str, Any]) -> ClaudeOptions:
        """These options with a brief's own laid over; what a brief leaves None is not set by it."""
        return ClaudeOptions.model_validate({**self.model_dump(), **{k: v for k, v in own.items() if v is not None}})
