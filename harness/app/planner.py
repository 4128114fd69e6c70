"""From configuration to plan: what holds for one item, and which agent, gates and branch it gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harness.app.proving import RED_BY_NATURE
from harness.config.decisions import deadline
from harness.config.effective import Effective, effective
from harness.config.gates import judging
from harness.config.load import Loaded
from harness.config.schema import RepositorySection
from harness.engine.plan import After, BuildOrder, Plan, ReviewPlan
from harness.model.decision import Deadline
from harness.model.errors import NotFound
from harness.model.work import WorkItem
from harness.ports import Agent, RepositoryRef


@dataclass(slots=True)
class ConfigPlanner:
    """Implements engine.plan.Planner on a loaded configuration."""

    loaded: Loaded
    agents: Mapping[str, Agent]

    def plan(self, item: WorkItem) -> Plan:
        section = self.repository(item)
        config = self.loaded.config
        kind = config.kind(item.kind)
        values = self.values(item, section)
        return Plan(
            repo=RepositoryRef(section.name, self.loaded.path(section), section.branch),
            branch=item.branch or section.branch,
            kind=item.kind,
            expects=kind.expects,
            agent=self.agents[values.agent],
            limits=values.limits,
            options=_options(values) | {"debug": self.loaded.claude_debug},
            gates=judges(section, item, kind.expects),
            setup=tuple(section.setup),
            integrate=section.integrate,
            push=section.push,
            prefix=section.integration.prefix.replace("{type}", item.kind).replace("{id}", item.id),
            trailers=tuple(_trailer(line) for line in section.integration.trailers),
            comparing=tuple(gate.name for gate in section.every_gate if gate.compares),
            ways=section.integration.ways(),
            batch=1 if kind.template == RED_BY_NATURE else section.integration.batch,
            outfit=section.outfit(),
            review=self._review(item, section),
            after=self._after(section),
        )

    def deadline(self, item: WorkItem, options: Sequence[str], now: datetime) -> Deadline:
        """Until when a question of the item waits for a person, as configured at this moment."""
        config = self.loaded.config
        return deadline(config.decisions, config.kind(item.kind).decisions, options, now)

    def _after(self, section: RepositorySection) -> After:
        after, build = section.after, section.after.build
        order = BuildOrder(build.run, tuple(build.artefacts), build.timeout_seconds) if build is not None else None
        return After(after.review, tuple(self.loaded.folder(path) for path in after.pull), order)

    def repository(self, item: WorkItem) -> RepositorySection:
        """Raises NotFound, naming the known ones, if the repository is not registered or its folder is gone."""
        config = self.loaded.config
        name = (
            item.repo or self.loaded.default_repository or (config.repositories[0].name if config.repositories else "")
        )
        section = config.repository(name)
        if section is None:
            known = ", ".join(r.name for r in config.repositories) or "none"
            raise NotFound(f"no repository {name!r}; known: {known}", hint="./loop config show")
        path = self.loaded.path(section)
        if not path.is_dir():
            raise NotFound(f"the folder of repository {name} is missing: {path}", hint="./loop config show")
        return section

    def _review(self, item: WorkItem, section: RepositorySection) -> ReviewPlan | None:
        asked = self.loaded.config.kind(item.kind).review
        if asked is None:
            return None
        values = self.values(item, section, review=True)
        options = _options(values) | {"debug": self.loaded.claude_debug}
        return ReviewPlan(asked.template, self.agents[values.agent], values.limits, options, asked.rounds)

    def values(self, item: WorkItem, section: RepositorySection, *, review: bool = False) -> Effective:
        own: Mapping[str, Any] = {
            "session_timeout": item.timeout_seconds,
            "max_cost_usd": item.max_cost_usd,
            "model": item.model,
            "agent": item.agent,
        }
        return effective(self.loaded.config, item.kind, section.name, own, review=review)


def judges(section: RepositorySection, item: WorkItem, expects: str) -> tuple[str, ...]:
    """Names of the gates that judge an item, guards among them."""
    return tuple(judging(section.gates, section.guards, item.kind, expects, scoped=bool(item.scope)))


def _trailer(line: str) -> tuple[str, str]:
    key, _, value = line.partition(": ")
    return key, value


def _options(values: Effective) -> dict[str, Any]:
    return {
        "model": values.model,
        "permission_mode": values.permission_mode,
        "allowed_tools": values.allowed_tools,
        "disallowed_tools": values.disallowed_tools,
    }
