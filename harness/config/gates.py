"""Sections of config.yaml about gates: `repositories[].gates[]`, one class a type (contract 8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from harness.config.fields import Many, Name, OpenSection, Seconds, Section, Text

TESTS = (
    *("**/tests/**", "**/test/**", "**/__tests__/**", "**/spec/**", "**/test_*.py", "**/*_test.py", "**/conftest.py"),
    *("**/*_test.go", "**/*.test.*", "**/*.spec.*", "**/*Test.java", "**/*Tests.cs", "**/*_spec.rb"),
)
"""Globs of tests as most languages name them."""
APPROVAL = (
    *(".github/**", ".gitlab-ci.yml", ".circleci/**", ".buildkite/**", ".forgejo/**", ".gitea/**", ".woodpecker/**"),
    *(".ci/**", ".travis.yml", ".drone.yml", "azure-pipelines.yml", "Jenkinsfile"),
    *(".githooks/**", ".husky/**", ".pre-commit-config.yaml", "lefthook.yml", "**/.gitattributes", ".gitmodules"),
    *("**/.claude/**", "**/.mcp.json", "**/CLAUDE.md", "**/AGENTS.md"),
)
"""Globs of what judges or configures: CI, hooks, git's attributes, and what later sessions obey or read."""
SPECS = ("specs/**/*.md", "docs/specs/**/*.md", "**/*.spec.md")
SECTIONS: dict[str, tuple[str, ...]] = {
    "verification": ("verification", "how to verify", "acceptance"),
    "risks or assumptions": ("risk", "assumption"),
    "known gaps": ("known gap", "gaps", "open question"),
}
_OF_ALL = frozenset({"name", "type", "kinds", "resources", "retry"})
Retry = Annotated[int, Field(ge=0, le=5)]


class GateBase(Section):
    """What every gate has."""

    says: ClassVar[str] = ""
    """What an agent is told of it."""
    compares: ClassVar[bool] = False
    """Whether it looks at changes of files, of which a document has none."""

    name: Name
    """Name in verdicts and logs."""
    kinds: Many[Text] = ()
    """Kinds of work it judges; empty = every kind that expects a commit."""
    resources: Many[Name] = ()
    """What no other gate of the loop may use meanwhile (a port, a database), by any name."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What the gate's class is made with besides name, runner and kinds."""
        return {name: getattr(self, name) for name in type(self).model_fields if name not in _OF_ALL}


class CommandGateSection(GateBase):
    """A gate that is a command: passed when it exits 0."""

    type: Literal["command"] = "command"
    """Which adapter."""
    run: Text
    """Shell command, run in a clean checkout of the sealed work."""
    timeout_seconds: Seconds = 1800
    """Longest run; then the gate has failed."""
    retry: Retry = 1
    """How often a red run is repeated in a new checkout before it counts; green then is passed and flaky. Not after
    a timeout."""


class RegressionGateSection(GateBase):
    """The changed tests are green on the work, and red on the base: a fix is shown to mend something."""

    says: ClassVar[str] = "the tests you add or change must fail without your fix and pass with it"
    compares: ClassVar[bool] = True

    type: Literal["regression"]
    """Which adapter."""
    run: Text
    """Shell command for the changed tests, `{tests}` in it stands for their paths; without it all tests."""
    tests: Many[Text] = TESTS
    """Globs of tests."""
    timeout_seconds: Seconds = 1800
    """Longest run, of each of the two."""
    retry: Retry = 1
    """How often a red verdict is tried again before it counts."""
    kinds: Many[Text] = ("bug-fix",)
    """Kinds of work it judges; empty = every kind that expects a commit."""


class ScopeGateSection(GateBase):
    """Only what the item's `scope` covers is changed. A guard: it can object, and proves nothing."""

    says: ClassVar[str] = "only files inside the item's scope may be changed"
    compares: ClassVar[bool] = True

    type: Literal["scope"]
    """Which adapter."""
    paths: Many[Text] = ()
    """Globs that bound every item, whatever its scope; empty = no such bound."""
    always: Many[Text] = ()
    """Globs that every item may change besides its scope."""


class CleanGateSection(GateBase):
    """Nothing is left behind in the tree once the other gates have run. A guard."""

    says: ClassVar[str] = "the gates must leave no changed or untracked file behind that .gitignore does not name"

    type: Literal["clean"]
    """Which adapter."""
    allow: Many[Text] = ()
    """Globs of what may be left."""


class TamperGateSection(GateBase):
    """A person is asked where the work changes what judges it. A guard."""

    says: ClassVar[str] = "a person is asked if you change CI, hooks or agent settings, or if old tests no longer pass"
    compares: ClassVar[bool] = True

    type: Literal["tamper"]
    """Which adapter."""
    approval: Many[Text] = APPROVAL
    """Globs of what nobody changes without a person's yes."""
    run: Text | None = None
    """Shell command for changed and deleted tests as they were on the base, `{tests}` as in `regression`; null = tests
    are not looked at."""
    tests: Many[Text] = TESTS
    """Globs of tests."""
    on_red: Literal["ask", "fail"] = "ask"
    """What follows if a test as it was fails on the work and passes on the base."""
    timeout_seconds: Seconds = 1800
    """Longest run, of each."""


class SpecGateSection(GateBase):
    """Changed specifications have their sections. It proves work that is specifications alone."""

    says: ClassVar[str] = "changed specifications need sections on verification, risks or assumptions, and known gaps"
    compares: ClassVar[bool] = True

    type: Literal["spec"]
    """Which adapter."""
    paths: Many[Text] = SPECS
    """Globs of specifications."""
    sections: dict[Text, Many[Text]] = SECTIONS
    """Name of a section -> how its heading may begin, whatever the case."""


class OtherGateSection(OpenSection):
    """A gate of another adapter."""

    says: ClassVar[str] = ""
    compares: ClassVar[bool] = False

    name: Name
    """Name in verdicts and logs."""
    kinds: Many[Text] = ()
    """Kinds of work it judges; empty = every kind that expects a commit."""
    resources: Many[Name] = ()
    """What no other gate of the loop may use meanwhile, by any name."""
    retry: Retry = 0
    """How often a red run is repeated in a new checkout before it counts."""


BUILT_IN = {
    "command": CommandGateSection,
    "regression": RegressionGateSection,
    "scope": ScopeGateSection,
    "clean": CleanGateSection,
    "tamper": TamperGateSection,
    "spec": SpecGateSection,
}


def _type(value: Any) -> str:
    kind = value.get("type", "command") if isinstance(value, Mapping) else getattr(value, "type", "command")
    return kind if isinstance(kind, str) and kind in BUILT_IN else "other"


GateSection = Annotated[
    Annotated[CommandGateSection, Tag("command")]
    | Annotated[RegressionGateSection, Tag("regression")]
    | Annotated[ScopeGateSection, Tag("scope")]
    | Annotated[CleanGateSection, Tag("clean")]
    | Annotated[TamperGateSection, Tag("tamper")]
    | Annotated[SpecGateSection, Tag("spec")]
    | Annotated[OtherGateSection, Tag("other")],
    Discriminator(_type),
]
AnyGate = (
    CommandGateSection
    | RegressionGateSection
    | ScopeGateSection
    | CleanGateSection
    | TamperGateSection
    | SpecGateSection
    | OtherGateSection
)


def guards(names: Sequence[str], configured: Sequence[AnyGate]) -> Iterator[AnyGate]:
    """The guards that hold without being configured; one that is configured, or whose name is taken, is not added."""
    taken = {word for gate in configured for word in (gate.name, gate.type)}
    if "scope" in names and "scope" not in taken:
        yield ScopeGateSection(name="scope", type="scope")
    if "tamper" in names and "tamper" not in taken:
        yield TamperGateSection(name="tamper", type="tamper")


def judging(configured: Sequence[AnyGate], names: Sequence[str], kind: str, expects: str, *, scoped: bool) -> list[str]:
    """Names of the gates that judge a kind: all without `kinds` if it expects a commit, else those that name it.

    Guards join where something proves the work; that of the scope where the item has one (`scoped`).
    """
    found = [gate.name for gate in configured if kind in gate.kinds or (not gate.kinds and expects == "commit")]
    if not found or expects != "commit":
        return found
    return found + [guard.name for guard in guards(names, configured) if guard.type != "scope" or scoped]
