"""What is asked before a tool runs and before an agent may stop. Both hold under every permission mode."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from harness.model.events import Denied
from harness.model.policy import Denial
from harness.ports import Desk

Judge = Callable[[str, Mapping[str, Any]], Denial | None]
"""The policy of one session: tool and arguments (paths absolute and resolved) to a denial, None = go on."""

Answer = dict[str, Any]
STOP_BLOCKS = 2

NOT_REPORTED = (
    "You have not said how your work ended, so it would be thrown away. Commit what you have, then call "
    "complete_work with status done, or with status blocked and what stands in the way. If a person must decide "
    "something first, call request_decision."
)

_PATHS = ("file_path", "notebook_path")


class PolicyHook:
    """PreToolUse: refuses what the policy denies; the agent reads why. Sees the calls of subagents too (R7)."""

    def __init__(self, judge: Judge, denied: Callable[[Denied], None]) -> None:
        self._judge = judge
        self._denied = denied

    async def __call__(self, given: Mapping[str, Any], _call: str | None, _context: Any) -> Answer:
        tool = str(given["tool_name"])
        denial = self._judge(tool, _resolved(given["tool_input"], str(given["cwd"])))
        if denial is None:
            return {}
        self._denied(Denied(tool, denial.reason, denial.ask))
        return {
            "hookSpecificOutput": {
                "hookEventName": "PreToolUse",
                "permissionDecision": "deny",
                "permissionDecisionReason": _reason(denial),
            }
        }


class CompletionHook:
    """Stop: an agent that has not reported is sent back, twice at most; then it ends unreported."""

    def __init__(self, desk: Desk, stopping: Callable[[], bool]) -> None:
        self._desk = desk
        self._stopping = stopping
        self.blocks = 0

    async def __call__(self, _given: Mapping[str, Any], _call: str | None, _context: Any) -> Answer:
        if self._desk.settled() or self._stopping() or self.blocks >= STOP_BLOCKS:
            return {}
        self.blocks += 1
        return {"decision": "block", "reason": NOT_REPORTED}


def _reason(denial: Denial) -> str:
    if denial.ask:
        return (
            f"denied by policy: {denial.reason}. A person may allow it: call request_decision with what you want to do "
            "and why, then end your work."
        )
    return f"denied by policy: {denial.reason}. Do not try to get round it; find another way or report blocked."


def _resolved(arguments: Mapping[str, Any], cwd: str) -> Mapping[str, Any]:
    """Arguments with real absolute paths, so that no link or `..` hides where a write would go."""
    paths = {key: os.path.realpath(os.path.join(cwd, str(arguments[key]))) for key in _PATHS if arguments.get(key)}  # noqa: PTH118 - an absolute second part wins, as in the CLI
    return {**arguments, **paths} if paths else arguments
