"""What a session is started with, and what of it the SDK is told (research/agent-sdk 1.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, HookMatcher, create_sdk_mcp_server, tool

from harness.agents.claude import sandbox
from harness.agents.claude.hooks import CompletionHook, Judge, PolicyHook, RepetitionHook, WrapUpHook
from harness.agents.claude.options import DEBUG_FILE, TOOLS, ClaudeOptions
from harness.agents.claude.spending import Spending
from harness.agents.claude.tools import PREFIX, SERVER, desk_tools
from harness.model.brief import Brief
from harness.model.events import Denied
from harness.model.territory import Territory
from harness.ports import Containment, Desk

HOOK_SECONDS = 10.0
LINE_BYTES = 64 << 20

CONTRACT = """You work unattended: nobody reads along or answers. Your work counts only when you end it with the tool \
complete_work (status done, everything committed; or blocked, with what stands in the way). Use report_progress after \
each step, request_decision when a person must decide, add_work_item for work you find but should not do now. Commit \
what you change; never push. Commands that run for ever must be run with a time limit."""


@dataclass(frozen=True, slots=True)
class Start:
    """All that a session is started with. `spawning` lets only so many CLIs start at once."""

    brief: Brief
    desk: Desk
    options: ClaudeOptions
    environment: Mapping[str, str]
    program: Path
    judge: Judge
    containment: Containment
    spawning: asyncio.Semaphore
    territory: Territory | None = None


def sdk_options(
    start: Start,
    *,
    denied: Callable[[Denied], None],
    stopping: Callable[[], bool],
    turns: Callable[[], int],
    spending: Spending,
    stderr: Callable[[str], None],
) -> ClaudeAgentOptions:
    """`denied` hears of refused calls; while `stopping`, the completion contract does not hold the agent up; `turns` it
    has taken so far, `spending` what they used.
    """
    brief, options = start.brief, start.options
    server = create_sdk_mcp_server(
        SERVER, tools=[tool(t.name, t.description, dict(t.schema))(t) for t in desk_tools(start.desk)]
    )
    allowed = [*(options.allowed_tools or ()), *(PREFIX + t.name for t in desk_tools(start.desk))]
    conversation: dict[str, Any] = (
        {"resume": brief.claude_session_id} if brief.resume else {"session_id": brief.claude_session_id}
    )
    return ClaudeAgentOptions(
        tools=list(TOOLS),
        allowed_tools=allowed,
        disallowed_tools=list(options.disallowed_tools),
        system_prompt={"type": "preset", "preset": "claude_code", "append": CONTRACT},
        # without alwaysLoad the CLI hides the schemas behind its tool search (research/agent-sdk 7)
        mcp_servers={SERVER: {**server, "alwaysLoad": True}},  # type: ignore[dict-item]
        strict_mcp_config=True,
        permission_mode=options.permission_mode,
        hooks=_hooks(start, denied, stopping, WrapUpHook(brief.limits, turns, spending)),
        model=options.model,
        max_turns=brief.limits.max_turns,
        max_budget_usd=brief.limits.max_cost_usd,
        cwd=brief.paths.workspace,
        cli_path=start.program,
        env={**start.environment},
        setting_sources=list(options.setting_sources),
        settings=json.dumps(sandbox.settings(start.territory)) if start.territory is not None else None,
        skills=[],
        include_partial_messages=True,
        verbatim_prompts=True,
        max_buffer_size=LINE_BYTES,
        stderr=stderr,
        extra_args={"debug-file": str(brief.paths.folder / DEBUG_FILE)} if options.debug else {},
        **conversation,
    )


def _hooks(
    start: Start, denied: Callable[[Denied], None], stopping: Callable[[], bool], wrap_up: WrapUpHook
) -> dict[Any, list[HookMatcher]]:
    """A policy that raises or hangs refuses the call: it fails closed."""
    policy = PolicyHook(start.judge, denied, start.environment.get("HOME", "/"))
    repetition = RepetitionHook()
    completion = CompletionHook(start.desk, stopping)
    return {
        "PreToolUse": [HookMatcher(hooks=[policy], timeout=HOOK_SECONDS, on_failure="block")],  # type: ignore[list-item]
        "PostToolUse": [HookMatcher(hooks=[repetition, wrap_up], timeout=HOOK_SECONDS)],  # type: ignore[list-item]
        "PostToolUseFailure": [HookMatcher(hooks=[repetition, wrap_up], timeout=HOOK_SECONDS)],  # type: ignore[list-item]
        "Stop": [HookMatcher(hooks=[completion], timeout=HOOK_SECONDS)],  # type: ignore[list-item]
    }
