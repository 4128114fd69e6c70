"""What is asked before a tool runs and before an agent may stop. Both hold under every permission mode."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from harness.agents.claude.paths import readings
from harness.agents.claude.spending import Spending
from harness.model.brief import Limits
from harness.model.events import Denied
from harness.model.policy import Denial
from harness.model.text import encodable
from harness.ports import Desk

Judge = Callable[[str, Mapping[str, Any]], Denial | None]
"""The policy of one session: tool and arguments (paths absolute and resolved) to a denial, None = go on."""

Answer = dict[str, Any]
STOP_BLOCKS = 2
TOLD_AT = 3
WRAP_UP_SHARE = 0.8

NOT_REPORTED = (
    "You have not said how your work ended, so it would be thrown away. Commit what you have, then call "
    "complete_work with status done, or with status blocked and what stands in the way. If a person must decide "
    "something first, call request_decision."
)

SPINNING = (
    f"You have made the same call {TOLD_AT} times in a row, each time with the same result. Once more will not change "
    "it, and the session ends if it goes on. Try something else, or call complete_work with status blocked."
)


class PolicyHook:
    """PreToolUse: refuses what the policy denies; the agent reads why. Sees the calls of subagents too (R7).

    `home` is the session's HOME.
    """

    def __init__(self, judge: Judge, denied: Callable[[Denied], None], home: str = "/") -> None:
        self._judge = judge
        self._denied = denied
        self._home = home

    async def __call__(self, given: Mapping[str, Any], _call: str | None, _context: Any) -> Answer:
        tool = str(given["tool_name"])
        judged = (
            self._judge(tool, each) for each in readings(tool, given["tool_input"], str(given["cwd"]), self._home)
        )
        denial = next((each for each in judged if each is not None), None)
        if denial is None:
            return {}
        self._denied(Denied(encodable(tool), encodable(denial.reason), denial.ask, encodable(denial.what)))
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


class RepetitionHook:
    """After each tool: tells an agent that makes the same call with the same result again and again, before the
    watchdog ends it as spinning (architecture 7: told at 3, ended at 5).
    """

    def __init__(self) -> None:
        self._last = ""
        self._count = 0

    async def __call__(self, given: Mapping[str, Any], _call: str | None, _context: Any) -> Answer:
        outcome = given.get("tool_response", given.get("error"))
        seen = json.dumps([given["tool_name"], given["tool_input"], outcome], sort_keys=True, default=str)
        self._count = self._count + 1 if seen == self._last else 1
        self._last = seen
        if self._count != TOLD_AT:
            return {}
        event = str(given["hook_event_name"])
        return {"hookSpecificOutput": {"hookEventName": event, "additionalContext": SPINNING}}


class WrapUpHook:
    """After each tool: tells the agent once that 80 % of its time, turns, tokens or cost are used, while it can still
    save its work. The cost is an estimate: the CLI tells the exact one only in the result, and holds that limit itself.
    """

    def __init__(
        self,
        limits: Limits,
        turns: Callable[[], int],
        spending: Spending,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._turns = turns
        self._spending = spending
        self._monotonic = monotonic
        self._began = monotonic()
        self._told = False

    async def __call__(self, given: Mapping[str, Any], _call: str | None, _context: Any) -> Answer:
        used = self._used()
        if self._told or used is None:
            return {}
        self._told = True
        text = (
            f"You have used {used} of this session; then it is ended. Wrap up now: commit what stands, leave out what "
            "is not finished, and call complete_work, with status blocked if the rest needs another session."
        )
        return {"hookSpecificOutput": {"hookEventName": str(given["hook_event_name"]), "additionalContext": text}}

    def _used(self) -> str | None:
        seconds, most = self._monotonic() - self._began, self._limits.session_timeout_seconds
        if seconds >= WRAP_UP_SHARE * most:
            return f"{seconds / 60:.0f} of {most / 60:.0f} minutes"
        turns = self._turns()
        if self._limits.max_turns is not None and turns >= WRAP_UP_SHARE * self._limits.max_turns:
            return f"{turns} of {self._limits.max_turns} turns"
        return self._spent()

    def _spent(self) -> str | None:
        tokens, most_tokens = self._spending.tokens, self._limits.max_tokens
        if most_tokens is not None and tokens >= WRAP_UP_SHARE * most_tokens:
            return f"{tokens} of {most_tokens} tokens"
        cost, most = self._spending.cost_usd, self._limits.max_cost_usd
        if cost is not None and most is not None and cost >= Decimal(str(WRAP_UP_SHARE * most)):
            return f"about ${cost:.2f} of ${most:.2f}"
        return None


def _reason(denial: Denial) -> str:
    if denial.ask:
        return (
            f"denied by policy: {denial.reason}. A person is asked whether you may do exactly this: "
            "call request_decision to say why, then end your work. If they allow it, make the same call again."
        )
    return f"denied by policy: {denial.reason}. Do not try to get round it; find another way or report blocked."
