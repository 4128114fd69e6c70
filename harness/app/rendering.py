"""`prompt render`: exactly what the next session of an item would be given, without starting anything (H5, R9)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from harness.app.composing import TemplateComposer
from harness.app.planner import ConfigPlanner
from harness.config.load import load
from harness.engine.plan import Plan, PromptRequest, handover_of
from harness.engine.preparing import GUIDES
from harness.git.repository import tip
from harness.git.workspace import GitWorkspaces
from harness.model.brief import Brief
from harness.model.errors import Refused
from harness.model.home import Home
from harness.ops.answers import Document
from harness.ops.books import full_id, reading
from harness.ops.initialise import SHIPPED_PROMPTS
from harness.ports import AgentSession, Desk, Finding
from harness.prompting.render import TemplatePrompts
from harness.store.asked import decisions_of
from harness.store.files import SessionFiles

SESSION = "ses_000000000000"
"""Stands where the id of the session will stand."""


@dataclass(slots=True)
class Unstarted:
    """An agent for plans that nobody carries out."""

    name: str

    def session(self, brief: Brief, desk: Desk) -> AbstractAsyncContextManager[AgentSession]:  # noqa: ARG002
        raise Refused(f"agent {self.name} is only planned with, not started")

    def warm(self) -> None:
        """Never started, so never made ready."""

    def doctor(self) -> Sequence[Finding]:
        return ()


def render(home: Home, given: str, environ: Mapping[str, str], now: datetime) -> Document:
    """Text, template and digest of the prompt. Raises NotFound, ConfigError, TemplateError with file and line."""
    loaded = load(home.root, environ)
    with reading(home) as store:
        item = store.item(full_id(store, "item", given))
        assert item is not None
        history, decisions = store.attempts(item.id), decisions_of(store, item.id)
    plan = ConfigPlanner(loaded, {name: Unstarted(name) for name in loaded.config.agents}).plan(item)
    guides = asyncio.run(_guides(home, plan))
    request = PromptRequest(
        plan,
        item,
        SESSION,
        1,
        now + timedelta(seconds=plan.limits.session_timeout_seconds),
        history=history,
        handover=handover_of(item.continuation, SessionFiles(home.root), decisions),
        resume=item.continuation is not None and item.continuation.mode == "session",
        conflict=bool(history) and history[-1].ending == "conflict",
        guides="\n\n".join(guides.values()),
    )
    prompt = TemplateComposer(loaded, TemplatePrompts([home.prompts, SHIPPED_PROMPTS])).compose(request)
    facts = {"item": item.id, "template": prompt.template, "sha256": prompt.sha256, "guides": list(guides)}
    return Document("loop.prompt/1", {**facts, "text": prompt.text})


async def _guides(home: Home, plan: Plan) -> Mapping[str, str]:
    """What the repository itself tells agents, as of the tip of the branch the session would begin on."""
    spaces = GitWorkspaces(home.worktrees, under=home.state)
    base = await tip(plan.repo, plan.branch)
    found = {name: await spaces.base_file(plan.repo, base, name) for name in GUIDES}
    return {name: text for name, text in found.items() if text}
