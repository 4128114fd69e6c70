"""What may stand in config.yaml (contract 8). Seconds and US dollars unless a name says otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from harness.config.after import AfterSection, PushCheckSection
from harness.config.backups import BackupSection
from harness.config.decisions import DecisionSection, KindDecisionSection
from harness.config.fields import (
    VARIABLE,
    Count,
    Dollars,
    Hours,
    Key,
    Many,
    Name,
    OpenSection,
    PermissionMode,
    Seconds,
    Section,
    Switch,
    Text,
    Tokens,
    Wait,
)
from harness.config.gates import AnyGate, GateSection, guards
from harness.config.integration import IntegrationSection
from harness.config.order import OrderKeys
from harness.config.resources import BudgetSection, PressureSection, WatchSection
from harness.config.schedules import Schedules
from harness.config.schedules import contradictions as in_schedules
from harness.config.secret import Secret
from harness.config.tasks import PageSection
from harness.config.workspaces import OutfitKeys, WorkspaceSection
from harness.model.policy import PolicyRule
from harness.model.review import REVIEW


class SessionOverrides(Section):
    """What may be set of one session, over the agent and the global value; absent = not set here."""

    session_timeout: Seconds | None = None
    """Longest session, in seconds."""
    stall_threshold: Seconds | None = None
    """Longest silence of a session, in seconds."""
    agent: Name | None = None
    """Name of an entry of `agents`."""
    model: Text | None = None
    """Model, `claude-sonnet`, `claude-opus`, `claude-haiku` or as the CLI takes it."""
    allowed_tools: Many[Text] | None = None
    """Tools that need no permission; a written `null` lifts a list set at a wider level."""
    disallowed_tools: Many[Text] | None = None
    """Tools the session does not have; replaces a list set at a wider level."""
    permission_mode: PermissionMode | None = None
    """Permission mode of the CLI."""
    max_turns: Count | None = None
    """Turns of a session; a written `null` = no limit."""
    max_cost_usd: Dollars | None = None
    """Cost of a session in US dollars; a written `null` = no limit."""
    max_tokens: Tokens | None = None
    """Tokens of a session (input, output, cache writes); a written `null` = no limit."""


class Overrides(SessionOverrides):
    """What a kind or a repository may set over the agent and the global value; absent = not set here."""

    max_attempts: Count | None = None
    """Attempts that may count before the item is parked."""


class Interrupts(Section):
    """What an ending means for the loop: `true` pauses it, `item` stops that item only, `false` without a notice."""

    quality_gate_failure: Switch = "item"
    """Gates failed in all attempts."""
    blocked_work: Switch = "item"
    """The agent says that it is blocked."""
    approval_required: Switch = "item"
    """The agent asks for a decision, or an `ask` rule of the policy does."""
    session_timeout: Switch = "item"
    """All attempts ran into the session's time limit."""


class HarnessSection(Section):
    """The loop."""

    max_iterations: Annotated[int, Field(ge=0)] = 0
    """Passes before the loop ends; 0 = endless."""
    iteration_delay: Wait = 5
    """Seconds between two sessions of one worker, never after idling."""
    interrupt_check_interval: Seconds = 30
    """Seconds between looks for an interrupt or new work at the latest; a file watch makes it 2 s or less."""
    agent_type: Text = "claude-sonnet"
    """Model of sessions whose item and agent name none."""
    session_timeout: Seconds = 3600
    """Longest session, in seconds."""
    stall_threshold: Seconds = 420
    """Longest silence of a session, in seconds: no event, no bytes of the API, no live tool."""
    max_consecutive_failures: Count = 5
    """Failures in a row, over at least two items, before the loop pauses."""
    max_unclean_starts: Count = 5
    """Starts in 10 min that were killed; one more, and the loop starts paused (safe mode)."""
    max_attempts: Count = 3
    """Attempts that may count before an item is parked."""
    stop_timeout: Seconds = 120
    """Seconds a stopping loop takes at most."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Sessions at a time."""
    interrupts: Interrupts = Interrupts()
    """Automatic interrupts, raised once per item."""


class ClaudeAgentSection(Section):
    """Sessions of Claude Code."""

    type: Literal["claude"] = "claude"
    """Which adapter."""
    cli: Text = "bundled"
    """`bundled` (of the SDK), `path` (the first `claude` of PATH), or a file."""
    model: Text | None = None
    """Model; null = `harness.agent_type`."""
    permission_mode: PermissionMode = "bypassPermissions"
    """Permission mode of the CLI; the policy holds in each of them."""
    max_turns: Count | None = 80
    """Turns of a session; null = no limit."""
    max_cost_usd: Dollars | None = 5
    """Cost of a session in US dollars; null = no limit."""
    max_tokens: Tokens | None = None
    """Tokens of a session (input, output, cache writes); null = no limit."""
    allowed_tools: Many[Text] | None = None
    """Tools that need no permission; null = as the permission mode says."""
    disallowed_tools: Many[Text] = ()
    """Tools the session does not have."""
    setting_sources: Many[Literal["user", "project", "local"]] = ()
    """Settings files the CLI reads besides ours."""
    retry_wait_seconds: Wait = 900
    """Longest wait of the CLI's own retries, in seconds."""
    session_timeout: Seconds | None = None
    """Longest session with this agent, in seconds; null = `harness.session_timeout`."""
    stall_threshold: Seconds | None = None
    """Longest silence with this agent, in seconds; null = `harness.stall_threshold`."""


class OtherAgentSection(OpenSection):
    """Sessions of another adapter (`scripted`, `command`, ...)."""

    model: Text | None = None
    """Model, if the adapter has any."""
    max_turns: Count | None = None
    """Turns of a session; null = no limit."""
    max_cost_usd: Dollars | None = None
    """Cost of a session in US dollars; null = no limit."""
    max_tokens: Tokens | None = None
    """Tokens of a session (input, output, cache writes); null = no limit."""
    session_timeout: Seconds | None = None
    """Longest session with this agent, in seconds; null = `harness.session_timeout`."""
    stall_threshold: Seconds | None = None
    """Longest silence with this agent, in seconds; null = `harness.stall_threshold`."""


def _by_type(usual: str, value: Any) -> str:
    kind = value.get("type", usual) if isinstance(value, Mapping) else getattr(value, "type", usual)
    return usual if kind == usual else "other"


AgentSection = Annotated[
    Annotated[ClaudeAgentSection, Tag("claude")] | Annotated[OtherAgentSection, Tag("other")],
    Discriminator(lambda value: _by_type("claude", value)),
]


class RepositorySection(OutfitKeys, OrderKeys, Overrides):
    """A repository that work is done in."""

    name: Name
    """What items call it (`repo`, `rig`)."""
    path: Text
    """Folder; relative to GT_ROOT if set, else to the folder of config.yaml; `~/` = the caller's home."""
    branch: Text = "main"
    """Branch that verified work goes to."""
    integrate: Literal["verified", "claimed", "never"] = "verified"
    """Which work goes to the branch by itself; the rest stays under a ref for `./loop merge apply ITEM`."""
    push: bool = False
    """Whether the loop pushes what it integrated; agents never push."""
    before_push: Many[PushCheckSection] = ()
    """What is asked, in this order, before each push; the first refusal stops it."""
    integration: IntegrationSection = IntegrationSection()
    """How proved work gets to the branch."""
    after: AfterSection = AfterSection()
    """What follows each integration."""
    setup: Many[Text] = ()
    """Shell commands that make a fresh workspace usable, run before the session."""
    instructions: str = ""
    """What every session in this repository is told."""
    gates: Many[GateSection] = ()
    """What proves work; none = work ends claimed and the branch is not touched."""
    parallel_gates: Annotated[int, Field(ge=1, le=64)] = 2
    """Gates of one piece of work that run at a time, each in a checkout of its own."""
    guards: Many[Literal["scope", "tamper"]] = ("scope", "tamper")
    """Gates that judge without being listed, wherever one of `gates` judges; listed ones take their place."""

    @property
    def every_gate(self) -> tuple[AnyGate, ...]:
        """Listed gates, then guards that are not listed."""
        return (*self.gates, *guards(self.guards, self.gates))


class ReviewSection(SessionOverrides):
    """A session of its own reads what is proved before it is integrated; values not set here are those of the work."""

    template: Text = "review-work"
    """Name of the prompt under `prompts/`."""
    rounds: Annotated[int, Field(ge=0, le=20)] = 2
    """How often findings go back to the agent before a person is asked."""


class KindSection(Overrides):
    """A kind of work. A kind that is not listed keeps its name and uses `default`."""

    template: Text = "bootstrap"
    """Name of the prompt under `prompts/`."""
    lane: Name = "default"
    """Lane of items that name none."""
    expects: Literal["commit", "document", "none"] = "commit"
    """What the work leaves: commits, `result.md`, or nothing."""
    review: ReviewSection | None = None
    """Who reads the work before it is integrated; null = nobody. For kinds that expect a commit."""
    decisions: KindDecisionSection = KindDecisionSection()
    """How long its questions wait for a person, where that differs."""


class LaneSection(Section):
    """A slice of the queue."""

    handicap_hours: Hours = 0
    """How many hours its items stand behind others of the same age."""
    running: Count | None = None
    """How many of its items may run at a time; null = no limit."""


class PolicySection(Section):
    """What an agent may not do (`deny`), or only with a person's yes (`ask`)."""

    deny: Text | None = None
    """`bash`, `write`, or a tool's name."""
    ask: Text | None = None
    """`bash`, `write`, or a tool's name."""
    argv: Many[Text] = ()
    """Beginning of the command's words, for `bash`."""
    paths: Many[Text] = ()
    """Globs inside the workspace, for `write`."""
    reason: str = ""
    """What the agent is told."""

    @model_validator(mode="after")
    def _complete(self) -> PolicySection:
        if (self.deny is None) == (self.ask is None):
            raise ValueError("a rule has either deny or ask")
        needs = {"bash": self.argv, "write": self.paths}.get(self.deny or self.ask or "", True)
        if not needs:
            raise ValueError("a rule for bash needs argv, one for write needs paths")
        return self

    def rule(self) -> PolicyRule:
        """The same as the policy takes it."""
        return PolicyRule(
            action="deny" if self.deny else "ask",
            tool=self.deny or self.ask or "",
            argv=self.argv,
            paths=self.paths,
            reason=self.reason,
        )


class IsolationSection(Section):
    """How sessions and gates are fenced in."""

    level: Literal["none", "cli", "outer", "container"] = "outer"
    """Wished level; the one reached is recorded."""
    required: bool = False
    """Whether a lower level than wished means that nothing starts (exit 78)."""


class SourceSection(OpenSection):
    """Where work comes from; keys besides `type` and `name` belong to the adapter."""

    name: Name | None = None
    """Name in the journal; null = its type."""


class NotifierSection(OpenSection):
    """Whom to tell; keys besides `type` and `name` belong to the adapter."""

    name: Name | None = None
    """Name in the journal; null = its type."""


class RetentionSection(Section):
    """How long logs are kept."""

    compress_days: Annotated[int, Field(ge=0, le=36_500)] = 7
    """Age in days at which logs are compressed."""
    delete_days: Annotated[int, Field(ge=1, le=36_500)] = 30
    """Age in days at which logs are deleted."""


def _not_a_reference(value: str) -> str:
    if value.startswith(("env:", "file:")):
        raise ValueError("a reference is env:NAME or file:PATH")
    return value


EnvironmentName = Annotated[str, Field(pattern=VARIABLE)]
EnvironmentValue = Annotated[
    Secret | Annotated[str, AfterValidator(_not_a_reference)], Field(union_mode="left_to_right")
]

SHIPPED: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "agents": {"default": {}},
    "kinds": {
        "default": {"template": "bootstrap", "lane": "default"},
        "bug-fix": {"template": "fix-bug"},
        "review": {"template": "review", "expects": "document"},
        "report": {"template": "report", "expects": "document"},
        "maintenance": {"template": "maintenance"},
    },
    "lanes": {
        "default": {"handicap_hours": 0},
        "tracker": {"handicap_hours": 0},
        "sweep": {"handicap_hours": 720, "running": 2},
        "review": {"handicap_hours": 724},
        "maintenance": {"handicap_hours": 744},
    },
}
"""Entries that exist in every configuration; what is written changes them key by key (an agent: as a whole)."""


class Config(Section):
    """config.yaml. Unknown keys are errors; secrets only as `env:NAME` or `file:PATH`."""

    harness: HarnessSection = HarnessSection()
    """The loop."""
    store: Literal["sqlite"] = "sqlite"
    """Where the truth is kept: `state/harness.db`."""
    environment: dict[EnvironmentName, EnvironmentValue] = Field(default_factory=dict)
    """Variables of agents and gates besides the built-in allow-list; values may be `env:NAME` or `file:PATH`."""
    agents: dict[Name, AgentSection] = Field(default_factory=lambda: _shipped("agents"), validate_default=True)
    """Adapters that run sessions, by name; `default` is used unless an item, its repository or kind names another."""
    repositories: Many[RepositorySection] = ()
    """Where work is done."""
    kinds: dict[Name, KindSection] = Field(default_factory=lambda: _shipped("kinds"), validate_default=True)
    """Kinds of work, by name; over the shipped ones."""
    lanes: dict[Name, LaneSection] = Field(default_factory=lambda: _shipped("lanes"), validate_default=True)
    """Slices of the queue, by name; over the shipped ones."""
    policy: Many[PolicySection] = ()
    """Rules for agents besides the built-in ones."""
    isolation: IsolationSection = IsolationSection()
    """How sessions and gates are fenced in."""
    sources: Many[SourceSection] = ()
    """Where work comes from besides the queue commands."""
    notifiers: Many[NotifierSection] = ()
    """Whom to tell."""
    schedules: Schedules = Field(default_factory=dict)
    """What recurs, by name: items that are added, commands that are run."""
    decisions: DecisionSection = DecisionSection()
    """How long questions wait for a person."""
    tasks: PageSection = PageSection()
    """Whether the queue is kept as markdown too."""
    budgets: BudgetSection = BudgetSection()
    """What all work together may cost."""
    pressure: PressureSection = PressureSection()
    """When the machine is too short of something to begin another session."""
    watch: WatchSection = WatchSection()
    """What running sessions and the loop may use before somebody is told."""
    workspaces: WorkspaceSection = WorkspaceSection()
    """How many workspaces there may be, and how long they and saved work are kept."""
    backups: BackupSection = BackupSection()
    """When backups are made by themselves, and how many are kept."""
    retention: RetentionSection = RetentionSection()
    """How long logs are kept."""

    def kind(self, name: str) -> KindSection:
        """The kind, or `default` for one that is not listed."""
        return self.kinds.get(name) or self.kinds["default"]

    def repository(self, name: str) -> RepositorySection | None:
        """The repository of that name."""
        return next((repo for repo in self.repositories if repo.name == name), None)


def _shipped(section: str) -> Any:
    return {name: dict(entry) for name, entry in SHIPPED[section].items()}


def contradictions(config: Config) -> Iterator[tuple[Key, str]]:
    """What only shows when parts are held against each other: names used twice, or naming nothing."""
    for n, repo in enumerate(config.repositories):
        if repo.name in (known := [other.name for other in config.repositories[:n]]):
            yield ("repositories", n, "name"), f"{repo.name!r} is used twice; the others are {_listed(known)}"
        yield from _agent_exists(config, ("repositories", n), repo)
        names = [gate.name for gate in repo.gates]
        for g, name in enumerate(names):
            if name == REVIEW:
                yield ("repositories", n, "gates", g, "name"), f"{name!r} is what verdicts of reviews are called"
            if name in names[:g]:
                yield ("repositories", n, "gates", g, "name"), f"{name!r} is used twice in {repo.name}"
            if repo.gates[g].compares and (other := _without_commit(config, repo.gates[g].kinds)):
                reason = f"{other!r} expects no commit; this gate compares changed files"
                yield ("repositories", n, "gates", g, "kinds"), reason
    for name, kind in config.kinds.items():
        yield from _agent_exists(config, ("kinds", name), kind)
        if kind.lane not in config.lanes:
            yield ("kinds", name, "lane"), f"{kind.lane!r} is no lane; allowed: {_listed(config.lanes)}"
        if kind.review is not None:
            yield from _agent_exists(config, ("kinds", name, "review"), kind.review)
            if kind.expects != "commit":
                yield ("kinds", name, "review"), f"{name!r} expects no commit; a review reads commits"
    repositories = [repo.name for repo in config.repositories]
    yield from in_schedules(config.schedules, {"repo": repositories, "lane": config.lanes, "agent": config.agents})


def _without_commit(config: Config, kinds: Iterable[str]) -> str | None:
    return next((kind for kind in kinds if config.kind(kind).expects != "commit"), None)


def _agent_exists(config: Config, at: Key, overrides: SessionOverrides) -> Iterator[tuple[Key, str]]:
    if overrides.agent is not None and overrides.agent not in config.agents:
        yield (*at, "agent"), f"{overrides.agent!r} is no agent; allowed: {_listed(config.agents)}"


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
