"""SIGHUP: config.yaml is read again while the loop runs (contract 5). A bad file is refused and the old one kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.app.agents import make_agents
from harness.app.composing import TemplateComposer
from harness.app.environments import Environments
from harness.app.fence import Fence
from harness.app.planner import ConfigPlanner
from harness.app.preflight import check_start
from harness.app.proving import GateProver
from harness.app.queue_file import EngineMirror
from harness.config.load import Loaded
from harness.config.problems import dotted
from harness.config.text import leaves
from harness.engine.interrupts import Interrupts
from harness.model.environment import agents_share
from harness.model.errors import HarnessError
from harness.model.home import Home
from harness.ports import Agent, Journalist, Prompts, RepositoryRules

AT_START = frozenset(
    {
        *("isolation.level", "isolation.required"),
        *("harness.max_iterations", "harness.iteration_delay", "harness.interrupt_check_interval"),
        *("harness.stop_timeout", "harness.workers"),
    }
)
"""What is read once: it belongs to the course of a loop, not to an attempt."""


@dataclass(slots=True)
class Readers:
    """Whatever reads the configuration while a loop runs. Attempts ask them anew, so the next one has the new values.

    `lanes` and `repositories` are the mappings that the worker's rules hold: they are changed in place.
    """

    planner: ConfigPlanner
    composer: TemplateComposer
    prover: GateProver
    interrupts: Interrupts
    environments: Environments
    mirror: EngineMirror
    lanes: dict[str, int | None] = field(default_factory=dict)
    repositories: dict[str, RepositoryRules] = field(default_factory=dict)

    def take(self, loaded: Loaded, agents: Mapping[str, Agent]) -> None:
        """All at once, between two steps of the event loop."""
        self.planner.loaded, self.planner.agents = loaded, agents
        self.composer.loaded = self.prover.loaded = loaded
        self.interrupts.switches = loaded.config.harness.interrupts.model_dump()
        self.interrupts.max_consecutive_failures = loaded.config.harness.max_consecutive_failures
        self.environments.extra = loaded.environment()
        self.mirror.take(loaded)
        self.take_rules(loaded)

    def take_rules(self, loaded: Loaded) -> None:
        """What leases must respect."""
        self.lanes.clear()
        self.lanes.update({name: lane.running for name, lane in loaded.config.lanes.items()})
        self.repositories.clear()
        self.repositories.update(repository_rules(loaded))


def repository_rules(loaded: Loaded) -> Mapping[str, RepositoryRules]:
    """Only of repositories that ask for something: the others cost a lease nothing."""
    rules = {
        repo.name: RepositoryRules(repo.running, repo.resources, one_scope=repo.overlap != "allow")
        for repo in loaded.config.repositories
    }
    return {name: rule for name, rule in rules.items() if rule != RepositoryRules()}


@dataclass(slots=True)
class Reload:
    """One order after the other. `again` reads the file with the environment and flags of the start."""

    readers: Readers
    again: Callable[[], Loaded]
    journalist: Journalist
    environ: Mapping[str, str]
    run: str
    prompts: Prompts
    fence: Fence
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self) -> None:
        async with self._turn:
            try:
                loaded, agents = await asyncio.to_thread(self._checked)
            except HarnessError as exc:
                reason = "\n".join(part for part in (exc.message, exc.cause) if part)
                self.journalist.line("ERROR", "config.rejected", reason=reason, kept="the configuration before it")
                return
            changes = changed(self.readers.planner.loaded, loaded)
            self.readers.take(loaded, agents)
        later = [key for key in changes if key in AT_START]
        self.journalist.line("INFO", "config.reloaded", changed=changes, at_the_next_start=later or None)

    def _checked(self) -> tuple[Loaded, Mapping[str, Agent]]:
        """Everything that a start would refuse is refused here. Raises HarnessError."""
        loaded = self.again()
        environ = agents_share(self.environ, loaded.environment())
        agents = make_agents(loaded, Home(loaded.home), environ, self.run, self.fence)
        check_start(loaded, agents, self.prompts, self.fence)
        return loaded, agents


def changed(before: Loaded, after: Loaded) -> list[str]:
    """The keys whose values differ, as people write them."""
    found: dict[str, None] = {}
    old, new = before.config.model_dump(), after.config.model_dump()
    one, other = dict(leaves(old)), dict(leaves(new))
    for key in [*one, *other]:
        if (key in one) is not (key in other) or one.get(key) != other.get(key):
            found[dotted(key, new if key in other else old)] = None
    return list(found)
